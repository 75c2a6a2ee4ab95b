-- What a grade rests on: a component without evidence is null, and says so
-- depends: 0007_filled_columns

-- migrate: apply

alter table core.driver_metrics
    alter column expected_delta_s drop not null,
    alter column consistency_raw drop not null,
    alter column team_strategy_raw drop not null,
    alter column racecraft_raw drop not null,
    alter column penalties_raw drop not null,
    alter column consistency_score drop not null,
    alter column team_strategy_score drop not null,
    alter column racecraft_score drop not null,
    alter column penalty_score drop not null,
    alter column on_track_events drop not null,
    alter column pit_cycle_events drop not null,
    alter column total_grade drop not null,
    add column has_consistency_evidence boolean not null default true,
    add column has_team_strategy_evidence boolean not null default true,
    add column has_racecraft_evidence boolean not null default true,
    add column has_penalty_evidence boolean not null default true;

-- Rows from before have every number; the next ingest or regrade says what they rest on.
alter table core.driver_metrics
    alter column has_consistency_evidence drop default,
    alter column has_team_strategy_evidence drop default,
    alter column has_racecraft_evidence drop default,
    alter column has_penalty_evidence drop default,
    add constraint consistency_rests_on_evidence
        check (has_consistency_evidence = (consistency_score is not null)),
    add constraint team_strategy_rests_on_evidence
        check (has_team_strategy_evidence = (team_strategy_score is not null)),
    add constraint racecraft_rests_on_evidence
        check (has_racecraft_evidence = (racecraft_score is not null)),
    add constraint penalty_rests_on_evidence
        check (has_penalty_evidence = (penalty_score is not null)),
    add constraint total_rests_on_evidence check (
        (has_consistency_evidence and has_racecraft_evidence) = (total_grade is not null)
    );

comment on column core.driver_metrics.has_consistency_evidence is 'the driver has clean laps';
comment on column core.driver_metrics.has_team_strategy_evidence is
    'the driver stopped, and a field did';
comment on column core.driver_metrics.has_racecraft_evidence is
    'passes of the driver would be known';
comment on column core.driver_metrics.has_penalty_evidence is
    'penalties of the driver would be known';

-- migrate: rollback

delete from core.driver_metrics where total_grade is null or team_strategy_score is null
    or penalty_score is null;

alter table core.driver_metrics
    drop column has_consistency_evidence,
    drop column has_team_strategy_evidence,
    drop column has_racecraft_evidence,
    drop column has_penalty_evidence,
    alter column expected_delta_s set not null,
    alter column consistency_raw set not null,
    alter column team_strategy_raw set not null,
    alter column racecraft_raw set not null,
    alter column penalties_raw set not null,
    alter column consistency_score set not null,
    alter column team_strategy_score set not null,
    alter column racecraft_score set not null,
    alter column penalty_score set not null,
    alter column on_track_events set not null,
    alter column pit_cycle_events set not null,
    alter column total_grade set not null;
