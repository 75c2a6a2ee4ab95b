-- Identity of events that survives a new calendar, and the calendar's own upkeep
-- depends: 0004_events_and_grades

-- migrate: apply

create table core.event_aliases (
    alias text primary key check (char_length(alias) between 1 and 300),
    event_key text not null check (char_length(event_key) between 1 and 300),
    source text not null check (source ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    first_seen_at timestamptz not null default now()
);

create index on core.event_aliases (event_key);

comment on table core.event_aliases is
    'One row per name by which a source knows an event; an event''s key is one of them.';
comment on column core.event_aliases.alias is
    'f1-{meeting key}, or {season}-{circuit}-{date of a session}, or, of an event of which '
    'neither is known, {season}-{name}';
comment on column core.event_aliases.event_key is 'the event, whatever its round';
comment on column core.event_aliases.source is 'provider or calendar that first said so';
comment on column core.event_aliases.first_seen_at is 'when it first said so, UTC';

alter table core.races add column event_key text;

-- A session without a meeting key is of the event of the other session of its round, unless
-- circuit or date contradict; without circuit or date it is known by its name. Of an event that
-- is stored under two rounds, the race loaded last is the event, the other one a copy.
with facts as (
    select
        race_id, season, round, session_kind, circuit_id, meeting_key,
        coalesce(session_date, (started_at at time zone 'UTC')::date) as held_on,
        season || '-'
            || trim(both '-' from regexp_replace(lower(event_name), '[^a-z0-9]+', '-', 'g'))
            as named,
        (select max(load_id) from ops.loads where loads.race_id = races.race_id) as load_id
    from core.races
),
weekends as (
    select
        facts.race_id,
        min(weekend.meeting_key) as meeting_key,
        min(weekend.held_on) filter (where weekend.circuit_id = facts.circuit_id) as held_on
    from facts
    join facts as weekend
        on (weekend.season, weekend.round) = (facts.season, facts.round)
        and (weekend.circuit_id = facts.circuit_id) is not false
        and (abs(weekend.held_on - facts.held_on) <= 1) is not false
    group by facts.race_id
),
keyed as (
    select
        facts.race_id,
        facts.session_kind,
        facts.load_id,
        coalesce(
            'f1-' || facts.meeting_key,
            'f1-' || weekends.meeting_key,
            facts.season || '-' || facts.circuit_id || '-'
                || to_char(weekends.held_on, 'YYYY-MM-DD'),
            facts.named
        ) as event_key
    from facts
    join weekends on weekends.race_id = facts.race_id
),
numbered as (
    select
        race_id,
        event_key,
        row_number() over (
            partition by event_key, session_kind order by load_id desc nulls last, race_id desc
        ) as copy
    from keyed
)
update core.races as stored
set event_key = numbered.event_key
    || case numbered.copy when 1 then '' else '-copy-' || numbered.race_id end
from numbered
where numbered.race_id = stored.race_id;

alter table core.races
    alter column event_key set not null,
    add unique (event_key, session_kind),
    drop constraint races_slug_key,
    add constraint races_slug_key unique (slug) deferrable,
    drop constraint races_season_round_session_kind_key,
    add constraint races_season_round_session_kind_key
        unique (season, round, session_kind) deferrable;

comment on column core.races.event_key is
    'the event, whatever its round: the name under which it was first known here';

insert into core.event_aliases (alias, event_key, source)
select names.alias, races.event_key, min(races.data_source)
from core.races
cross join lateral (
    values
        (races.event_key),
        ('f1-' || races.meeting_key),
        (
            races.season || '-' || races.circuit_id || '-' || to_char(
                coalesce(races.session_date, (races.started_at at time zone 'UTC')::date),
                'YYYY-MM-DD'
            )
        )
) as names (alias)
where names.alias is not null
    and (races.event_key !~ '-copy-\d+$' or names.alias = races.event_key)
group by names.alias, races.event_key
on conflict (alias) do nothing;

alter table public.calendar_events
    add column event_key text,
    add column attempts integer not null default 0 check (attempts >= 0),
    add column last_attempt_at timestamptz,
    add column refetch_at timestamptz;

update public.calendar_events as stored
set event_key = races.event_key
from core.races
where (races.season, races.round, races.session_kind)
    = (stored.season, stored.round, stored.session_kind);

-- What was never loaded is known by its name until the calendar is synchronised.
with named as (
    select
        season,
        round,
        session_kind,
        season || '-'
            || trim(both '-' from regexp_replace(lower(event_name), '[^a-z0-9]+', '-', 'g'))
            as event_key,
        row_number() over (partition by season, event_name, session_kind order by round) as copy
    from public.calendar_events
    where event_key is null
)
update public.calendar_events as stored
set event_key = named.event_key
    || case
        when named.copy > 1
            or exists (select from core.races where races.event_key = named.event_key)
            then '-copy-' || named.round
        else ''
    end
from named
where (named.season, named.round, named.session_kind)
    = (stored.season, stored.round, stored.session_kind);

insert into core.event_aliases (alias, event_key, source)
select distinct event_key, event_key, 'calendar'
from public.calendar_events
on conflict (alias) do nothing;

alter table public.calendar_events
    alter column event_key set not null,
    drop constraint calendar_events_pkey,
    add primary key (event_key, session_kind),
    alter column round drop not null,
    add constraint calendar_events_position
        unique (season, round, session_kind) deferrable,
    drop constraint calendar_events_status_check,
    add constraint calendar_events_status_check
        check (status in ('scheduled', 'live', 'ingested', 'failed', 'cancelled')),
    add constraint calendar_events_round_unless_cancelled
        check (round is not null or status = 'cancelled');

comment on column public.calendar_events.round is
    'round within the season, testing not counted; null if cancelled';
comment on column public.calendar_events.status is
    'scheduled, live, ingested (its rows were stored and verified), failed or cancelled';
comment on column public.calendar_events.status_reason is
    'why it failed or was cancelled; null otherwise';
comment on column public.calendar_events.event_key is 'the event, whatever its round';
comment on column public.calendar_events.attempts is
    'how often it was tried to ingest, since it was scheduled';
comment on column public.calendar_events.last_attempt_at is 'when that was tried last, UTC';
comment on column public.calendar_events.refetch_at is
    'when it should be fetched again, UTC; null if nothing more is expected';

-- migrate: rollback

delete from public.calendar_events where status = 'cancelled';

alter table public.calendar_events
    drop constraint calendar_events_round_unless_cancelled,
    drop constraint calendar_events_status_check,
    add constraint calendar_events_status_check
        check (status in ('scheduled', 'live', 'ingested', 'failed')),
    drop constraint calendar_events_position,
    drop constraint calendar_events_pkey,
    alter column round set not null,
    add primary key (season, round, session_kind),
    drop column refetch_at,
    drop column last_attempt_at,
    drop column attempts,
    drop column event_key;

alter table core.races
    drop constraint races_season_round_session_kind_key,
    add constraint races_season_round_session_kind_key unique (season, round, session_kind),
    drop constraint races_slug_key,
    add constraint races_slug_key unique (slug),
    drop column event_key;

drop table core.event_aliases;
