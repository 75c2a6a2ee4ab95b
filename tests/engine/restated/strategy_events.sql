-- Restates engine.v1.strategy, rules 1 to 3: every tyre change, with the field's lap for it.
-- Visits come from pit_stops, tyres from the in-lap and the lap after it.
with visits as (
    select
        p.session_id,
        p.driver_id,
        p.lap_number as actual_lap,
        i.compound as compound_before,
        o.compound as compound_after,
        i.tyre_life_laps,
        i.compound <> o.compound or o.tyre_life_laps <> i.tyre_life_laps + 1 as is_other_set,
        contains(coalesce(i.track_status, ''), '5') as is_under_red_flag
    from pit_stops as p
    -- no lap after the visit: the car retired in the pits
    join laps as o
        on o.session_id = p.session_id
        and o.driver_id = p.driver_id
        and o.lap_number = p.lap_number + 1
    left join laps as i
        on i.session_id = p.session_id
        and i.driver_id = p.driver_id
        and i.lap_number = p.lap_number
),
tyre_changes as (
    select
        *,
        row_number() over (partition by session_id, driver_id order by actual_lap) as stop_number
    from visits
    where coalesce(is_other_set, true)
),
counted as (
    select
        session_id,
        driver_id,
        actual_lap,
        row_number() over (partition by session_id, driver_id order by actual_lap) as nth,
        count(*) over (partition by session_id, driver_id) as stops
    from tyre_changes
    where not is_under_red_flag
),
field_stops as (
    select session_id, stops, nth, median(actual_lap) as optimal_lap
    from counted
    group by session_id, stops, nth
    having count(*) >= 3
),
optima as (
    select c.session_id, c.driver_id, c.actual_lap, f.optimal_lap
    from counted as c
    join field_stops as f
        on f.session_id = c.session_id and f.stops = c.stops and f.nth = c.nth
)
select
    t.session_id,
    t.driver_id,
    t.stop_number,
    t.actual_lap,
    r.optimal_lap,
    t.actual_lap - r.optimal_lap as late_laps,
    t.compound_before,
    t.compound_after,
    t.tyre_life_laps,
    t.is_under_red_flag
from tyre_changes as t
left join optima as r
    on r.session_id = t.session_id
    and r.driver_id = t.driver_id
    and r.actual_lap = t.actual_lap
