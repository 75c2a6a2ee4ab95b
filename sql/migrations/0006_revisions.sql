-- Revisions of a session's data, and what a load knows of its completeness
-- depends: 0005_event_identity

-- migrate: apply

alter table ops.loads
    add column data_revision integer check (data_revision >= 1),
    add column refused_providers jsonb not null default '[]'
        check (jsonb_typeof(refused_providers) = 'array'),
    add column completeness text not null default 'complete'
        check (completeness in ('complete', 'incomplete')),
    add column completeness_reasons jsonb check (jsonb_typeof(completeness_reasons) = 'array'),
    add constraint loads_incomplete_with_reasons
        check ((completeness = 'incomplete') = (completeness_reasons is not null));

update ops.loads as stored
set data_revision = numbered.data_revision
from (
    select load_id, row_number() over (partition by race_id order by load_id) as data_revision
    from ops.loads
    where changed_rows > 0
) as numbered
where numbered.load_id = stored.load_id;

alter table ops.loads add unique (race_id, data_revision);

comment on column ops.loads.data_revision is
    '1, 2, 3 … per session, of the loads that changed something; null of the others';
comment on column ops.loads.refused_providers is
    'providers tried before this one and why each was refused: [{"provider", "reason"}]';
comment on column ops.loads.completeness is
    'incomplete if the source is known to lack something of the session';
comment on column ops.loads.completeness_reasons is 'what it lacks; null if complete';

create table ops.revision_summaries (
    race_id bigint not null,
    data_revision integer not null,
    driver_id text not null check (char_length(driver_id) between 1 and 100),
    position smallint,
    points double precision check (points between 0 and 100),
    status text not null,
    completed_laps smallint,
    total_grade double precision check (total_grade between -0.1 and 1),
    consistency_score double precision check (consistency_score between 0 and 1),
    team_strategy_score double precision check (team_strategy_score between 0 and 1),
    racecraft_score double precision check (racecraft_score between 0 and 1),
    penalty_score double precision check (penalty_score between 0 and 1),
    profile_name text not null,
    profile_version integer not null,
    model_version text not null,
    primary key (race_id, data_revision, driver_id),
    foreign key (race_id, data_revision)
        references ops.loads (race_id, data_revision) on delete cascade
);

comment on table ops.revision_summaries is
    'One row per driver and revision of a session: what was published then. Never changed.';
comment on column ops.revision_summaries.race_id is 'the session';
comment on column ops.revision_summaries.data_revision is 'revision of the session''s data';
comment on column ops.revision_summaries.driver_id is 'Jolpica''s stable id of the driver';
comment on column ops.revision_summaries.position is 'place in the official order';
comment on column ops.revision_summaries.points is 'championship points';
comment on column ops.revision_summaries.status is 'how the session ended for the driver';
comment on column ops.revision_summaries.completed_laps is 'laps credited';
comment on column ops.revision_summaries.total_grade is 'the grade; null if not graded';
comment on column ops.revision_summaries.consistency_score is 'consistency, 0 to 1';
comment on column ops.revision_summaries.team_strategy_score is 'team strategy, 0 to 1';
comment on column ops.revision_summaries.racecraft_score is 'racecraft, 0 to 1';
comment on column ops.revision_summaries.penalty_score is 'penalty burden, 0 is none';
comment on column ops.revision_summaries.profile_name is 'calibration profile of the grade';
comment on column ops.revision_summaries.profile_version is 'version of that profile';
comment on column ops.revision_summaries.model_version is 'grading model';

-- Of what was replaced before now, no summary can be made.
insert into ops.revision_summaries (
    race_id, data_revision, driver_id, position, points, status, completed_laps, total_grade,
    consistency_score, team_strategy_score, racecraft_score, penalty_score, profile_name,
    profile_version, model_version
)
select
    loads.race_id, loads.data_revision, entries.driver_id, entries.position, entries.points,
    entries.status, entries.completed_laps, metrics.total_grade, metrics.consistency_score,
    metrics.team_strategy_score, metrics.racecraft_score, metrics.penalty_score,
    loads.profile_name, loads.profile_version, loads.model_version
from ops.loads
join core.entries on entries.race_id = loads.race_id
left join core.driver_metrics as metrics
    on metrics.entry_id = entries.entry_id
    and metrics.profile_name = loads.profile_name
    and metrics.profile_version = loads.profile_version
    and metrics.model_version = loads.model_version
where loads.data_revision = (
    select max(newest.data_revision) from ops.loads as newest where newest.race_id = loads.race_id
);

-- migrate: rollback

drop table ops.revision_summaries;

alter table ops.loads
    drop constraint loads_incomplete_with_reasons,
    drop column completeness_reasons,
    drop column completeness,
    drop column refused_providers,
    drop column data_revision;
