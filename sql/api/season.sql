-- Season $1 by sessions of kind $2: how many are stored and how many the calendar has; and when
-- the last of them was loaded. No row if nothing is known of the season.
with stored as (
    select races.race_id
    from core.races
    where races.season = $1::smallint
        and races.session_kind = $2::text
)
select
    seasons.season::integer as season,
    (select count(*) from stored)::integer as sessions_stored,
    (
        select count(*)
        from public.calendar_events as calendar
        where calendar.season = seasons.season
            and calendar.session_kind = $2::text
            and calendar.status <> 'cancelled'
    )::integer as sessions_planned,
    (
        select max(loads.loaded_at)
        from ops.loads
        where loads.race_id in (select stored.race_id from stored)
    ) as last_updated
from core.seasons
where seasons.season = $1::smallint
