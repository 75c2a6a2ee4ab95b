-- Restates engine.v1.grade: the four components of model v1 normalized, and the total.
-- Reads the components' raw scores; N(v) = clamp(0.5 + (v - 0.5) / 0.6).
with components as (
    select
        session_id,
        driver_id,
        p.profile_name,
        p.profile_version,
        c.expected_delta_s,
        c.consistency_raw,
        s.team_strategy_raw,
        r.racecraft_raw,
        b.penalties_raw,
        r.on_track_events,
        r.pit_cycle_events
    from consistency as c
    join team_strategy as s using (session_id, driver_id, profile_name)
    join racecraft as r using (session_id, driver_id, profile_name)
    join penalties as b using (session_id, driver_id, profile_name)
    join profiles as p using (profile_name)
),
normalized as (
    select
        *,
        least(1, greatest(0, 0.5 + (consistency_raw - 0.5) / 0.6)) as consistency_score,
        least(1, greatest(0, 0.5 + (team_strategy_raw - 0.5) / 0.6)) as team_strategy_score,
        least(1, greatest(0, 0.5 + (racecraft_raw - 0.5) / 0.6)) as racecraft_score,
        least(1, greatest(0, 0.5 + (penalties_raw - 0.5) / 0.6)) as penalty_score
    from components
)
select
    *,
    'v1' as model_version,
    0.55 * consistency_score + 0.45 * racecraft_score - 0.1 * penalty_score as total_grade
from normalized
