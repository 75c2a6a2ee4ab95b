-- Season standings of drivers and of teams in one table: subject says which.
-- Restates engine.season: means over what counts, sums over all, ranks with half of the races.
with subjects as (
    select season, session_id, driver_id, 'driver' as subject, driver_id as subject_id,
        driver_name as subject_name
    from entries
    union all
    select season, session_id, driver_id, 'team', team_id, team_name
    from entries
),
entered as (
    select
        season,
        session_kind,
        subject,
        subject_id,
        arg_max(subject_name, round) as subject_name,
        arg_max(team_name, round) as team_name,
        count(*)::integer as races_entered,
        sum(points) as points
    from entries
    join subjects using (season, session_id, driver_id)
    group by season, session_kind, subject, subject_id
),
series as (
    select
        season,
        session_kind,
        profile_name,
        model_version,
        count(distinct session_id) filter (where total_grade is not null) as sessions_graded
    from grades
    group by season, session_kind, profile_name, model_version
),
figures as (
    select
        season,
        session_kind,
        profile_name,
        model_version,
        subject,
        subject_id,
        case when min(profile_version) = max(profile_version) then min(profile_version) end
            as profile_version,
        count(total_grade)::integer as races_graded,
        count(total_grade) filter (where is_far_enough)::integer as races_counted,
        count(distinct session_id) filter (where is_counted) as sessions_counted,
        sum(total_grade) as total_grade_sum,
        avg(total_grade) filter (where is_far_enough) as total_grade_mean,
        max(total_grade) filter (where is_far_enough) as total_grade_best,
        min(total_grade) filter (where is_far_enough) as total_grade_worst,
        avg(consistency_score) filter (where is_far_enough) as consistency_score_mean,
        avg(team_strategy_score) filter (where is_far_enough) as team_strategy_score_mean,
        avg(racecraft_score) filter (where is_far_enough) as racecraft_score_mean,
        avg(penalty_score) filter (where is_far_enough) as penalty_score_mean,
        sum(on_track_events)::integer as on_track_events_sum,
        avg(on_track_events) filter (where is_far_enough) as on_track_events_mean,
        sum(pit_cycle_events)::integer as pit_cycle_events_sum,
        avg(pit_cycle_events) filter (where is_far_enough) as pit_cycle_events_mean
    from grades
    join subjects using (season, session_id, driver_id)
    group by season, session_kind, profile_name, model_version, subject, subject_id
),
listed as (
    select
        entered.* exclude (races_entered, points),
        series.profile_name,
        series.model_version,
        figures.profile_version,
        entered.races_entered,
        coalesce(figures.races_graded, 0) as races_graded,
        coalesce(figures.races_counted, 0) as races_counted,
        entered.points,
        figures.* exclude (
            season, session_kind, profile_name, model_version, subject, subject_id,
            profile_version, races_graded, races_counted, sessions_counted
        ),
        -- engine.season.MIN_RANKED_SHARE
        figures.total_grade_mean is not null
            and figures.sessions_counted >= 0.5 * series.sessions_graded as is_ranked
    from entered
    join series using (season, session_kind)
    left join figures
        using (season, session_kind, profile_name, model_version, subject, subject_id)
)
select
    case
        when is_ranked then rank() over (
            partition by season, session_kind, profile_name, model_version, subject, is_ranked
            order by round(total_grade_mean, 9) desc
        )::integer
    end as rank,
    listed.* exclude (is_ranked)
from listed
