-- Duels of team-mates: one row per pair, season, kind, profile and model; both cars counted.
-- Each duel stands once, the driver first whose id comes first; ties count for nobody.
select
    one.season,
    one.session_kind,
    one.profile_name,
    one.model_version,
    one.team_id,
    arg_max(one.team_name, one.round) as team_name,
    one.driver_id,
    arg_max(one.driver_name, one.round) as driver_name,
    other.driver_id as team_mate_id,
    arg_max(other.driver_name, other.round) as team_mate_name,
    count(*) as races,
    count(*) filter (where one.total_grade > other.total_grade) as graded_better,
    count(*) filter (where one.total_grade < other.total_grade) as graded_worse,
    avg(one.total_grade - other.total_grade) as mean_grade_difference,
    count(*) filter (where one.finish_position < other.finish_position) as finished_ahead,
    count(*) filter (where one.finish_position > other.finish_position) as finished_behind,
    count(*) filter (where one.grid_position < other.grid_position) as started_ahead,
    count(*) filter (where one.grid_position > other.grid_position) as started_behind
from grades as one
join grades as other
    on other.season = one.season
    and other.session_id = one.session_id
    and other.team_id = one.team_id
    and other.profile_name = one.profile_name
    and other.model_version = one.model_version
    and other.driver_id > one.driver_id
where one.is_counted
    and other.is_counted
group by
    one.season,
    one.session_kind,
    one.profile_name,
    one.model_version,
    one.team_id,
    one.driver_id,
    other.driver_id
