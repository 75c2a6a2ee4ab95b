-- Deletes the entries that the staged sessions no longer have.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
deleted as (
    delete from core.entries as stored
    using session
    where stored.race_id = session.race_id
        and not exists (
            select from pg_temp.stage_entries as staged
            where staged.session_id = session.session_id
                and staged.driver_id = stored.driver_id
        )
    returning session.session_id
)
select session_id, 0::bigint as inserted, 0::bigint as updated, count(*) as deleted
from deleted
group by session_id
