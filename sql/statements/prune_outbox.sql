-- Deletes rows of the outbox that were handled or parked more than $1 days ago.
with deleted as (
    delete from ops.outbox
    where coalesce(done_at, parked_at) < now() - make_interval(days => $1::integer)
    returning 1
)
select count(*) as deleted from deleted
