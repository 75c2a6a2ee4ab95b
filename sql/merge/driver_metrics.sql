-- Makes the stored grades of the staged sessions under the staged gradings equal to the staged
-- ones; evidence goes with its grade. Grades under other profiles stay, unless they are of data
-- that is no longer stored: a grade of model v1 rests on its driver's inputs, one of a later model
-- on those of all drivers of the session. Inputs are the same for all models.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.model_version, staged.profile_name, staged.profile_version,
        staged.expected_delta_s, staged.consistency_raw, staged.team_strategy_raw,
        staged.racecraft_raw, staged.penalties_raw, staged.consistency_score,
        staged.team_strategy_score, staged.racecraft_score, staged.penalty_score,
        staged.on_track_events, staged.pit_cycle_events, staged.total_grade,
        staged.total_grade_low, staged.total_grade_high, staged.grade, staged.grade_low,
        staged.grade_high, staged.data_source, staged.inputs_hash,
        staged.has_consistency_evidence, staged.has_team_strategy_evidence,
        staged.has_racecraft_evidence, staged.has_penalty_evidence
    from pg_temp.stage_driver_metrics as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
graded as (
    select distinct entries.race_id
    from incoming
    join core.entries on entries.entry_id = incoming.entry_id
),
outdated as (
    select entries.race_id, stored.entry_id, stored.model_version, stored.profile_name
    from core.driver_metrics as stored
    join core.entries on entries.entry_id = stored.entry_id
    join session on session.race_id = entries.race_id
    where (
        exists (select from graded where graded.race_id = entries.race_id)
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.inputs_hash = stored.inputs_hash
        )
    )
    or not exists (
        select from pg_temp.stage_entries as staged
        where staged.session_id = session.session_id
            and staged.driver_id = entries.driver_id
    )
),
deleted as (
    delete from core.driver_metrics as stored
    using session, core.entries
    where entries.race_id = session.race_id
        and entries.entry_id = stored.entry_id
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.model_version = stored.model_version
                and incoming.profile_name = stored.profile_name
        )
        and (
            exists (
                select from pg_temp.stage_gradings as gradings
                where gradings.profile_name = stored.profile_name
                    and gradings.model_version = stored.model_version
            )
            or exists (
                select from outdated
                where outdated.race_id = entries.race_id
                    and outdated.model_version = stored.model_version
                    and outdated.profile_name = stored.profile_name
                    and (outdated.entry_id = stored.entry_id or stored.model_version <> 'v1')
            )
        )
    returning stored.entry_id
),
updated as (
    update core.driver_metrics as stored
    set (
        profile_version, expected_delta_s, consistency_raw, team_strategy_raw, racecraft_raw,
        penalties_raw, consistency_score, team_strategy_score, racecraft_score, penalty_score,
        on_track_events, pit_cycle_events, total_grade, total_grade_low, total_grade_high, grade,
        grade_low, grade_high, data_source, inputs_hash, has_consistency_evidence,
        has_team_strategy_evidence, has_racecraft_evidence, has_penalty_evidence, graded_at
    ) = (
        incoming.profile_version, incoming.expected_delta_s, incoming.consistency_raw,
        incoming.team_strategy_raw, incoming.racecraft_raw, incoming.penalties_raw,
        incoming.consistency_score, incoming.team_strategy_score, incoming.racecraft_score,
        incoming.penalty_score, incoming.on_track_events, incoming.pit_cycle_events,
        incoming.total_grade, incoming.total_grade_low, incoming.total_grade_high,
        incoming.grade, incoming.grade_low, incoming.grade_high,
        incoming.data_source, incoming.inputs_hash,
        incoming.has_consistency_evidence, incoming.has_team_strategy_evidence,
        incoming.has_racecraft_evidence, incoming.has_penalty_evidence,
        now()
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.model_version = incoming.model_version
        and stored.profile_name = incoming.profile_name
        and (
            stored.profile_version, stored.expected_delta_s, stored.consistency_raw,
            stored.team_strategy_raw, stored.racecraft_raw, stored.penalties_raw,
            stored.consistency_score, stored.team_strategy_score, stored.racecraft_score,
            stored.penalty_score, stored.on_track_events, stored.pit_cycle_events,
            stored.total_grade, stored.total_grade_low, stored.total_grade_high,
            stored.grade, stored.grade_low, stored.grade_high,
            stored.data_source, stored.inputs_hash,
            stored.has_consistency_evidence, stored.has_team_strategy_evidence,
            stored.has_racecraft_evidence, stored.has_penalty_evidence
        ) is distinct from (
            incoming.profile_version, incoming.expected_delta_s, incoming.consistency_raw,
            incoming.team_strategy_raw, incoming.racecraft_raw, incoming.penalties_raw,
            incoming.consistency_score, incoming.team_strategy_score, incoming.racecraft_score,
            incoming.penalty_score, incoming.on_track_events, incoming.pit_cycle_events,
            incoming.total_grade, incoming.total_grade_low, incoming.total_grade_high,
            incoming.grade, incoming.grade_low, incoming.grade_high,
            incoming.data_source, incoming.inputs_hash,
            incoming.has_consistency_evidence, incoming.has_team_strategy_evidence,
            incoming.has_racecraft_evidence, incoming.has_penalty_evidence
        )
    returning stored.entry_id
),
inserted as (
    insert into core.driver_metrics (
        entry_id, model_version, profile_name, profile_version, expected_delta_s,
        consistency_raw, team_strategy_raw, racecraft_raw, penalties_raw, consistency_score,
        team_strategy_score, racecraft_score, penalty_score, on_track_events, pit_cycle_events,
        total_grade, total_grade_low, total_grade_high, grade, grade_low, grade_high, data_source,
        inputs_hash, has_consistency_evidence, has_team_strategy_evidence, has_racecraft_evidence,
        has_penalty_evidence
    )
    select * from incoming
    where not exists (
        select from core.driver_metrics as stored
        where stored.entry_id = incoming.entry_id
            and stored.model_version = incoming.model_version
            and stored.profile_name = incoming.profile_name
    )
    returning entry_id
),
changes as (
    select entry_id, 'inserted' as what, count(*) as row_count from inserted group by entry_id
    union all
    select entry_id, 'updated', count(*) from updated group by entry_id
    union all
    select entry_id, 'deleted', count(*) from deleted group by entry_id
)
select
    session.session_id,
    coalesce(sum(row_count) filter (where what = 'inserted'), 0)::bigint as inserted,
    coalesce(sum(row_count) filter (where what = 'updated'), 0)::bigint as updated,
    coalesce(sum(row_count) filter (where what = 'deleted'), 0)::bigint as deleted
from changes
join core.entries on entries.entry_id = changes.entry_id
join session on session.race_id = entries.race_id
group by session.session_id
