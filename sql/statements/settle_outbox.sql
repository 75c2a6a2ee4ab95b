-- Notes what became of rows of the outbox: the JSON object $1, id → error, null if it was handled.
-- A row that failed $2 times is parked.
with updated as (
    update ops.outbox as stored
    set
        attempts = stored.attempts + 1,
        last_error = coalesce(outcome.error, stored.last_error),
        done_at = case when outcome.error is null then now() end,
        parked_at = case
            when outcome.error is not null and stored.attempts + 1 >= $2 then now()
        end
    from jsonb_each_text($1::jsonb) as outcome (outbox_id, error)
    where stored.outbox_id = outcome.outbox_id::bigint
    returning stored.parked_at is not null as is_parked
)
select count(*) filter (where is_parked) as parked from updated
