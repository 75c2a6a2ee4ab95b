-- Makes the calendar of season $1 equal to the staged one, by event. What was ingested keeps
-- its status, and its round unless the event has another one. A start that is not staged is
-- kept if the session is still held within a day of it.
with incoming as (
    select * from pg_temp.stage_calendar
),
wanted as (
    select
        stored.event_key,
        stored.session_kind,
        coalesce(incoming.event_name, stored.event_name) as event_name,
        case
            when incoming.event_key is null then stored.starts_at
            when incoming.starts_at is not null then incoming.starts_at
            when abs((stored.starts_at at time zone 'UTC')::date - incoming.session_date) <= 1
                then stored.starts_at
        end as starts_at,
        case
            when stored.status = 'ingested' then 'ingested'
            when incoming.event_key is null or incoming.is_cancelled then 'cancelled'
            when stored.status = 'cancelled' then 'scheduled'
            else stored.status
        end as status,
        case
            when stored.status = 'ingested' then stored.status_reason
            when incoming.is_cancelled then 'cancelled in the calendar'
            when incoming.event_key is not null and stored.status <> 'cancelled'
                then stored.status_reason
            when incoming.event_key is not null then null
            when stored.status = 'cancelled' then stored.status_reason
            else 'no longer in the calendar'
        end as status_reason,
        case
            when incoming.event_key is not null and not incoming.is_cancelled
                then incoming.round
            when stored.status = 'ingested' then coalesce(event.round, stored.round)
        end as round,
        case
            when stored.status = 'cancelled' and incoming.event_key is not null
                and not incoming.is_cancelled
                then 0
            else stored.attempts
        end as attempts
    from public.calendar_events as stored
    left join incoming
        on incoming.event_key = stored.event_key
        and incoming.session_kind = stored.session_kind
    left join (
        select event_key, min(round) as round
        from incoming
        where not is_cancelled
        group by event_key
    ) as event on event.event_key = stored.event_key
    where stored.season = $1::integer
),
updated as (
    update public.calendar_events as stored
    set (event_name, starts_at, status, status_reason, round, attempts, updated_at) = (
        wanted.event_name, wanted.starts_at, wanted.status, wanted.status_reason, wanted.round,
        wanted.attempts, now()
    )
    from wanted
    where stored.event_key = wanted.event_key
        and stored.session_kind = wanted.session_kind
        and (
            stored.event_name, stored.starts_at, stored.status, stored.status_reason,
            stored.round, stored.attempts
        ) is distinct from (
            wanted.event_name, wanted.starts_at, wanted.status, wanted.status_reason,
            wanted.round, wanted.attempts
        )
    returning 1
),
inserted as (
    insert into public.calendar_events (
        season, round, session_kind, event_name, starts_at, status, status_reason, event_key
    )
    select
        season,
        case when not is_cancelled then round end,
        session_kind,
        event_name,
        starts_at,
        case when is_cancelled then 'cancelled' else 'scheduled' end,
        case when is_cancelled then 'cancelled in the calendar' end,
        event_key
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
    (select count(*) from updated) as updated
