-- Deletes the session of event $1 and kind $2 from the calendar.
delete from public.calendar_events
where event_key = $1
    and session_kind = $2
