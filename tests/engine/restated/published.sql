-- Restates engine.v1.grade.published: what rests on nothing is null, and each row says what does.
with flags as (
    select
        session_id,
        driver_id,
        len(lap_deltas_s) > 0 as has_consistency_evidence,
        len(optimal_pit_laps) > 0 and len(actual_pit_laps) > 0 as has_team_strategy_evidence,
        has_lap_clocks as has_racecraft_evidence,
        has_race_control as has_penalty_evidence
    from driver_inputs
)
select
    g.session_id,
    g.driver_id,
    g.profile_name,
    g.profile_version,
    g.model_version,
    case when has_consistency_evidence then g.expected_delta_s end as expected_delta_s,
    case when has_consistency_evidence then g.consistency_raw end as consistency_raw,
    case when has_team_strategy_evidence then g.team_strategy_raw end as team_strategy_raw,
    case when has_racecraft_evidence then g.racecraft_raw end as racecraft_raw,
    case when has_penalty_evidence then g.penalties_raw end as penalties_raw,
    case when has_consistency_evidence then g.consistency_score end as consistency_score,
    case when has_team_strategy_evidence then g.team_strategy_score end as team_strategy_score,
    case when has_racecraft_evidence then g.racecraft_score end as racecraft_score,
    case when has_penalty_evidence then g.penalty_score end as penalty_score,
    case when has_racecraft_evidence then g.on_track_events end as on_track_events,
    case when has_racecraft_evidence then g.pit_cycle_events end as pit_cycle_events,
    case
        when has_consistency_evidence and has_racecraft_evidence then g.total_grade
    end as total_grade,
    f.has_consistency_evidence,
    f.has_team_strategy_evidence,
    f.has_racecraft_evidence,
    f.has_penalty_evidence
from grades as g
join flags as f on f.session_id = g.session_id and f.driver_id = g.driver_id
