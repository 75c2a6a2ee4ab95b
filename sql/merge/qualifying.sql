-- Makes the stored qualifying of the staged sessions equal to the staged ones: rows absent there
-- are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        session.race_id,
        staged.driver_id, staged.position, staged.q1_ms, staged.q2_ms, staged.q3_ms
    from pg_temp.stage_qualifying as staged
    join session on session.session_id = staged.session_id
),
deleted as (
    delete from public.qualifying as stored
    using session
    where stored.race_id = session.race_id
        and not exists (
            select from incoming
            where incoming.race_id = stored.race_id
                and incoming.driver_id = stored.driver_id
        )
    returning stored.race_id
),
updated as (
    update public.qualifying as stored
    set (
        position, q1_ms, q2_ms, q3_ms
    ) = (
        incoming.position, incoming.q1_ms, incoming.q2_ms, incoming.q3_ms
    )
    from incoming
    where stored.race_id = incoming.race_id
        and stored.driver_id = incoming.driver_id
        and (
            stored.position, stored.q1_ms, stored.q2_ms, stored.q3_ms
        ) is distinct from (
            incoming.position, incoming.q1_ms, incoming.q2_ms, incoming.q3_ms
        )
    returning stored.race_id
),
inserted as (
    insert into public.qualifying (
        race_id, driver_id, position, q1_ms, q2_ms, q3_ms
    )
    select * from incoming
    where not exists (
        select from public.qualifying as stored
        where stored.race_id = incoming.race_id
            and stored.driver_id = incoming.driver_id
    )
    returning race_id
),
changes as (
    select race_id, 'inserted' as what, count(*) as row_count from inserted group by race_id
    union all
    select race_id, 'updated', count(*) from updated group by race_id
    union all
    select race_id, 'deleted', count(*) from deleted group by race_id
)
select
    session.session_id,
    coalesce(sum(row_count) filter (where what = 'inserted'), 0)::bigint as inserted,
    coalesce(sum(row_count) filter (where what = 'updated'), 0)::bigint as updated,
    coalesce(sum(row_count) filter (where what = 'deleted'), 0)::bigint as deleted
from changes
join session on session.race_id = changes.race_id
group by session.session_id
