-- Sessions to be fetched at the moment $1 (text), the one that has waited longest first: those
-- that have ended, which is $2 s (Grand Prix) or $3 s (sprint) after the start, are not ingested
-- and were tried fewer than $4 times; and those that were incomplete and are to be fetched again.
-- After an attempt there is a pause of $5 s, twice as long after each further one, up to 32
-- times. A session whose start is not known is never due.
with sessions as (
    select
        season, round, session_kind, event_key, event_name, status, status_reason, attempts,
        last_attempt_at,
        case
            when status = 'ingested' then refetch_at
            when attempts < $4::integer
                then starts_at + make_interval(
                    secs => case session_kind when 'sprint' then $3::float8 else $2::float8 end
                )
        end as wanted_at,
        coalesce(
            last_attempt_at
                + make_interval(secs => $5::float8 * 2 ^ least(greatest(attempts - 1, 0), 5)),
            '-infinity'
        ) as rested_at
    from public.calendar_events
    where status <> 'cancelled'
)
select
    season || '-' || round
        || case session_kind when 'race' then '' else '-' || session_kind end as session_id,
    season,
    round,
    session_kind,
    event_name,
    case when status = 'ingested' then 'incomplete' else 'not ingested' end as why,
    status,
    status_reason,
    attempts,
    last_attempt_at,
    greatest(wanted_at, rested_at) as due_at,
    event_key
from sessions
where wanted_at is not null
    and greatest(wanted_at, rested_at) <= $1::text::timestamptz
order by due_at, season, round, session_kind
