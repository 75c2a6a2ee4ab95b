-- Word of what has changed, for caches; written in the transaction that changed it
-- depends: 0011_validation

-- migrate: apply

create table ops.profile_activations (
    activation_number integer generated always as identity primary key,
    profile_name text not null,
    profile_version integer not null,
    activated_at timestamptz not null default now(),
    application_name text not null default current_setting('application_name'),
    foreign key (profile_name, profile_version)
        references config.calibration_profiles on delete cascade
);

comment on table ops.profile_activations is
    'One row per time that another profile became the active one.';
comment on column ops.profile_activations.activation_number is
    'order of the activations; numbers may be left out';
comment on column ops.profile_activations.profile_name is 'the profile that became active';
comment on column ops.profile_activations.profile_version is 'its version';
comment on column ops.profile_activations.activated_at is 'when, UTC';
comment on column ops.profile_activations.application_name is 'program that activated it';

create table ops.outbox (
    outbox_id bigint generated always as identity primary key,
    topic text not null check (topic in ('session', 'profile')),
    session_id text check (session_id ~ '^\d{4}-\d{1,2}(-sprint)?$'),
    load_id bigint references ops.loads on delete cascade,
    activation_number integer references ops.profile_activations on delete cascade,
    created_at timestamptz not null default now(),
    attempts integer not null default 0 check (attempts >= 0),
    last_error text check (char_length(last_error) between 1 and 1000),
    done_at timestamptz,
    parked_at timestamptz,
    constraint outbox_names_what_changed check (
        (topic = 'session') = (session_id is not null)
        and (topic = 'session') = (load_id is not null)
        and (topic = 'profile') = (activation_number is not null)
    ),
    constraint outbox_ends_once check (done_at is null or parked_at is null),
    constraint outbox_parked_with_reason check (parked_at is null or last_error is not null)
);

create index on ops.outbox (load_id);
create index on ops.outbox (activation_number);
create index on ops.profile_activations (profile_name, profile_version);
create index outbox_waiting on ops.outbox (outbox_id) where done_at is null and parked_at is null;

comment on table ops.outbox is
    'One row per loaded session and per activation of a profile, until its handling is forgotten.';
comment on column ops.outbox.outbox_id is 'order of handling';
comment on column ops.outbox.topic is 'session: it was loaded; profile: another one is active';
comment on column ops.outbox.session_id is 'slug that the session was loaded under';
comment on column ops.outbox.load_id is 'the load; answers of earlier ones are old';
comment on column ops.outbox.activation_number is
    'the activation; answers under earlier ones are old';
comment on column ops.outbox.created_at is 'when it changed, UTC';
comment on column ops.outbox.attempts is 'how often handling it ended';
comment on column ops.outbox.last_error is 'why the last attempt failed; null if none did';
comment on column ops.outbox.done_at is 'when it was handled, UTC';
comment on column ops.outbox.parked_at is 'when it was given up, UTC';

-- migrate: rollback

drop table ops.outbox;
drop table ops.profile_activations;
