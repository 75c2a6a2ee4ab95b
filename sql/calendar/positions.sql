-- What the calendar of season $1 says of each session, to be compared before and after.
select
    event_key,
    session_kind,
    case
        when round is not null then
            season || '-' || round
                || case session_kind when 'race' then '' else '-' || session_kind end
    end as session_id,
    event_name,
    starts_at,
    status
from public.calendar_events
where season = $1::integer
order by event_key, session_kind
