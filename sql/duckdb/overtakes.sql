-- Places gained from another running car: one row each; only kind on_track counts for racecraft.
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
    overtakes.*
from lake.overtakes
join entries using (season, session_id, driver_id)
left join lake.entries as opponents
    on opponents.season = overtakes.season
    and opponents.session_id = overtakes.session_id
    and opponents.driver_id = overtakes.opponent_id
