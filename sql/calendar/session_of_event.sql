-- The round at which the calendar has the session of event $1 and kind $2; no row if none.
select round
from public.calendar_events
where event_key = $1
    and session_kind = $2
    and round is not null
