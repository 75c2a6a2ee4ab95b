-- Stops of the session whose slug is $1, in order of driver and lap: times in the pit lane, tyres,
-- the lap that tyres and field would have suggested, and under profile $2 (null: none) what the
-- stop cost against the field's. Of several models of that profile the one that graded last.
with here as (
    select
        entries.entry_id,
        entries.driver_id,
        coalesce(entries.driver_code, entries.driver_id) as driver
    from core.races
    join core.entries on entries.race_id = races.race_id
    where races.slug = $1
),
cycles as (
    select pit_cycles.*
    from here
    join core.pit_cycles on pit_cycles.entry_id = here.entry_id
    where pit_cycles.profile_name = $2::text
        and pit_cycles.model_version = (
            select metrics.model_version
            from here as graded
            join core.driver_metrics as metrics on metrics.entry_id = graded.entry_id
            where metrics.profile_name = $2::text
            order by metrics.graded_at desc, metrics.model_version desc
            limit 1
        )
),
stops as (
    select pit_stops.entry_id, pit_stops.lap_number
    from here
    join public.pit_stops on pit_stops.entry_id = here.entry_id
    union
    select events.entry_id, events.actual_lap
    from here
    join core.strategy_events as events on events.entry_id = here.entry_id
    union
    select cycles.entry_id, cycles.lap_number
    from cycles
)
select
    here.driver,
    (row_number() over (partition by here.driver_id order by stops.lap_number))::integer
        as stop_no,
    stops.lap_number::integer as lap,
    pit_stops.pit_lane_time_ms as pit_lane_ms,
    pit_stops.stationary_time_ms as stationary_ms,
    events.compound_before,
    events.compound_after,
    events.tyre_life_laps::integer as tyre_life_laps,
    events.optimal_lap,
    events.late_laps,
    events.is_under_red_flag,
    cycles.is_neutralized,
    cycles.cost_s,
    cycles.field_cost_s,
    cycles.lost_s
from here
join stops on stops.entry_id = here.entry_id
left join public.pit_stops
    on pit_stops.entry_id = stops.entry_id
    and pit_stops.lap_number = stops.lap_number
left join core.strategy_events as events
    on events.entry_id = stops.entry_id
    and events.actual_lap = stops.lap_number
left join cycles
    on cycles.entry_id = stops.entry_id
    and cycles.lap_number = stops.lap_number
order by here.driver_id, stops.lap_number
