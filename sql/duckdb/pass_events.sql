-- Laps on which a car could pass the one ahead: one row each, with what is usual (model v2).
select
    entries.round,
    entries.session_kind,
    entries.event_name,
    entries.circuit_id,
    entries.driver_name,
    entries.team_id,
    entries.team_name,
    opponents.driver_name as opponent_name,
    opponents.team_id as opponent_team_id,
    events.*,
    events.is_passed::integer - events.expectation as beyond_expectation
from lake.pass_events as events
join entries using (season, session_id, driver_id)
left join lake.entries as opponents
    on opponents.season = events.season
    and opponents.session_id = events.session_id
    and opponents.driver_id = events.opponent_id
