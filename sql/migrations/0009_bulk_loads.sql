-- Loads of many sessions at once, graded in any number of ways
-- depends: 0008_evidence

-- migrate: apply

alter table ops.loads
    add column gradings jsonb not null default '[]' check (jsonb_typeof(gradings) = 'array'),
    alter column profile_name drop not null,
    alter column profile_version drop not null,
    alter column model_version drop not null;

update ops.loads
set gradings = jsonb_build_array(
    jsonb_build_object(
        'profile_name', profile_name,
        'profile_version', profile_version,
        'model_version', model_version
    )
);

alter table ops.loads alter column gradings drop default;

alter table ops.revision_summaries
    alter column profile_name drop not null,
    alter column profile_version drop not null,
    alter column model_version drop not null;

comment on column ops.loads.gradings is
    'what the load says all grades of: [{"profile_name", "profile_version", "model_version"}]';
comment on column ops.loads.profile_name is
    'profile of the grade that summaries show: the active one if it is among the gradings, else '
    'the first by name; null without gradings';
comment on column ops.loads.changed_rows is
    'rows of the session inserted, updated and deleted; those of no one session are not counted';
comment on column ops.revision_summaries.profile_name is
    'calibration profile of the grade; null if the load had none';
comment on column core.circuits.circuit_name is 'name in the newest session that knows it';
comment on column core.teams.team_name is 'name in the newest session';
comment on column core.drivers.driver_name is 'full name in the newest session';
comment on column core.drivers.driver_code is
    'three-letter code in the newest session that knows it; reused over eras';

-- migrate: rollback

delete from ops.revision_summaries where profile_name is null;
delete from ops.loads where profile_name is null;

alter table ops.revision_summaries
    alter column profile_name set not null,
    alter column profile_version set not null,
    alter column model_version set not null;

alter table ops.loads
    alter column profile_name set not null,
    alter column profile_version set not null,
    alter column model_version set not null,
    drop column gradings;
