-- Grades: one row per driver, session, profile and model; is_counted: enough distance for means.
select
    entries.season,
    entries.round,
    entries.session_kind,
    entries.event_name,
    entries.circuit_id,
    entries.driver_code,
    entries.driver_name,
    entries.team_id,
    entries.team_name,
    entries.grid_position,
    entries.position as finish_position,
    entries.status,
    entries.is_classified,
    entries.points,
    entries.completed_laps,
    entries.completed_laps / sessions.winner_laps as distance_share,
    -- engine.season.MIN_DISTANCE_SHARE; an unknown distance is no sign of an early end
    coalesce(entries.completed_laps >= 0.25 * sessions.winner_laps, true) as is_far_enough,
    metrics.total_grade is not null and is_far_enough as is_counted,
    metrics.* exclude (season)
from lake.driver_metrics as metrics
join entries using (season, session_id, driver_id)
join sessions using (season, session_id)
