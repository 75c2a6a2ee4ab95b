-- Makes the stored visits to the pit lane of the staged sessions equal to the staged ones:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.lap_number, staged.pit_in_ms, staged.pit_out_ms, staged.pit_lane_time_ms,
        staged.stationary_time_ms
    from pg_temp.stage_pit_stops as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
deleted as (
    delete from public.pit_stops as stored
    using session, core.entries
    where entries.race_id = session.race_id
        and entries.entry_id = stored.entry_id
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.lap_number = stored.lap_number
        )
    returning stored.entry_id
),
updated as (
    update public.pit_stops as stored
    set (
        pit_in_ms, pit_out_ms, pit_lane_time_ms, stationary_time_ms
    ) = (
        incoming.pit_in_ms, incoming.pit_out_ms, incoming.pit_lane_time_ms,
        incoming.stationary_time_ms
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.lap_number = incoming.lap_number
        and (
            stored.pit_in_ms, stored.pit_out_ms, stored.pit_lane_time_ms,
            stored.stationary_time_ms
        ) is distinct from (
            incoming.pit_in_ms, incoming.pit_out_ms, incoming.pit_lane_time_ms,
            incoming.stationary_time_ms
        )
    returning stored.entry_id
),
inserted as (
    insert into public.pit_stops (
        entry_id, lap_number, pit_in_ms, pit_out_ms, pit_lane_time_ms, stationary_time_ms
    )
    select * from incoming
    where not exists (
        select from public.pit_stops as stored
        where stored.entry_id = incoming.entry_id
            and stored.lap_number = incoming.lap_number
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
