-- Makes the stored laps at risk of the staged sessions under the staged gradings equal to
-- the staged ones. What is stored under other profiles goes with its grades, which
-- driver_metrics.sql deletes before.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.model_version, staged.profile_name, staged.lap_number, staged.opponent_id,
        staged.gap_s, staged.car_difference_pct, staged.tyre_age_difference_laps,
        staged.circuit_term, staged.has_overtaking_aid, staged.race_share, staged.is_team_mate,
        staged.expectation, staged.is_passed
    from pg_temp.stage_pass_events as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
deleted as (
    delete from core.pass_events as stored
    using session, core.entries
    where entries.race_id = session.race_id
        and entries.entry_id = stored.entry_id
        and exists (
            select from pg_temp.stage_gradings as gradings
            where gradings.profile_name = stored.profile_name
                and gradings.model_version = stored.model_version
        )
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.model_version = stored.model_version
                and incoming.profile_name = stored.profile_name
                and incoming.lap_number = stored.lap_number
        )
    returning stored.entry_id
),
updated as (
    update core.pass_events as stored
    set (
        opponent_id, gap_s, car_difference_pct, tyre_age_difference_laps, circuit_term,
        has_overtaking_aid, race_share, is_team_mate, expectation, is_passed
    ) = (
        incoming.opponent_id, incoming.gap_s, incoming.car_difference_pct,
        incoming.tyre_age_difference_laps, incoming.circuit_term, incoming.has_overtaking_aid,
        incoming.race_share, incoming.is_team_mate, incoming.expectation, incoming.is_passed
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.model_version = incoming.model_version
        and stored.profile_name = incoming.profile_name
        and stored.lap_number = incoming.lap_number
        and (
            stored.opponent_id, stored.gap_s, stored.car_difference_pct,
            stored.tyre_age_difference_laps, stored.circuit_term, stored.has_overtaking_aid,
            stored.race_share, stored.is_team_mate, stored.expectation, stored.is_passed
        ) is distinct from (
            incoming.opponent_id, incoming.gap_s, incoming.car_difference_pct,
            incoming.tyre_age_difference_laps, incoming.circuit_term, incoming.has_overtaking_aid,
            incoming.race_share, incoming.is_team_mate, incoming.expectation, incoming.is_passed
        )
    returning stored.entry_id
),
inserted as (
    insert into core.pass_events (
        entry_id, model_version, profile_name, lap_number, opponent_id, gap_s, car_difference_pct,
        tyre_age_difference_laps, circuit_term, has_overtaking_aid, race_share, is_team_mate,
        expectation, is_passed
    )
    select * from incoming
    where not exists (
        select from core.pass_events as stored
        where stored.entry_id = incoming.entry_id
            and stored.model_version = incoming.model_version
            and stored.profile_name = incoming.profile_name
            and stored.lap_number = incoming.lap_number
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
