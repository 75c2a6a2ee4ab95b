-- Visits to the pit lane: one row each, lap_number being the in-lap.
select
    entries.round,
    entries.session_kind,
    entries.event_name,
    entries.circuit_id,
    entries.driver_name,
    entries.team_id,
    entries.team_name,
    pit_stops.*
from lake.pit_stops
join entries using (season, session_id, driver_id)
