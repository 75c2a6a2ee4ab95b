-- Makes the stored penalties of the staged sessions equal to the staged ones:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.penalty_number, staged.kind, staged.lap_number, staged.time_loss_s,
        staged.message, staged.source
    from pg_temp.stage_penalty_events as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
deleted as (
    delete from core.penalty_events as stored
    using session, core.entries
    where entries.race_id = session.race_id
        and entries.entry_id = stored.entry_id
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.penalty_number = stored.penalty_number
        )
    returning stored.entry_id
),
updated as (
    update core.penalty_events as stored
    set (
        kind, lap_number, time_loss_s, message, source
    ) = (
        incoming.kind, incoming.lap_number, incoming.time_loss_s, incoming.message,
        incoming.source
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.penalty_number = incoming.penalty_number
        and (
            stored.kind, stored.lap_number, stored.time_loss_s, stored.message, stored.source
        ) is distinct from (
            incoming.kind, incoming.lap_number, incoming.time_loss_s, incoming.message,
            incoming.source
        )
    returning stored.entry_id
),
inserted as (
    insert into core.penalty_events (
        entry_id, penalty_number, kind, lap_number, time_loss_s, message, source
    )
    select * from incoming
    where not exists (
        select from core.penalty_events as stored
        where stored.entry_id = incoming.entry_id
            and stored.penalty_number = incoming.penalty_number
    )
    returning entry_id
),
changes as (
    select entry_id, 'inserted' as what, count(*) as row_count from inserted group by entry_id
    union all
    select entry_id, 'updated', count(*) from updated group by entry_id
    union all
    select entry_id, 'deleted', count(*) from deleted group by entry_id
)
select
    session.session_id,
    coalesce(sum(row_count) filter (where what = 'inserted'), 0)::bigint as inserted,
    coalesce(sum(row_count) filter (where what = 'updated'), 0)::bigint as updated,
    coalesce(sum(row_count) filter (where what = 'deleted'), 0)::bigint as deleted
from changes
join core.entries on entries.entry_id = changes.entry_id
join session on session.race_id = entries.race_id
group by session.session_id
