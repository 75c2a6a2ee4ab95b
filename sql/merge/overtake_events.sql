-- Makes the stored overtakes of the staged sessions equal to the staged ones:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.overtake_number, staged.kind, staged.lap_number, staged.opponent_id,
        staged.is_success, staged.is_penalized, staged.exposure_time_s,
        staged.car_pace_difference_s, staged.tyre_age_difference_laps,
        staged.compound_difference, staged.ers_difference, staged.track_difficulty,
        staged.race_phase_pressure
    from pg_temp.stage_overtakes as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
deleted as (
    delete from core.overtake_events as stored
    using session, core.entries
    where entries.race_id = session.race_id
        and entries.entry_id = stored.entry_id
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.overtake_number = stored.overtake_number
        )
    returning stored.entry_id
),
updated as (
    update core.overtake_events as stored
    set (
        kind, lap_number, opponent_id, is_success, is_penalized, exposure_time_s,
        car_pace_difference_s, tyre_age_difference_laps, compound_difference, ers_difference,
        track_difficulty, race_phase_pressure
    ) = (
        incoming.kind, incoming.lap_number, incoming.opponent_id, incoming.is_success,
        incoming.is_penalized, incoming.exposure_time_s, incoming.car_pace_difference_s,
        incoming.tyre_age_difference_laps, incoming.compound_difference,
        incoming.ers_difference, incoming.track_difficulty, incoming.race_phase_pressure
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.overtake_number = incoming.overtake_number
        and (
            stored.kind, stored.lap_number, stored.opponent_id, stored.is_success,
            stored.is_penalized, stored.exposure_time_s, stored.car_pace_difference_s,
            stored.tyre_age_difference_laps, stored.compound_difference, stored.ers_difference,
            stored.track_difficulty, stored.race_phase_pressure
        ) is distinct from (
            incoming.kind, incoming.lap_number, incoming.opponent_id, incoming.is_success,
            incoming.is_penalized, incoming.exposure_time_s, incoming.car_pace_difference_s,
            incoming.tyre_age_difference_laps, incoming.compound_difference,
            incoming.ers_difference, incoming.track_difficulty, incoming.race_phase_pressure
        )
    returning stored.entry_id
),
inserted as (
    insert into core.overtake_events (
        entry_id, overtake_number, kind, lap_number, opponent_id, is_success, is_penalized,
        exposure_time_s, car_pace_difference_s, tyre_age_difference_laps, compound_difference,
        ers_difference, track_difficulty, race_phase_pressure
    )
    select * from incoming
    where not exists (
        select from core.overtake_events as stored
        where stored.entry_id = incoming.entry_id
            and stored.overtake_number = incoming.overtake_number
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
