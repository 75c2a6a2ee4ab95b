-- Grades of driver $1 under profile $2 in season $3 or (null) in all, the last session first: $7
-- at most, those after the one of season $4, round $5 and kind $6 or (null) from the first on. Of
-- several models of that profile the one that graded the session last.
select distinct on (races.season, races.round, races.session_kind)
    races.season::integer as season,
    races.round::integer as round,
    races.session_kind,
    races.slug as session_id,
    races.event_name,
    races.started_at as starts_at,
    entries.team_id,
    entries.team_name,
    entries.grid_position::integer as grid_position,
    entries.position::integer as finish_position,
    metrics.total_grade,
    metrics.total_grade_low,
    metrics.total_grade_high,
    metrics.grade,
    metrics.grade_low,
    metrics.grade_high,
    metrics.consistency_score as consistency,
    metrics.team_strategy_score as team_strategy,
    metrics.racecraft_score as racecraft,
    metrics.penalty_score as penalties,
    'drive_grade_db' as source,
    metrics.profile_name,
    metrics.profile_version,
    metrics.model_version,
    metrics.data_source,
    metrics.graded_at
from core.entries
join core.races on races.race_id = entries.race_id
join core.driver_metrics as metrics
    on metrics.entry_id = entries.entry_id
    and metrics.profile_name = $2::text
where entries.driver_id = $1::text
    and ($3::smallint is null or races.season = $3::smallint)
    and (
        $4::smallint is null
        or (races.season, races.round) < ($4::smallint, $5::smallint)
        or (
            (races.season, races.round) = ($4::smallint, $5::smallint)
            and races.session_kind > $6::text
        )
    )
order by
    races.season desc,
    races.round desc,
    races.session_kind,
    metrics.graded_at desc,
    metrics.model_version desc
limit $7::integer
