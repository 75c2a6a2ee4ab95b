-- Makes the stored messages of race control of the staged sessions equal to the staged ones:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        session.race_id,
        staged.message_number, staged.sent_at, staged.lap_number, staged.category, staged.flag,
        staged.scope, staged.sector, staged.status, staged.driver_number, staged.message
    from pg_temp.stage_race_control as staged
    join session on session.session_id = staged.session_id
),
deleted as (
    delete from public.race_control_messages as stored
    using session
    where stored.race_id = session.race_id
        and not exists (
            select from incoming
            where incoming.race_id = stored.race_id
                and incoming.message_number = stored.message_number
        )
    returning stored.race_id
),
updated as (
    update public.race_control_messages as stored
    set (
        sent_at, lap_number, category, flag, scope, sector, status, driver_number, message
    ) = (
        incoming.sent_at, incoming.lap_number, incoming.category, incoming.flag, incoming.scope,
        incoming.sector, incoming.status, incoming.driver_number, incoming.message
    )
    from incoming
    where stored.race_id = incoming.race_id
        and stored.message_number = incoming.message_number
        and (
            stored.sent_at, stored.lap_number, stored.category, stored.flag, stored.scope,
            stored.sector, stored.status, stored.driver_number, stored.message
        ) is distinct from (
            incoming.sent_at, incoming.lap_number, incoming.category, incoming.flag,
            incoming.scope, incoming.sector, incoming.status, incoming.driver_number,
            incoming.message
        )
    returning stored.race_id
),
inserted as (
    insert into public.race_control_messages (
        race_id, message_number, sent_at, lap_number, category, flag, scope, sector, status,
        driver_number, message
    )
    select * from incoming
    where not exists (
        select from public.race_control_messages as stored
        where stored.race_id = incoming.race_id
            and stored.message_number = incoming.message_number
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
