-- Makes the stored laps of the staged sessions equal to the staged ones:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.lap_number, staged.lap_time_ms, staged.sector1_time_ms, staged.sector2_time_ms,
        staged.sector3_time_ms, staged.lap_start_ms, staged.lap_end_ms, staged.speed_trap_1_kph,
        staged.speed_trap_2_kph, staged.speed_trap_line_kph, staged.speed_trap_straight_kph,
        staged.compound, staged.stint_number, staged.tyre_life_laps, staged.is_fresh_tyre,
        staged.position, staged.is_in_lap, staged.is_out_lap, staged.track_status,
        staged.is_deleted, staged.deleted_reason, staged.is_personal_best, staged.is_accurate,
        staged.is_generated
    from pg_temp.stage_laps as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
deleted as (
    delete from public.lap_times as stored
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
    update public.lap_times as stored
    set (
        lap_time_ms, sector1_time_ms, sector2_time_ms, sector3_time_ms, lap_start_ms,
        lap_end_ms, speed_trap_1_kph, speed_trap_2_kph, speed_trap_line_kph,
        speed_trap_straight_kph, compound, stint_number, tyre_life_laps, is_fresh_tyre,
        position, is_in_lap, is_out_lap, track_status, is_deleted, deleted_reason,
        is_personal_best, is_accurate, is_generated
    ) = (
        incoming.lap_time_ms, incoming.sector1_time_ms, incoming.sector2_time_ms,
        incoming.sector3_time_ms, incoming.lap_start_ms, incoming.lap_end_ms,
        incoming.speed_trap_1_kph, incoming.speed_trap_2_kph, incoming.speed_trap_line_kph,
        incoming.speed_trap_straight_kph, incoming.compound, incoming.stint_number,
        incoming.tyre_life_laps, incoming.is_fresh_tyre, incoming.position, incoming.is_in_lap,
        incoming.is_out_lap, incoming.track_status, incoming.is_deleted,
        incoming.deleted_reason, incoming.is_personal_best, incoming.is_accurate,
        incoming.is_generated
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.lap_number = incoming.lap_number
        and (
            stored.lap_time_ms, stored.sector1_time_ms, stored.sector2_time_ms,
            stored.sector3_time_ms, stored.lap_start_ms, stored.lap_end_ms,
            stored.speed_trap_1_kph, stored.speed_trap_2_kph, stored.speed_trap_line_kph,
            stored.speed_trap_straight_kph, stored.compound, stored.stint_number,
            stored.tyre_life_laps, stored.is_fresh_tyre, stored.position, stored.is_in_lap,
            stored.is_out_lap, stored.track_status, stored.is_deleted, stored.deleted_reason,
            stored.is_personal_best, stored.is_accurate, stored.is_generated
        ) is distinct from (
            incoming.lap_time_ms, incoming.sector1_time_ms, incoming.sector2_time_ms,
            incoming.sector3_time_ms, incoming.lap_start_ms, incoming.lap_end_ms,
            incoming.speed_trap_1_kph, incoming.speed_trap_2_kph, incoming.speed_trap_line_kph,
            incoming.speed_trap_straight_kph, incoming.compound, incoming.stint_number,
            incoming.tyre_life_laps, incoming.is_fresh_tyre, incoming.position,
            incoming.is_in_lap, incoming.is_out_lap, incoming.track_status, incoming.is_deleted,
            incoming.deleted_reason, incoming.is_personal_best, incoming.is_accurate,
            incoming.is_generated
        )
    returning stored.entry_id
),
inserted as (
    insert into public.lap_times (
        entry_id, lap_number, lap_time_ms, sector1_time_ms, sector2_time_ms, sector3_time_ms,
        lap_start_ms, lap_end_ms, speed_trap_1_kph, speed_trap_2_kph, speed_trap_line_kph,
        speed_trap_straight_kph, compound, stint_number, tyre_life_laps, is_fresh_tyre,
        position, is_in_lap, is_out_lap, track_status, is_deleted, deleted_reason,
        is_personal_best, is_accurate, is_generated
    )
    select * from incoming
    where not exists (
        select from public.lap_times as stored
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
