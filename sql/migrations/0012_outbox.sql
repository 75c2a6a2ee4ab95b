-- Word of what has changed, for caches; written in the transaction that changed it
-- depends: 0011_validation

-- migrate: apply

create table ops.outbox (
    outbox_id bigint generated always as identity primary key,
    topic text not null check (topic in ('session', 'profile')),
    session_id text check (session_id ~ '^\d{4}-\d{1,2}(-sprint)?$'),
    load_id bigint references ops.loads on delete cascade,
    activation_number integer check (activation_number >= 1),
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
create index outbox_waiting on ops.outbox (outbox_id) where done_at is null and parked_at is null;

alter table config.calibration_profiles
    add column activation_number integer unique check (activation_number >= 1);

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
comment on column config.calibration_profiles.activation_number is
    'the newest of its activations, 1, 2, 3 … over all profiles; null before such were numbered';

-- migrate: rollback

alter table config.calibration_profiles drop column activation_number;
drop table ops.outbox;
