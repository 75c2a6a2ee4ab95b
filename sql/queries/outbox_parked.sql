-- Rows of the outbox that were given up, the newest first, 100 at most.
select outbox_id, topic, session_id, attempts, parked_at, last_error
from ops.outbox
where parked_at is not null
order by outbox_id desc
limit 100
