-- Calibration profiles, and the record of loads
-- depends: 0002_sessions

-- migrate: apply

create table config.calibration_profiles (
    profile_name text not null check (profile_name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    profile_version integer not null check (profile_version >= 1),
    body jsonb not null check (jsonb_typeof(body) = 'object'),
    is_active boolean not null default false,
    created_at timestamptz not null default now(),
    primary key (profile_name, profile_version)
);

create unique index calibration_profiles_one_active
    on config.calibration_profiles (is_active) where is_active;

comment on table config.calibration_profiles is
    'One row per version of a calibration profile; a version never changes.';
comment on column config.calibration_profiles.profile_name is 'what the profile is called';
comment on column config.calibration_profiles.profile_version is '1 is the first of that name';
comment on column config.calibration_profiles.body is
    'the profile as JSON, name and version included';
comment on column config.calibration_profiles.is_active is
    'used when none is named; true in one row at most';
comment on column config.calibration_profiles.created_at is 'when it was imported, UTC';

create table ops.loads (
    load_id bigint generated always as identity primary key,
    race_id bigint not null references core.races on delete cascade,
    data_source text not null check (data_source ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    data_hash text not null check (char_length(data_hash) between 1 and 200),
    profile_name text not null,
    profile_version integer not null,
    model_version text not null check (model_version ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    row_counts jsonb not null check (jsonb_typeof(row_counts) = 'object'),
    changed_rows bigint not null check (changed_rows >= 0),
    loaded_at timestamptz not null default now(),
    application_name text not null,
    foreign key (profile_name, profile_version) references config.calibration_profiles
);

create index on ops.loads (race_id, load_id);
create index on ops.loads (profile_name, profile_version);

comment on table ops.loads is
    'One row per load that stored a session; written in the same transaction as its rows.';
comment on column ops.loads.load_id is 'order of the loads';
comment on column ops.loads.race_id is 'the session';
comment on column ops.loads.data_source is 'provider the session was fetched from';
comment on column ops.loads.data_hash is 'hash of the loaded data, as the loader was given it';
comment on column ops.loads.profile_name is 'calibration profile of the loaded grades';
comment on column ops.loads.profile_version is 'version of that profile';
comment on column ops.loads.model_version is 'grading model of the loaded grades';
comment on column ops.loads.row_counts is 'table → rows the session has in it after the load';
comment on column ops.loads.changed_rows is 'rows inserted, updated and deleted';
comment on column ops.loads.loaded_at is 'when the load began, UTC';
comment on column ops.loads.application_name is 'program that loaded it';

-- migrate: rollback

drop table ops.loads;
drop table config.calibration_profiles;
