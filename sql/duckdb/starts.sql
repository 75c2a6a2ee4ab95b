-- Starts: one row per driver with a grid place and a place after lap 1; from the pit lane is none.
select
    season,
    session_id,
    entries.round,
    entries.session_kind,
    entries.event_name,
    entries.circuit_id,
    driver_id,
    entries.driver_name,
    entries.team_id,
    entries.team_name,
    entries.grid_position,
    laps.position as lap_1_position,
    entries.grid_position - laps.position as places_gained
from lake.laps
join entries using (season, session_id, driver_id)
where laps.lap_number = 1
    and laps.position is not null
    and entries.grid_position is not null
