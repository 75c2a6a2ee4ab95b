-- Makes the stored tyre changes of the staged sessions equal to the staged ones:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.stop_number, staged.actual_lap, staged.optimal_lap, staged.late_laps,
        staged.compound_before, staged.compound_after, staged.tyre_life_laps,
        staged.is_under_red_flag
    from pg_temp.stage_strategy_events as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
deleted as (
    delete from core.strategy_events as stored
    using session, core.entries
    where entries.race_id = session.race_id
        and entries.entry_id = stored.entry_id
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.stop_number = stored.stop_number
        )
    returning stored.entry_id
),
updated as (
    update core.strategy_events as stored
    set (
        actual_lap, optimal_lap, late_laps, compound_before, compound_after, tyre_life_laps,
        is_under_red_flag
    ) = (
        incoming.actual_lap, incoming.optimal_lap, incoming.late_laps, incoming.compound_before,
        incoming.compound_after, incoming.tyre_life_laps, incoming.is_under_red_flag
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.stop_number = incoming.stop_number
        and (
            stored.actual_lap, stored.optimal_lap, stored.late_laps, stored.compound_before,
            stored.compound_after, stored.tyre_life_laps, stored.is_under_red_flag
        ) is distinct from (
            incoming.actual_lap, incoming.optimal_lap, incoming.late_laps,
            incoming.compound_before, incoming.compound_after, incoming.tyre_life_laps,
            incoming.is_under_red_flag
        )
    returning stored.entry_id
),
inserted as (
    insert into core.strategy_events (
        entry_id, stop_number, actual_lap, optimal_lap, late_laps, compound_before,
        compound_after, tyre_life_laps, is_under_red_flag
    )
    select * from incoming
    where not exists (
        select from core.strategy_events as stored
        where stored.entry_id = incoming.entry_id
            and stored.stop_number = incoming.stop_number
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
