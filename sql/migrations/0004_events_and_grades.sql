-- Overtakes, stops and penalties, and the grades made of them
-- depends: 0003_profiles_and_loads

-- migrate: apply

create table core.overtake_events (
    entry_id bigint not null references core.entries on delete cascade,
    overtake_number integer not null check (overtake_number >= 1),
    kind text not null check (kind in ('on_track', 'pit_cycle', 'start', 'neutralized')),
    lap_number smallint check (lap_number between 1 and 250),
    opponent_id text references core.drivers,
    is_success boolean not null,
    is_penalized boolean,
    exposure_time_s double precision check (exposure_time_s between 0 and 100000),
    car_pace_difference_s double precision check (car_pace_difference_s between -10000 and 10000),
    tyre_age_difference_laps double precision
        check (tyre_age_difference_laps between -1000 and 1000),
    compound_difference double precision check (compound_difference between -20 and 20),
    ers_difference double precision check (ers_difference between -10000 and 10000),
    track_difficulty double precision check (track_difficulty between -10 and 10),
    race_phase_pressure double precision check (race_phase_pressure between -10 and 10),
    primary key (entry_id, overtake_number)
);

create index on core.overtake_events (opponent_id);

comment on table core.overtake_events is
    'One row per place gained from another running car, seen from the car that gained it.';
comment on column core.overtake_events.entry_id is 'the driver in a session';
comment on column core.overtake_events.overtake_number is 'order within the driver''s session';
comment on column core.overtake_events.kind is 'only on_track counts for racecraft';
comment on column core.overtake_events.lap_number is 'lap of the exchange';
comment on column core.overtake_events.opponent_id is 'driver passed';
comment on column core.overtake_events.is_success is 'the place was gained';
comment on column core.overtake_events.is_penalized is 'the stewards punished the move';
comment on column core.overtake_events.exposure_time_s is 'time spent attacking, in seconds';
comment on column core.overtake_events.car_pace_difference_s is
    'own car''s base delta minus the opponent''s, in seconds';
comment on column core.overtake_events.tyre_age_difference_laps is
    'opponent''s tyre life minus the own; positive is an advantage, in laps';
comment on column core.overtake_events.compound_difference is
    'steps by which the own slick is softer; positive is an advantage';
comment on column core.overtake_events.ers_difference is 'battery advantage';
comment on column core.overtake_events.track_difficulty is '0 easy to pass, 1 near impossible';
comment on column core.overtake_events.race_phase_pressure is '0 at the start, 1 at the flag';

create table core.strategy_events (
    entry_id bigint not null references core.entries on delete cascade,
    stop_number smallint not null check (stop_number between 1 and 100),
    actual_lap smallint not null check (actual_lap between 1 and 250),
    optimal_lap double precision check (optimal_lap between 1 and 250),
    late_laps double precision check (late_laps between -250 and 250),
    compound_before text check (
        compound_before in (
            'HYPERSOFT', 'ULTRASOFT', 'SUPERSOFT', 'SOFT', 'MEDIUM',
            'HARD', 'SUPERHARD', 'INTERMEDIATE', 'WET'
        )
    ),
    compound_after text check (
        compound_after in (
            'HYPERSOFT', 'ULTRASOFT', 'SUPERSOFT', 'SOFT', 'MEDIUM',
            'HARD', 'SUPERHARD', 'INTERMEDIATE', 'WET'
        )
    ),
    tyre_life_laps smallint check (tyre_life_laps between 0 and 250),
    is_under_red_flag boolean not null,
    primary key (entry_id, stop_number)
);

comment on table core.strategy_events is
    'One row per tyre change, against what the field did at that stop.';
comment on column core.strategy_events.entry_id is 'the driver in a session';
comment on column core.strategy_events.stop_number is '1 is the first stop';
comment on column core.strategy_events.actual_lap is 'in-lap of the stop';
comment on column core.strategy_events.optimal_lap is 'field''s median lap of this stop';
comment on column core.strategy_events.late_laps is 'actual minus optimal, in laps';
comment on column core.strategy_events.compound_before is 'tyre taken off';
comment on column core.strategy_events.compound_after is 'tyre fitted';
comment on column core.strategy_events.tyre_life_laps is 'age of the old set, in laps';
comment on column core.strategy_events.is_under_red_flag is
    'free stop under a red flag, left out of the score';

create table core.penalty_events (
    entry_id bigint not null references core.entries on delete cascade,
    penalty_number smallint not null check (penalty_number between 1 and 100),
    kind text not null check (kind in ('time', 'drive_through', 'stop_and_go')),
    lap_number smallint check (lap_number between 0 and 250),
    time_loss_s double precision not null check (time_loss_s between 0 and 10000),
    message text not null check (char_length(message) <= 1000),
    source text not null check (source ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    primary key (entry_id, penalty_number)
);

comment on table core.penalty_events is
    'One row per penalty the stewards gave for driving, as announced by race control.';
comment on column core.penalty_events.entry_id is 'the driver in a session';
comment on column core.penalty_events.penalty_number is 'order within the driver''s session';
comment on column core.penalty_events.kind is 'time, drive-through or stop-and-go';
comment on column core.penalty_events.lap_number is 'leader''s lap when announced';
comment on column core.penalty_events.time_loss_s is 'what the penalty costs, in seconds';
comment on column core.penalty_events.message is 'the stewards'' words';
comment on column core.penalty_events.source is 'table the penalty was read from';

create table core.driver_metrics (
    entry_id bigint not null references core.entries on delete cascade,
    profile_name text not null,
    profile_version integer not null,
    model_version text not null check (model_version ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    expected_delta_s double precision not null check (expected_delta_s between -10000 and 10000),
    consistency_raw double precision not null check (consistency_raw between 0 and 1),
    team_strategy_raw double precision not null check (team_strategy_raw between 0 and 1),
    racecraft_raw double precision not null check (racecraft_raw between 0 and 1),
    penalties_raw double precision not null check (penalties_raw between 0 and 1),
    consistency_score double precision not null check (consistency_score between 0 and 1),
    team_strategy_score double precision not null check (team_strategy_score between 0 and 1),
    racecraft_score double precision not null check (racecraft_score between 0 and 1),
    penalty_score double precision not null check (penalty_score between 0 and 1),
    on_track_events integer not null check (on_track_events >= 0),
    pit_cycle_events integer not null check (pit_cycle_events >= 0),
    total_grade double precision not null check (total_grade between -0.1 and 1),
    data_source text not null check (data_source ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    inputs_hash text not null check (inputs_hash ~ '^[0-9a-f]{64}$'),
    graded_at timestamptz not null default now(),
    primary key (entry_id, model_version, profile_name),
    foreign key (profile_name, profile_version) references config.calibration_profiles
);

create index on core.driver_metrics (profile_name, profile_version);

comment on table core.driver_metrics is
    'One row per driver, session, profile and model version: the grade and where it comes from.';
comment on column core.driver_metrics.entry_id is 'the driver in a session';
comment on column core.driver_metrics.profile_name is 'calibration profile';
comment on column core.driver_metrics.profile_version is 'version of that profile';
comment on column core.driver_metrics.model_version is 'grading model';
comment on column core.driver_metrics.expected_delta_s is
    'lap delta expected of the car and the driver''s form, in seconds';
comment on column core.driver_metrics.consistency_raw is 'consistency before normalisation';
comment on column core.driver_metrics.team_strategy_raw is 'team strategy before normalisation';
comment on column core.driver_metrics.racecraft_raw is 'racecraft before normalisation';
comment on column core.driver_metrics.penalties_raw is
    'penalty burden before normalisation, 0 is none';
comment on column core.driver_metrics.consistency_score is
    'how closely clean laps follow the expected delta, 0 to 1';
comment on column core.driver_metrics.team_strategy_score is
    'stops against the field; not part of the total, 0 to 1';
comment on column core.driver_metrics.racecraft_score is
    'passes on track, weighted by difficulty, 0 to 1';
comment on column core.driver_metrics.penalty_score is 'penalty burden, 0 is none, 1 is full';
comment on column core.driver_metrics.on_track_events is 'overtakes on track';
comment on column core.driver_metrics.pit_cycle_events is 'places gained in any other way';
comment on column core.driver_metrics.total_grade is '0.55 C + 0.45 R − 0.10 P';
comment on column core.driver_metrics.data_source is 'provider of the graded session';
comment on column core.driver_metrics.inputs_hash is
    'SHA-256 of the driver''s inputs and overtakes';
comment on column core.driver_metrics.graded_at is 'when this row got its values, UTC';

-- migrate: rollback

drop table core.driver_metrics;
drop table core.penalty_events;
drop table core.strategy_events;
drop table core.overtake_events;
