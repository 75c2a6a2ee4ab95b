-- Finds the events of those sessions of the JSON list $1 for which no rule has to decide, and
-- notes the names of new ones. Each knows session_id, season, round, session_kind, event_name,
-- circuit_id, held_on, meeting_key and data_source. One row per session that either
--   stands     where it stood, all of this being as it is stored, or
--   is new     by a meeting key, or circuit and day: nothing is known of any of its names, and
--              nothing stands at its round, here or in the list.
-- The rules for all others are those of find_event.sql.
with incoming as (
    select *, season || '-' || circuit_id as place
    from jsonb_to_recordset($1::jsonb) as facts (
        session_id text, season smallint, round smallint, session_kind text, event_name text,
        circuit_id text, held_on date, meeting_key integer, data_source text
    )
),
names as (
    select session_id, 'f1-' || meeting_key as alias
    from incoming
    where meeting_key is not null
    union all
    select session_id, place || '-' || to_char(held_on + days, 'YYYY-MM-DD')
    from incoming
    cross join generate_series(-1, 1) as days
    where place is not null
        and held_on is not null
    union all
    select
        session_id,
        season || '-'
            || trim(both '-' from regexp_replace(lower(event_name), '[^a-z0-9]+', '-', 'g'))
    from incoming
),
doubtful as (
    select names.session_id
    from names
    join core.event_aliases as known on known.alias = names.alias
    union
    select unnest(array_agg(session_id))
    from names
    group by alias
    having count(distinct session_id) > 1
    union
    select unnest(array_agg(session_id))
    from incoming
    group by season, round
    having count(*) > 1
    union
    select incoming.session_id
    from incoming
    join core.races on (races.season, races.round) = (incoming.season, incoming.round)
    union
    select incoming.session_id
    from incoming
    join public.calendar_events as listed
        on (listed.season, listed.round) = (incoming.season, incoming.round)
),
founded as (
    select
        incoming.*,
        place || '-' || to_char(held_on, 'YYYY-MM-DD') as dated,
        coalesce('f1-' || meeting_key, place || '-' || to_char(held_on, 'YYYY-MM-DD')) as event_key
    from incoming
    left join doubtful on doubtful.session_id = incoming.session_id
    where doubtful.session_id is null
        and (meeting_key is not null or (place is not null and held_on is not null))
),
named as (
    insert into core.event_aliases (alias, event_key, source)
    select alias, event_key, data_source from (
        select event_key as alias, event_key, data_source from founded
        union
        select dated, event_key, data_source from founded where dated is not null
    ) as aliases
    order by alias
    returning 1
)
select session_id, event_key
from founded
union all
select incoming.session_id, races.event_key
from incoming
join core.races
    on races.slug = incoming.session_id
    and races.event_name = incoming.event_name
    and (
        races.circuit_id, races.meeting_key,
        coalesce(races.session_date, (races.started_at at time zone 'UTC')::date)
    ) is not distinct from (incoming.circuit_id, incoming.meeting_key, incoming.held_on)
