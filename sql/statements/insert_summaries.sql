-- Keeps what revision $2 of session $1 publishes of each driver: the classification, and the
-- grade under profile $3 in version $4 and model $5.
with inserted as (
    insert into ops.revision_summaries (
        race_id, data_revision, driver_id, position, points, status, completed_laps,
        total_grade, consistency_score, team_strategy_score, racecraft_score, penalty_score,
        profile_name, profile_version, model_version
    )
    select
        races.race_id, $2, entries.driver_id, entries.position, entries.points,
        entries.status, entries.completed_laps, metrics.total_grade, metrics.consistency_score,
        metrics.team_strategy_score, metrics.racecraft_score, metrics.penalty_score, $3, $4, $5
    from core.races
    join core.entries on entries.race_id = races.race_id
    left join core.driver_metrics as metrics
        on metrics.entry_id = entries.entry_id
        and metrics.profile_name = $3
        and metrics.profile_version = $4
        and metrics.model_version = $5
    where races.slug = $1
    order by entries.driver_id
    returning 1
)
select count(*) as inserted from inserted
