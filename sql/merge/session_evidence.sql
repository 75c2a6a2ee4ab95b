-- Makes the stored evidence of the staged sessions as a whole under the staged gradings equal to
-- the staged one. What is stored under other profiles stays as long as one of its grades does;
-- driver_metrics.sql deletes those before.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        session.race_id,
        staged.model_version, staged.profile_name, staged.clean_laps, staged.spread_pct,
        staged.tyre_slope_pct_per_lap, staged.traffic_pct, staged.lap_correlation,
        staged.at_risk_laps, staged.passes, staged.circuit_term
    from pg_temp.stage_session_evidence as staged
    join session on session.session_id = staged.session_id
),
deleted as (
    delete from core.session_evidence as stored
    using session
    where stored.race_id = session.race_id
        and not exists (
            select from incoming
            where incoming.race_id = stored.race_id
                and incoming.model_version = stored.model_version
                and incoming.profile_name = stored.profile_name
        )
        and (
            exists (
                select from pg_temp.stage_gradings as gradings
                where gradings.profile_name = stored.profile_name
                    and gradings.model_version = stored.model_version
            )
            or not exists (
                select from core.driver_metrics as metrics
                join core.entries on entries.entry_id = metrics.entry_id
                where entries.race_id = stored.race_id
                    and metrics.profile_name = stored.profile_name
                    and metrics.model_version = stored.model_version
            )
        )
    returning stored.race_id
),
updated as (
    update core.session_evidence as stored
    set (
        clean_laps, spread_pct, tyre_slope_pct_per_lap, traffic_pct, lap_correlation, at_risk_laps,
        passes, circuit_term
    ) = (
        incoming.clean_laps, incoming.spread_pct, incoming.tyre_slope_pct_per_lap,
        incoming.traffic_pct, incoming.lap_correlation, incoming.at_risk_laps, incoming.passes,
        incoming.circuit_term
    )
    from incoming
    where stored.race_id = incoming.race_id
        and stored.model_version = incoming.model_version
        and stored.profile_name = incoming.profile_name
        and (
            stored.clean_laps, stored.spread_pct, stored.tyre_slope_pct_per_lap,
            stored.traffic_pct, stored.lap_correlation, stored.at_risk_laps, stored.passes,
            stored.circuit_term
        ) is distinct from (
            incoming.clean_laps, incoming.spread_pct, incoming.tyre_slope_pct_per_lap,
            incoming.traffic_pct, incoming.lap_correlation, incoming.at_risk_laps, incoming.passes,
            incoming.circuit_term
        )
    returning stored.race_id
),
inserted as (
    insert into core.session_evidence (
        race_id, model_version, profile_name, clean_laps, spread_pct, tyre_slope_pct_per_lap,
        traffic_pct, lap_correlation, at_risk_laps, passes, circuit_term
    )
    select * from incoming
    where not exists (
        select from core.session_evidence as stored
        where stored.race_id = incoming.race_id
            and stored.model_version = incoming.model_version
            and stored.profile_name = incoming.profile_name
    )
    returning race_id
),
changes as (
    select race_id, 'inserted' as what, count(*) as row_count from inserted group by race_id
    union all
    select race_id, 'updated', count(*) from updated group by race_id
    union all
    select race_id, 'deleted', count(*) from deleted group by race_id
)
select
    session.session_id,
    coalesce(sum(row_count) filter (where what = 'inserted'), 0)::bigint as inserted,
    coalesce(sum(row_count) filter (where what = 'updated'), 0)::bigint as updated,
    coalesce(sum(row_count) filter (where what = 'deleted'), 0)::bigint as deleted
from changes
join session on session.race_id = changes.race_id
group by session.session_id
