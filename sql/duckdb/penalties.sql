-- Penalties for driving, as race control announced them: one row each.
select
    entries.round,
    entries.session_kind,
    entries.event_name,
    entries.circuit_id,
    entries.driver_name,
    entries.team_id,
    entries.team_name,
    penalty_events.*
from lake.penalty_events
join entries using (season, session_id, driver_id)
