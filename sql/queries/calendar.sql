-- The calendar of season $1, or (null) of all seasons, in order; cancelled sessions, which have
-- no round, come last.
select
    season,
    round,
    session_kind,
    event_name,
    starts_at,
    status,
    status_reason,
    updated_at,
    event_key,
    attempts,
    last_attempt_at,
    refetch_at
from public.calendar_events
where $1::integer is null or season = $1::integer
order by season, round, session_kind, event_key
