-- For how long the oldest row of the outbox has waited, in seconds; null if none waits.
select
    extract(epoch from now() - min(created_at) filter (
        where done_at is null and parked_at is null
    ))::float8 as oldest_waiting_s
from ops.outbox
