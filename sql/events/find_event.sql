-- Which event a session is of: season $1, round $2, kind $3, event's name $4, circuit $5, date $6
-- (text), Formula 1's meeting key $7; null where not known. One row:
--   event_key  the event known by one of the session's names, else the one that stands at its
--              round if name or date agree and nothing contradicts, else, of a session that has
--              neither round nor circuit, the one of its name and day; null if it is a new event
--   new_key    its key if it is new
--   twin_key   another event that turns out to be the same: same circuit, within a day, and no
--              meeting key of its own
--   season     the season in which the event is stored; null if nowhere
with incoming as (
    select
        $1::smallint as season,
        $2::smallint as round,
        $3::text as session_kind,
        lower($4::text) as event_name,
        $5::text as circuit_id,
        $6::text::date as held_on,
        $7::integer as meeting_key,
        $7::integer is null and ($5::text is null or $6::text is null) as is_known_by_name
),
names as (
    select 1 as distance, 'f1-' || meeting_key as alias
    from incoming
    union all
    select
        2 + abs(days),
        season || '-' || circuit_id || '-' || to_char(held_on + days, 'YYYY-MM-DD')
    from incoming
    cross join generate_series(-1, 1) as days
    union all
    select
        4,
        season || '-' || trim(both '-' from regexp_replace(event_name, '[^a-z0-9]+', '-', 'g'))
    from incoming
),
standing as (
    select
        event_key, season, round, session_kind, lower(event_name) as event_name, circuit_id,
        coalesce(session_date, (started_at at time zone 'UTC')::date) as held_on
    from core.races
    union all
    select
        event_key, season, round, session_kind, lower(event_name), null,
        (starts_at at time zone 'UTC')::date
    from public.calendar_events
),
agreeing as (
    select
        standing.event_key,
        (standing.round = incoming.round) is true as is_at_round,
        standing.event_name = incoming.event_name
            or (standing.held_on is not null and incoming.held_on is not null) as is_alike,
        incoming.round is null
            and incoming.circuit_id is null
            and standing.event_name = incoming.event_name
            and standing.held_on is not null
            and incoming.held_on is not null as is_of_its_day
    from standing
    join incoming
        on incoming.season = standing.season
        and (incoming.circuit_id = standing.circuit_id) is not false
        and (
            abs(standing.held_on - incoming.held_on)
                <= case when standing.session_kind = incoming.session_kind then 1 else 2 end
        ) is not false
),
candidates as (
    select names.distance, known.event_key
    from names
    join core.event_aliases as known on known.alias = names.alias
    cross join incoming
    where names.distance < 4
        or (
            (
                incoming.is_known_by_name
                or not exists (
                    select from core.event_aliases as other
                    where other.event_key = known.event_key and other.alias <> known.alias
                )
            )
            and exists (select from agreeing where agreeing.event_key = known.event_key)
        )
    union all
    select 5, agreeing.event_key
    from agreeing
    where (agreeing.is_at_round and agreeing.is_alike) or agreeing.is_of_its_day
),
possible as (
    select candidates.distance, candidates.event_key
    from candidates
    cross join incoming
    where candidates.distance = 1
        or incoming.meeting_key is null
        or not exists (
            select from core.event_aliases as other
            where other.event_key = candidates.event_key
                and other.alias like 'f1-%'
                and other.alias <> 'f1-' || incoming.meeting_key
        )
),
found as (
    select event_key, distance
    from possible
    order by distance, event_key
    limit 1
)
select
    found.event_key,
    coalesce(
        'f1-' || incoming.meeting_key,
        (select alias from names where distance = 2),
        (select alias from names where distance = 4)
    ) as new_key,
    (
        select possible.event_key
        from possible
        where found.distance = 1
            and possible.distance in (2, 3)
            and possible.event_key <> found.event_key
        limit 1
    ) as twin_key,
    (
        select standing.season
        from standing
        where standing.event_key = found.event_key
        limit 1
    ) as season
from incoming
left join found on true
