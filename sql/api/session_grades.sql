-- Grades of the session whose slug is $1 under profile $2, best first, not graded ones last; no
-- row of who has none. Of several models of that profile the one that graded last.
with graded as (
    select
        metrics.*,
        first_value(metrics.model_version) over (
            order by metrics.graded_at desc, metrics.model_version desc
        ) as last_model_version,
        coalesce(entries.driver_code, entries.driver_id) as driver,
        entries.driver_id,
        entries.driver_name,
        entries.team_id,
        entries.team_name,
        entries.position
    from core.races
    join core.entries on entries.race_id = races.race_id
    join core.driver_metrics as metrics on metrics.entry_id = entries.entry_id
    where races.slug = $1
        and metrics.profile_name = $2::text
)
select
    driver,
    driver_id,
    driver_name,
    team_id,
    team_name,
    position::integer as finish_position,
    total_grade,
    total_grade_low,
    total_grade_high,
    grade,
    grade_low,
    grade_high,
    consistency_score as consistency,
    team_strategy_score as team_strategy,
    racecraft_score as racecraft,
    penalty_score as penalties,
    'drive_grade_db' as source,
    profile_name,
    profile_version,
    model_version,
    data_source,
    graded_at
from graded
where model_version = last_model_version
order by total_grade desc nulls last, position nulls last, driver_id
