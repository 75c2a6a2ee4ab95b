-- Makes event $2 part of event $1, which it turned out to be: its names, and its races unless
-- $1 has its own of that kind. Of two rows in the calendar the one that was ingested stays.
with aliases as (
    update core.event_aliases
    set event_key = $1
    where event_key = $2
    returning 1
),
races as (
    update core.races as stored
    set event_key = $1
    where stored.event_key = $2
        and not exists (
            select from core.races as own
            where own.event_key = $1 and own.session_kind = stored.session_kind
        )
    returning stored.session_kind
),
superseded as (
    delete from public.calendar_events as stored
    where stored.event_key = $1
        and stored.session_kind in (select session_kind from races)
    returning stored.session_kind
),
calendar as (
    update public.calendar_events as stored
    set event_key = $1, updated_at = now()
    where stored.event_key = $2
        and (
            stored.session_kind in (select session_kind from superseded)
            or not exists (
                select from public.calendar_events as own
                where own.event_key = $1 and own.session_kind = stored.session_kind
            )
        )
    returning 1
)
select
    (select count(*) from aliases) as aliases,
    (select count(*) from races) as races,
    (select count(*) from calendar) as calendar
