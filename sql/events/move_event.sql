-- Gives the sessions of event $1 round $2, and their slugs with it; says which were moved.
with moved as (
    update core.races as stored
    set
        round = $2::smallint,
        slug = stored.season || '-' || $2::smallint
            || case stored.session_kind when 'race' then '' else '-' || stored.session_kind end
    from core.races as before
    where before.race_id = stored.race_id
        and stored.event_key = $1
        and stored.round <> $2::smallint
    returning before.slug as old_id, stored.slug as new_id
),
calendar as (
    update public.calendar_events
    set round = $2::smallint, updated_at = now()
    where event_key = $1
        and round <> $2::smallint
    returning 1
)
select old_id, new_id
from moved
order by old_id
