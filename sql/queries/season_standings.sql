-- Standings of season $1, of session kind $2 or (null) each kind, under profile $3 or (null) the
-- active one: of drivers, or, if $4, of teams; by rank, unranked ones last. Restates
-- engine.season: means over driver-races with a quarter of the winner's laps, sums over all,
-- ranks for those with half of the graded races.
with chosen as (
    select coalesce(
        $3::text,
        (select profile_name from config.calibration_profiles where is_active)
    ) as profile_name
),
runs as (
    select
        races.season,
        races.round,
        races.session_kind,
        races.race_id,
        entries.entry_id,
        entries.points,
        entries.team_name,
        case when $4::boolean then entries.team_id else entries.driver_id end as subject_id,
        case when $4::boolean then entries.team_name else entries.driver_name end as subject_name,
        coalesce(
            entries.completed_laps >= 0.25 * (
                select max(winners.completed_laps)
                from core.entries as winners
                where winners.race_id = races.race_id
                    and winners.position = 1
            ),
            true
        ) as is_far_enough
    from core.races
    join core.entries on entries.race_id = races.race_id
    where races.season = $1::integer
        and ($2::text is null or races.session_kind = $2::text)
),
entered as (
    select
        season,
        session_kind,
        subject_id,
        (array_agg(subject_name order by round desc))[1] as subject_name,
        (array_agg(team_name order by round desc))[1] as team_name,
        count(*)::integer as races_entered,
        sum(points) as points
    from runs
    group by season, session_kind, subject_id
),
graded as (
    select runs.*, metrics.*
    from runs
    join core.driver_metrics as metrics using (entry_id)
    join chosen using (profile_name)
),
series as (
    select
        session_kind,
        profile_name,
        model_version,
        count(distinct race_id) filter (where total_grade is not null) as sessions_graded
    from graded
    group by session_kind, profile_name, model_version
),
figures as (
    select
        session_kind,
        model_version,
        subject_id,
        case when min(profile_version) = max(profile_version) then min(profile_version) end
            as profile_version,
        count(total_grade)::integer as races_graded,
        count(total_grade) filter (where is_far_enough)::integer as races_counted,
        count(distinct race_id) filter (where is_far_enough and total_grade is not null)
            as sessions_counted,
        sum(total_grade) as total_grade_sum,
        avg(total_grade) filter (where is_far_enough) as total_grade_mean,
        max(total_grade) filter (where is_far_enough) as total_grade_best,
        min(total_grade) filter (where is_far_enough) as total_grade_worst,
        avg(consistency_score) filter (where is_far_enough) as consistency_score_mean,
        avg(team_strategy_score) filter (where is_far_enough) as team_strategy_score_mean,
        avg(racecraft_score) filter (where is_far_enough) as racecraft_score_mean,
        avg(penalty_score) filter (where is_far_enough) as penalty_score_mean,
        sum(on_track_events)::integer as on_track_events_sum,
        avg(on_track_events) filter (where is_far_enough)::double precision
            as on_track_events_mean,
        sum(pit_cycle_events)::integer as pit_cycle_events_sum,
        avg(pit_cycle_events) filter (where is_far_enough)::double precision
            as pit_cycle_events_mean
    from graded
    group by session_kind, model_version, subject_id
)
select
    entered.season,
    entered.session_kind,
    case
        when ranked.is_ranked then rank() over (
            partition by entered.session_kind, series.model_version, ranked.is_ranked
            order by round(figures.total_grade_mean::numeric, 9) desc
        )::integer
    end as rank,
    entered.subject_id,
    entered.subject_name,
    entered.team_name,
    series.profile_name,
    figures.profile_version,
    series.model_version,
    entered.races_entered,
    coalesce(figures.races_graded, 0) as races_graded,
    coalesce(figures.races_counted, 0) as races_counted,
    entered.points,
    figures.total_grade_sum,
    figures.total_grade_mean,
    figures.total_grade_best,
    figures.total_grade_worst,
    figures.consistency_score_mean,
    figures.team_strategy_score_mean,
    figures.racecraft_score_mean,
    figures.penalty_score_mean,
    figures.on_track_events_sum,
    figures.on_track_events_mean,
    figures.pit_cycle_events_sum,
    figures.pit_cycle_events_mean
from entered
join series on series.session_kind = entered.session_kind
left join figures
    on figures.session_kind = entered.session_kind
    and figures.model_version = series.model_version
    and figures.subject_id = entered.subject_id
cross join lateral (
    select
        figures.total_grade_mean is not null
        and figures.sessions_counted >= 0.5 * series.sessions_graded as is_ranked
) as ranked
order by
    entered.session_kind,
    series.model_version,
    rank nulls last,
    entered.points desc nulls last,
    entered.subject_id
