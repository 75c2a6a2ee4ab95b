-- Notes in the calendar that the staged session, which is of event $1, is ingested, and when it
-- should be fetched again ($2, null for never). A start that is already known is kept if the
-- session does not tell it.
with incoming as (
    select
        $1::text as event_key,
        season, round, session_kind, event_name,
        started_at as starts_at,
        $2::text::timestamptz as refetch_at
    from pg_temp.stage_sessions
),
updated as (
    update public.calendar_events as stored
    set
        round = incoming.round,
        event_name = incoming.event_name,
        starts_at = coalesce(incoming.starts_at, stored.starts_at),
        status = 'ingested',
        status_reason = null,
        refetch_at = incoming.refetch_at,
        updated_at = now()
    from incoming
    where stored.event_key = incoming.event_key
        and stored.session_kind = incoming.session_kind
        and (
            stored.round, stored.event_name, stored.starts_at, stored.status,
            stored.status_reason, stored.refetch_at
        ) is distinct from (
            incoming.round, incoming.event_name,
            coalesce(incoming.starts_at, stored.starts_at), 'ingested',
            null, incoming.refetch_at
        )
    returning 1
),
inserted as (
    insert into public.calendar_events (
        season, round, session_kind, event_name, starts_at, status, event_key, refetch_at
    )
    select
        season, round, session_kind, event_name, starts_at, 'ingested', event_key, refetch_at
    from incoming
    where not exists (
        select from public.calendar_events as stored
        where stored.event_key = incoming.event_key
            and stored.session_kind = incoming.session_kind
    )
    returning 1
)
select
    (select count(*) from inserted) as inserted,
    (select count(*) from updated) as updated,
    0::bigint as deleted
