-- Takes up to $1 waiting rows of the outbox after row $2, those left out that another worker has,
-- until the transaction ends.
select outbox_id, topic, session_id, load_id, activation_number
from ops.outbox
where done_at is null
    and parked_at is null
    and outbox_id > $2
order by outbox_id
limit $1
for update skip locked
