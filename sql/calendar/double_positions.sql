-- Positions of season $1 at which two events stand, in the calendar or with stored races; what
-- the staged calendar lists comes first.
with standing as (
    select event_key, event_name, round, session_kind, true as is_race
    from core.races
    where season = $1::integer
    union all
    select event_key, event_name, round, session_kind, false
    from public.calendar_events
    where season = $1::integer and round is not null
)
select distinct
    listed.season,
    listed.round,
    listed.session_kind,
    listed.event_name as listed_name,
    listed.event_key as listed_key,
    standing.event_name as standing_name,
    standing.event_key as standing_key
from pg_temp.stage_calendar as listed
join standing
    on standing.round = listed.round
    and standing.session_kind = listed.session_kind
    and standing.event_key <> listed.event_key
where not listed.is_cancelled
order by listed.round, listed.session_kind
