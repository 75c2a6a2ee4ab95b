-- Entries and grades of season $1, of one round $2 and session kind $3 or (null) all of them,
-- under profile $4 or (null) the active one: best first within each session. An entry that was
-- not graded under that profile (it did not start, or the session was graded before the profile
-- was activated) comes last, its grades null. It runs as it is on PostgreSQL, DuckDB and SQLite.
with asked as (
    select
        cast($1 as integer) as season,
        cast($2 as integer) as round,
        cast($3 as text) as session_kind,
        cast($4 as text) as profile_name
),
chosen as (
    select coalesce(asked.profile_name, active.profile_name) as profile_name
    from asked
    left join config.calibration_profiles as active on active.is_active
)
select
    races.season,
    races.round,
    races.session_kind,
    races.event_name,
    entries.driver_id,
    entries.driver_code,
    entries.driver_name,
    entries.team_id,
    entries.team_name,
    entries.grid_position,
    entries.position as finish_position,
    entries.is_classified,
    entries.status,
    entries.points,
    metrics.expected_delta_s,
    metrics.consistency_raw,
    metrics.team_strategy_raw,
    metrics.racecraft_raw,
    metrics.penalties_raw,
    metrics.consistency_score,
    metrics.team_strategy_score,
    metrics.racecraft_score,
    metrics.penalty_score,
    metrics.on_track_events,
    metrics.pit_cycle_events,
    metrics.total_grade,
    metrics.total_grade_low,
    metrics.total_grade_high,
    metrics.grade,
    metrics.grade_low,
    metrics.grade_high,
    metrics.profile_name,
    metrics.profile_version,
    metrics.model_version,
    metrics.data_source,
    metrics.graded_at
from core.races
join core.entries on entries.race_id = races.race_id
join asked
    on asked.season = races.season
    and (asked.round is null or asked.round = races.round)
    and (asked.session_kind is null or asked.session_kind = races.session_kind)
left join core.driver_metrics as metrics
    on metrics.entry_id = entries.entry_id
    and metrics.profile_name = (select profile_name from chosen)
order by
    races.season,
    races.round,
    races.session_kind,
    metrics.model_version nulls last,
    metrics.total_grade desc nulls last,
    entries.position nulls last,
    entries.driver_id
