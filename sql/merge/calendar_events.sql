-- Notes in the calendar that the staged sessions are ingested, and when they should be fetched
-- again, unless that is to stay as it is. A start that is already known is kept if the session
-- does not tell it.
with incoming as (
    select
        staged.session_id,
        places.event_key,
        staged.season, staged.round, staged.session_kind, staged.event_name,
        staged.started_at as starts_at,
        places.refetch_at, places.keeps_refetch
    from pg_temp.stage_sessions as staged
    join pg_temp.stage_places as places on places.session_id = staged.session_id
),
updated as (
    update public.calendar_events as stored
    set
        round = incoming.round,
        event_name = incoming.event_name,
        starts_at = coalesce(incoming.starts_at, stored.starts_at),
        status = 'ingested',
        status_reason = null,
        refetch_at =
            case when incoming.keeps_refetch then stored.refetch_at else incoming.refetch_at end,
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
            null,
            case when incoming.keeps_refetch then stored.refetch_at else incoming.refetch_at end
        )
    returning incoming.session_id
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
    returning event_key, session_kind
)
select incoming.session_id, 1::bigint as inserted, 0::bigint as updated, 0::bigint as deleted
from inserted
join incoming
    on incoming.event_key = inserted.event_key
    and incoming.session_kind = inserted.session_kind
union all
select session_id, 0, 1, 0
from updated
