-- Another event than $1 that stands in season $2 at round $3, with a session of kind $4 or of
-- a kind that event $1 has too; its race if it has one there. No row if there is none.
with kinds as (
    select $4::text as session_kind
    union
    select session_kind from core.races where event_key = $1
    union
    select session_kind from public.calendar_events
    where event_key = $1 and status <> 'cancelled'
),
occupants as (
    select event_key, event_name, session_kind, true as is_race
    from core.races
    where season = $2::integer and round = $3::integer
    union all
    select event_key, event_name, session_kind, false
    from public.calendar_events
    where season = $2::integer and round = $3::integer
)
select occupants.event_key, occupants.event_name, occupants.is_race
from occupants
join kinds on kinds.session_kind = occupants.session_kind
where occupants.event_key <> $1
order by occupants.is_race desc, occupants.event_key
limit 1
