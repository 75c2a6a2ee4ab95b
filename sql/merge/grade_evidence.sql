-- Makes the stored evidence of the staged sessions under the staged gradings equal to
-- the staged one. What is stored under other profiles goes with its grades, which
-- driver_metrics.sql deletes before.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.model_version, staged.profile_name, staged.state_session_id, staged.clean_laps,
        staged.refused_laps, staged.pace_pct, staged.pace_se_pct, staged.effective_laps,
        staged.dispersion_pct, staged.rating_pct, staged.rating_se_pct, staged.rating_before_pct,
        staged.car_pct, staged.car_se_pct, staged.car_before_pct, staged.scored_car_pct,
        staged.pace_against_car_pct, staged.pace_against_car_se_pct, staged.attack, staged.defence,
        staged.attack_laps, staged.defence_laps, staged.passes_made, staged.passes_suffered,
        staged.start_gain_places, staged.start_places, staged.racecraft_raw,
        staged.racecraft_variance, staged.slow_laps, staged.mistake_loss_pct,
        staged.mistake_burden, staged.is_crash, staged.penalty_s, staged.penalties_raw,
        staged.compared_stops, staged.pit_cycle_lost_s, staged.team_pit_cycle_lost_s
    from pg_temp.stage_grade_evidence as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
deleted as (
    delete from core.grade_evidence as stored
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
        )
    returning stored.entry_id
),
updated as (
    update core.grade_evidence as stored
    set (
        state_session_id, clean_laps, refused_laps, pace_pct, pace_se_pct, effective_laps,
        dispersion_pct, rating_pct, rating_se_pct, rating_before_pct, car_pct, car_se_pct,
        car_before_pct, scored_car_pct, pace_against_car_pct, pace_against_car_se_pct, attack,
        defence, attack_laps, defence_laps, passes_made, passes_suffered, start_gain_places,
        start_places, racecraft_raw, racecraft_variance, slow_laps, mistake_loss_pct,
        mistake_burden, is_crash, penalty_s, penalties_raw, compared_stops, pit_cycle_lost_s,
        team_pit_cycle_lost_s
    ) = (
        incoming.state_session_id, incoming.clean_laps, incoming.refused_laps, incoming.pace_pct,
        incoming.pace_se_pct, incoming.effective_laps, incoming.dispersion_pct,
        incoming.rating_pct, incoming.rating_se_pct, incoming.rating_before_pct, incoming.car_pct,
        incoming.car_se_pct, incoming.car_before_pct, incoming.scored_car_pct,
        incoming.pace_against_car_pct, incoming.pace_against_car_se_pct, incoming.attack,
        incoming.defence, incoming.attack_laps, incoming.defence_laps, incoming.passes_made,
        incoming.passes_suffered, incoming.start_gain_places, incoming.start_places,
        incoming.racecraft_raw, incoming.racecraft_variance, incoming.slow_laps,
        incoming.mistake_loss_pct, incoming.mistake_burden, incoming.is_crash, incoming.penalty_s,
        incoming.penalties_raw, incoming.compared_stops, incoming.pit_cycle_lost_s,
        incoming.team_pit_cycle_lost_s
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.model_version = incoming.model_version
        and stored.profile_name = incoming.profile_name
        and (
            stored.state_session_id, stored.clean_laps, stored.refused_laps, stored.pace_pct,
            stored.pace_se_pct, stored.effective_laps, stored.dispersion_pct, stored.rating_pct,
            stored.rating_se_pct, stored.rating_before_pct, stored.car_pct, stored.car_se_pct,
            stored.car_before_pct, stored.scored_car_pct, stored.pace_against_car_pct,
            stored.pace_against_car_se_pct, stored.attack, stored.defence, stored.attack_laps,
            stored.defence_laps, stored.passes_made, stored.passes_suffered,
            stored.start_gain_places, stored.start_places, stored.racecraft_raw,
            stored.racecraft_variance, stored.slow_laps, stored.mistake_loss_pct,
            stored.mistake_burden, stored.is_crash, stored.penalty_s, stored.penalties_raw,
            stored.compared_stops, stored.pit_cycle_lost_s, stored.team_pit_cycle_lost_s
        ) is distinct from (
            incoming.state_session_id, incoming.clean_laps, incoming.refused_laps,
            incoming.pace_pct, incoming.pace_se_pct, incoming.effective_laps,
            incoming.dispersion_pct, incoming.rating_pct, incoming.rating_se_pct,
            incoming.rating_before_pct, incoming.car_pct, incoming.car_se_pct,
            incoming.car_before_pct, incoming.scored_car_pct, incoming.pace_against_car_pct,
            incoming.pace_against_car_se_pct, incoming.attack, incoming.defence,
            incoming.attack_laps, incoming.defence_laps, incoming.passes_made,
            incoming.passes_suffered, incoming.start_gain_places, incoming.start_places,
            incoming.racecraft_raw, incoming.racecraft_variance, incoming.slow_laps,
            incoming.mistake_loss_pct, incoming.mistake_burden, incoming.is_crash,
            incoming.penalty_s, incoming.penalties_raw, incoming.compared_stops,
            incoming.pit_cycle_lost_s, incoming.team_pit_cycle_lost_s
        )
    returning stored.entry_id
),
inserted as (
    insert into core.grade_evidence (
        entry_id, model_version, profile_name, state_session_id, clean_laps, refused_laps,
        pace_pct, pace_se_pct, effective_laps, dispersion_pct, rating_pct, rating_se_pct,
        rating_before_pct, car_pct, car_se_pct, car_before_pct, scored_car_pct,
        pace_against_car_pct, pace_against_car_se_pct, attack, defence, attack_laps, defence_laps,
        passes_made, passes_suffered, start_gain_places, start_places, racecraft_raw,
        racecraft_variance, slow_laps, mistake_loss_pct, mistake_burden, is_crash, penalty_s,
        penalties_raw, compared_stops, pit_cycle_lost_s, team_pit_cycle_lost_s
    )
    select * from incoming
    where not exists (
        select from core.grade_evidence as stored
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
