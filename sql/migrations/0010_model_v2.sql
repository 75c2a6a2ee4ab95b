-- Model v2: grades with intervals, what they are made of, and qualifying
-- depends: 0009_bulk_loads

-- migrate: apply

alter table core.driver_metrics
    add column total_grade_low double precision check (total_grade_low between -1 and 1),
    add column total_grade_high double precision check (total_grade_high between -1 and 1),
    add column grade double precision check (grade between 0 and 100),
    add column grade_low double precision check (grade_low between 0 and 100),
    add column grade_high double precision check (grade_high between 0 and 100),
    drop constraint driver_metrics_total_grade_check,
    add constraint driver_metrics_total_grade_check check (total_grade between -1 and 1),
    drop constraint total_rests_on_evidence,
    add constraint total_rests_on_evidence check (
        (has_consistency_evidence and (has_racecraft_evidence or model_version <> 'v1'))
        = (total_grade is not null)
    );

comment on column core.driver_metrics.total_grade is
    'weighted sum of the scores; v1: 0.55 C + 0.45 R − 0.10 P';
comment on column core.driver_metrics.total_grade_low is
    'lower end of its 90 % interval; null under v1';
comment on column core.driver_metrics.total_grade_high is
    'upper end of its 90 % interval; null under v1';
comment on column core.driver_metrics.grade is
    'per cent of the training driver-races below; null under v1';
comment on column core.driver_metrics.grade_low is 'lower end of its 90 % interval; null under v1';
comment on column core.driver_metrics.grade_high is 'upper end of its 90 % interval; null under v1';

alter table ops.revision_summaries
    add column grade double precision check (grade between 0 and 100),
    add column grade_low double precision check (grade_low between 0 and 100),
    add column grade_high double precision check (grade_high between 0 and 100),
    drop constraint revision_summaries_total_grade_check,
    add constraint revision_summaries_total_grade_check check (total_grade between -1 and 1);

comment on column ops.revision_summaries.total_grade is
    'weighted sum of the scores; null if not graded';
comment on column ops.revision_summaries.grade is 'the grade for people, 0 to 100; null under v1';
comment on column ops.revision_summaries.grade_low is
    'lower end of its 90 % interval; null under v1';
comment on column ops.revision_summaries.grade_high is
    'upper end of its 90 % interval; null under v1';

comment on column core.drivers.driver_name is
    'full name in the newest session; the id if only qualifying is known';

create table public.qualifying (
    race_id bigint not null references core.races on delete cascade,
    driver_id text not null references core.drivers,
    position smallint check (position between 1 and 60),
    q1_ms integer check (q1_ms between 1 and 14400000),
    q2_ms integer check (q2_ms between 1 and 14400000),
    q3_ms integer check (q3_ms between 1 and 14400000),
    primary key (race_id, driver_id)
);

create index on public.qualifying (driver_id);

comment on table public.qualifying is
    'One row per driver of the weekend''s qualifying, under the Grand Prix it made the grid of.';
comment on column public.qualifying.race_id is 'the session';
comment on column public.qualifying.driver_id is 'Jolpica''s stable id of the driver';
comment on column public.qualifying.position is 'place in qualifying, before grid penalties';
comment on column public.qualifying.q1_ms is
    'best time in the first part; before 2006 mostly that of all qualifying, in milliseconds';
comment on column public.qualifying.q2_ms is 'best time in the second part, in milliseconds';
comment on column public.qualifying.q3_ms is 'best time in the third part, in milliseconds';

create table core.grade_evidence (
    entry_id bigint not null,
    profile_name text not null check (profile_name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    model_version text not null check (model_version ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    state_session_id text check (state_session_id ~ '^\d{4}-\d{1,2}(-sprint)?$'),
    clean_laps integer not null check (clean_laps >= 0),
    refused_laps integer not null check (refused_laps >= 0),
    pace_pct double precision check (pace_pct between -1000 and 1000),
    pace_se_pct double precision check (pace_se_pct between 0 and 10000),
    effective_laps double precision check (effective_laps between 0 and 10000),
    dispersion_pct double precision check (dispersion_pct between 0 and 10000),
    rating_pct double precision check (rating_pct between -1000 and 1000),
    rating_se_pct double precision check (rating_se_pct between 0 and 10000),
    rating_before_pct double precision check (rating_before_pct between -1000 and 1000),
    car_pct double precision check (car_pct between -1000 and 1000),
    car_se_pct double precision check (car_se_pct between 0 and 10000),
    car_before_pct double precision check (car_before_pct between -1000 and 1000),
    scored_car_pct double precision check (scored_car_pct between -1000 and 1000),
    pace_against_car_pct double precision check (pace_against_car_pct between -1000 and 1000),
    pace_against_car_se_pct double precision check (pace_against_car_se_pct between 0 and 10000),
    attack double precision check (attack between -1000 and 1000),
    defence double precision check (defence between -1000 and 1000),
    attack_laps integer check (attack_laps >= 0),
    defence_laps integer check (defence_laps >= 0),
    passes_made integer check (passes_made >= 0),
    passes_suffered integer check (passes_suffered >= 0),
    start_gain_places double precision check (start_gain_places between -1000 and 1000),
    start_places double precision check (start_places between -1000 and 1000),
    racecraft_raw double precision check (racecraft_raw between -1000 and 1000),
    racecraft_variance double precision check (racecraft_variance between 0 and 10000),
    slow_laps integer check (slow_laps >= 0),
    mistake_loss_pct double precision check (mistake_loss_pct between 0 and 10000),
    mistake_burden double precision check (mistake_burden between -1000 and 1000),
    is_crash boolean,
    penalty_s double precision check (penalty_s between 0 and 100000),
    penalties_raw double precision check (penalties_raw between -1000 and 1000),
    compared_stops integer check (compared_stops >= 0),
    pit_cycle_lost_s double precision check (pit_cycle_lost_s between -100000 and 100000),
    team_pit_cycle_lost_s double precision
        check (team_pit_cycle_lost_s between -100000 and 100000),
    primary key (entry_id, model_version, profile_name),
    foreign key (entry_id, model_version, profile_name)
        references core.driver_metrics on delete cascade
);

comment on table core.grade_evidence is
    'One row per driver who took part, profile and model: what the grade was made of.';
comment on column core.grade_evidence.entry_id is 'the driver in a session';
comment on column core.grade_evidence.profile_name is 'calibration profile of the constants';
comment on column core.grade_evidence.model_version is 'grading model';
comment on column core.grade_evidence.state_session_id is
    'session after which the rating''s state was gone on from; null at the first';
comment on column core.grade_evidence.clean_laps is 'laps that the pace is taken from';
comment on column core.grade_evidence.refused_laps is 'laps that it is not taken from';
comment on column core.grade_evidence.pace_pct is
    'pace against the mean driver of the race, negative is faster, in per cent';
comment on column core.grade_evidence.pace_se_pct is
    'standard error of the pace, of this race''s laps alone, in per cent';
comment on column core.grade_evidence.effective_laps is
    'laps by what they weigh against those of other races';
comment on column core.grade_evidence.dispersion_pct is
    'robust standard deviation from one clean lap to the next, in per cent';
comment on column core.grade_evidence.rating_pct is
    'driver''s rating after the session, positive is faster, in per cent';
comment on column core.grade_evidence.rating_se_pct is 'its standard error, in per cent';
comment on column core.grade_evidence.rating_before_pct is
    'driver''s rating before the weekend, in per cent';
comment on column core.grade_evidence.car_pct is
    'car''s level that day, qualifying included, negative is faster, in per cent';
comment on column core.grade_evidence.car_se_pct is 'its standard error, in per cent';
comment on column core.grade_evidence.car_before_pct is
    'car''s level expected before the weekend, in per cent';
comment on column core.grade_evidence.scored_car_pct is
    'car''s level that day by the races alone, which scoring uses, in per cent';
comment on column core.grade_evidence.pace_against_car_pct is
    'pace against that car, positive is faster, in per cent';
comment on column core.grade_evidence.pace_against_car_se_pct is 'its standard error, in per cent';
comment on column core.grade_evidence.attack is 'passes made beyond expectation';
comment on column core.grade_evidence.defence is 'passes not suffered beyond expectation';
comment on column core.grade_evidence.attack_laps is 'laps on which the driver could pass';
comment on column core.grade_evidence.defence_laps is 'laps on which the driver could be passed';
comment on column core.grade_evidence.passes_made is 'of the first, those that ended in a pass';
comment on column core.grade_evidence.passes_suffered is
    'of the second, those that ended in a pass';
comment on column core.grade_evidence.start_gain_places is 'grid minus place after lap 1';
comment on column core.grade_evidence.start_places is
    'the same beyond what is usual from that slot';
comment on column core.grade_evidence.racecraft_raw is
    'attack + defence + half the places of the start';
comment on column core.grade_evidence.racecraft_variance is 'its variance, in passes squared';
comment on column core.grade_evidence.slow_laps is 'isolated slow laps in clear air';
comment on column core.grade_evidence.mistake_loss_pct is
    'what they lost, capped lap by lap, in per cent';
comment on column core.grade_evidence.mistake_burden is 'its logarithm against the race''s median';
comment on column core.grade_evidence.is_crash is 'retired by accident, collision or spin';
comment on column core.grade_evidence.penalty_s is 'stewards'' penalties, in seconds';
comment on column core.grade_evidence.penalties_raw is 'mistakes + crash + stewards';
comment on column core.grade_evidence.compared_stops is
    'stops that were compared with the field''s';
comment on column core.grade_evidence.pit_cycle_lost_s is
    'lost on them, positive is slower than the field, in seconds';
comment on column core.grade_evidence.team_pit_cycle_lost_s is
    'lost on all stops of the team, in seconds';

create table core.session_evidence (
    race_id bigint not null references core.races on delete cascade,
    profile_name text not null check (profile_name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    model_version text not null check (model_version ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    clean_laps integer not null check (clean_laps >= 0),
    spread_pct double precision check (spread_pct between 0 and 10000),
    tyre_slope_pct_per_lap double precision check (tyre_slope_pct_per_lap between -1000 and 1000),
    traffic_pct double precision check (traffic_pct between -1000 and 1000),
    lap_correlation double precision check (lap_correlation between -1000 and 1000),
    at_risk_laps integer not null check (at_risk_laps >= 0),
    passes integer not null check (passes >= 0),
    circuit_term double precision check (circuit_term between -1000 and 1000),
    primary key (race_id, model_version, profile_name)
);

comment on table core.session_evidence is
    'One row per session with laps and profile: what all drivers of a race have in common.';
comment on column core.session_evidence.race_id is 'the session';
comment on column core.session_evidence.profile_name is 'calibration profile of the constants';
comment on column core.session_evidence.model_version is 'grading model';
comment on column core.session_evidence.clean_laps is 'laps of all cars that pace is taken from';
comment on column core.session_evidence.spread_pct is
    'robust standard deviation of their residuals, in per cent';
comment on column core.session_evidence.tyre_slope_pct_per_lap is 'what a lap of tyre age costs';
comment on column core.session_evidence.traffic_pct is 'what a lap in traffic costs, in per cent';
comment on column core.session_evidence.lap_correlation is
    'correlation of successive residuals of a stint';
comment on column core.session_evidence.at_risk_laps is 'laps on which a car could pass';
comment on column core.session_evidence.passes is 'of them, those that ended in a pass';
comment on column core.session_evidence.circuit_term is
    'log of how easy passing is there, from the seasons before';

-- Of many rows: the load sees to it that opponents have an entry, which costs less than a key.
create table core.pass_events (
    entry_id bigint not null,
    lap_number smallint not null check (lap_number between 1 and 250),
    profile_name text not null check (profile_name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    model_version text not null check (model_version ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    opponent_id text not null check (char_length(opponent_id) between 1 and 100),
    gap_s double precision not null check (gap_s between 0 and 10),
    car_difference_pct double precision not null check (car_difference_pct between -10 and 10),
    tyre_age_difference_laps smallint not null
        check (tyre_age_difference_laps between -250 and 250),
    circuit_term double precision not null check (circuit_term between -20 and 20),
    has_overtaking_aid boolean not null,
    race_share double precision not null check (race_share between 0 and 1),
    is_team_mate boolean not null,
    expectation double precision not null check (expectation between 0 and 1),
    is_passed boolean not null,
    primary key (entry_id, model_version, profile_name, lap_number),
    foreign key (entry_id, model_version, profile_name)
        references core.driver_metrics on delete cascade
);

comment on table core.pass_events is
    'One row per lap at risk, from the car behind, under a profile.';
comment on column core.pass_events.entry_id is 'the driver in a session';
comment on column core.pass_events.lap_number is 'lap on which the pass was possible';
comment on column core.pass_events.profile_name is 'calibration profile of the constants';
comment on column core.pass_events.model_version is 'grading model';
comment on column core.pass_events.opponent_id is
    'driver of the car ahead, who has an entry too';
comment on column core.pass_events.gap_s is 'gap at the line that begins the lap, in seconds';
comment on column core.pass_events.car_difference_pct is
    'by how much the own car is the faster one, in per cent';
comment on column core.pass_events.tyre_age_difference_laps is
    'by how much the tyres ahead are older, in laps';
comment on column core.pass_events.circuit_term is 'log of how easy passing is there';
comment on column core.pass_events.has_overtaking_aid is 'DRS or its successor is in the rules';
comment on column core.pass_events.race_share is 'part of the race that is over';
comment on column core.pass_events.is_team_mate is 'the two are team-mates';
comment on column core.pass_events.expectation is 'probability of a pass';
comment on column core.pass_events.is_passed is 'the car behind is ahead at the next line';

create table core.slow_laps (
    entry_id bigint not null,
    lap_number smallint not null check (lap_number between 1 and 250),
    profile_name text not null check (profile_name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    model_version text not null check (model_version ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    shortfall_pct double precision not null check (shortfall_pct between 0 and 1000),
    loss_pct double precision not null check (loss_pct between 0 and 1000),
    primary key (entry_id, model_version, profile_name, lap_number),
    foreign key (entry_id, model_version, profile_name)
        references core.driver_metrics on delete cascade
);

comment on table core.slow_laps is 'One row per isolated slow lap in clear air, under a profile.';
comment on column core.slow_laps.entry_id is 'the driver in a session';
comment on column core.slow_laps.lap_number is 'which lap';
comment on column core.slow_laps.profile_name is 'calibration profile of the constants';
comment on column core.slow_laps.model_version is 'grading model';
comment on column core.slow_laps.shortfall_pct is 'slower than expected by, in per cent';
comment on column core.slow_laps.loss_pct is 'what of it counts, in per cent';

create table core.pit_cycles (
    entry_id bigint not null,
    stop_number smallint not null check (stop_number between 1 and 100),
    profile_name text not null check (profile_name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    model_version text not null check (model_version ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    lap_number smallint not null check (lap_number between 1 and 250),
    is_neutralized boolean not null,
    cost_s double precision not null check (cost_s between -100000 and 100000),
    field_cost_s double precision check (field_cost_s between -100000 and 100000),
    lost_s double precision check (lost_s between -100000 and 100000),
    primary key (entry_id, model_version, profile_name, stop_number),
    foreign key (entry_id, model_version, profile_name)
        references core.driver_metrics on delete cascade
);

comment on table core.pit_cycles is 'One row per stop whose cost is known, under a profile.';
comment on column core.pit_cycles.entry_id is 'the driver in a session';
comment on column core.pit_cycles.stop_number is '1 is the first stop';
comment on column core.pit_cycles.profile_name is 'calibration profile of the constants';
comment on column core.pit_cycles.model_version is 'grading model';
comment on column core.pit_cycles.lap_number is 'in-lap';
comment on column core.pit_cycles.is_neutralized is 'in- or out-lap under safety car or the like';
comment on column core.pit_cycles.cost_s is
    'in- and out-lap beyond the field''s and the own pace, in seconds';
comment on column core.pit_cycles.field_cost_s is
    'median of the field''s comparable stops, in seconds';
comment on column core.pit_cycles.lost_s is
    'positive is slower than the field''s stops, in seconds';

-- migrate: rollback

drop table core.pit_cycles;
drop table core.slow_laps;
drop table core.pass_events;
drop table core.session_evidence;
drop table core.grade_evidence;
drop table public.qualifying;

-- What only later models have goes; what was published of it stays, without its grade.
delete from core.driver_metrics where model_version <> 'v1';
update ops.revision_summaries set total_grade = null where model_version <> 'v1';

alter table ops.revision_summaries
    drop column grade,
    drop column grade_low,
    drop column grade_high,
    drop constraint revision_summaries_total_grade_check,
    add constraint revision_summaries_total_grade_check check (total_grade between -0.1 and 1);

alter table core.driver_metrics
    drop column total_grade_low,
    drop column total_grade_high,
    drop column grade,
    drop column grade_low,
    drop column grade_high,
    drop constraint driver_metrics_total_grade_check,
    add constraint driver_metrics_total_grade_check check (total_grade between -0.1 and 1),
    drop constraint total_rests_on_evidence,
    add constraint total_rests_on_evidence check (
        (has_consistency_evidence and has_racecraft_evidence) = (total_grade is not null)
    );
