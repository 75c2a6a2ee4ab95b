-- Keeps what the revisions of the JSON object $1, session → number, publish of each driver: the
-- classification, and the grade under the profile and model that the load shows.
with inserted as (
    insert into ops.revision_summaries (
        race_id, data_revision, driver_id, position, points, status, completed_laps,
        total_grade, grade, grade_low, grade_high, consistency_score, team_strategy_score,
        racecraft_score, penalty_score, profile_name, profile_version, model_version
    )
    select
        loads.race_id, loads.data_revision, entries.driver_id, entries.position, entries.points,
        entries.status, entries.completed_laps, metrics.total_grade, metrics.grade,
        metrics.grade_low, metrics.grade_high, metrics.consistency_score,
        metrics.team_strategy_score, metrics.racecraft_score, metrics.penalty_score,
        loads.profile_name, loads.profile_version, loads.model_version
    from jsonb_each_text($1::jsonb) as revisions (session_id, data_revision)
    join core.races on races.slug = revisions.session_id
    join ops.loads
        on loads.race_id = races.race_id
        and loads.data_revision = revisions.data_revision::integer
    join core.entries on entries.race_id = races.race_id
    left join lateral (
        select *
        from core.driver_metrics as stored
        where stored.entry_id = entries.entry_id
        offset 0  -- by entry, whatever the statistics say of the index by profile
    ) as metrics
        on metrics.profile_name = loads.profile_name
        and metrics.profile_version = loads.profile_version
        and metrics.model_version = loads.model_version
    order by races.season, races.round, races.session_kind desc, entries.driver_id
    returning 1
)
select count(*) as inserted from inserted
