-- Notes in the calendar that the staged session is ingested. A start that is already known is
-- kept if the session does not tell it.
with incoming as (
    select season, round, session_kind, event_name, started_at as starts_at
    from pg_temp.stage_sessions
),
updated as (
    update public.calendar_events as stored
    set
        event_name = incoming.event_name,
        starts_at = coalesce(incoming.starts_at, stored.starts_at),
        status = 'ingested',
        status_reason = null,
        updated_at = now()
    from incoming
    where (stored.season, stored.round, stored.session_kind)
            = (incoming.season, incoming.round, incoming.session_kind)
        and (stored.event_name, stored.starts_at, stored.status, stored.status_reason)
            is distinct from (
                incoming.event_name,
                coalesce(incoming.starts_at, stored.starts_at),
                'ingested',
                null
            )
    returning 1
),
inserted as (
    insert into public.calendar_events (
        season, round, session_kind, event_name, starts_at, status
    )
    select season, round, session_kind, event_name, starts_at, 'ingested'
    from incoming
    where not exists (
        select from public.calendar_events as stored
        where (stored.season, stored.round, stored.session_kind)
            = (incoming.season, incoming.round, incoming.session_kind)
    )
    returning 1
)
select
    (select count(*) from inserted) as inserted,
    (select count(*) from updated) as updated,
    0::bigint as deleted
