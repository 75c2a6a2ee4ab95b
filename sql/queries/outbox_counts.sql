-- Rows of the outbox by state, and how long the oldest waiting one has waited, in seconds.
select
    count(*) filter (where done_at is null and parked_at is null) as waiting,
    count(*) filter (where parked_at is not null) as parked,
    count(*) filter (where done_at is not null) as done,
    extract(epoch from now() - min(created_at) filter (
        where done_at is null and parked_at is null
    ))::float8 as oldest_waiting_s
from ops.outbox
