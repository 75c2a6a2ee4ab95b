-- Deletes the entries that the staged session no longer has.
with session as (
    select races.race_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
deleted as (
    delete from core.entries as stored
    using session
    where stored.race_id = session.race_id
        and not exists (
            select from pg_temp.stage_entries as staged
            where staged.driver_id = stored.driver_id
        )
    returning 1
)
select
    0::bigint as inserted,
    0::bigint as updated,
    (select count(*) from deleted) as deleted
