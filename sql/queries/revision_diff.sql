-- What moved in session $1 between revisions $2 and $3: one row per driver and column, values
-- as text. A driver who is in one of them only has nulls on the other side.
with cells as (
    select summaries.data_revision, summaries.driver_id, cell.number, cell.what, cell.value
    from ops.revision_summaries as summaries
    join core.races on races.race_id = summaries.race_id
    cross join lateral (
        values
            (1, 'position', summaries.position::text),
            (2, 'points', summaries.points::text),
            (3, 'status', summaries.status),
            (4, 'completed_laps', summaries.completed_laps::text),
            (5, 'total_grade', summaries.total_grade::text),
            (6, 'grade', summaries.grade::text),
            (7, 'grade_low', summaries.grade_low::text),
            (8, 'grade_high', summaries.grade_high::text),
            (9, 'consistency_score', summaries.consistency_score::text),
            (10, 'team_strategy_score', summaries.team_strategy_score::text),
            (11, 'racecraft_score', summaries.racecraft_score::text),
            (12, 'penalty_score', summaries.penalty_score::text),
            (13, 'profile_name', summaries.profile_name),
            (14, 'profile_version', summaries.profile_version::text),
            (15, 'model_version', summaries.model_version)
    ) as cell (number, what, value)
    where races.slug = $1
),
older as (
    select * from cells where data_revision = $2::integer
),
newer as (
    select * from cells where data_revision = $3::integer
)
select
    coalesce(older.driver_id, newer.driver_id) as driver_id,
    coalesce(older.what, newer.what) as what,
    older.value as before,
    newer.value as after
from older
full join newer
    on newer.driver_id = older.driver_id
    and newer.number = older.number
where older.value is distinct from newer.value
order by 1, coalesce(older.number, newer.number)
