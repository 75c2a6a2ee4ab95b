-- Laps: one row per driver and lap; is_neutralized: behind a safety car, virtual or real, or red.
select
    entries.round,
    entries.session_kind,
    entries.event_name,
    entries.circuit_id,
    entries.driver_name,
    entries.team_id,
    entries.team_name,
    laps.*,
    regexp_matches(laps.track_status, '[4567]') as is_neutralized
from lake.laps
join entries using (season, session_id, driver_id)
