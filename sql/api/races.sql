-- Sessions of season $1 or (null) of all, stored or in the calendar, the last one first: $5 at
-- most, those after the one of season $2, round $3 and kind $4 or (null) from the first on.
-- drivers_graded is under the active profile.
with known as (
    select
        races.season,
        races.round,
        races.session_kind,
        races.race_id,
        races.event_name,
        races.circuit_name,
        races.started_at,
        races.scheduled_laps,
        races.data_source
    from core.races
    where $1::smallint is null or races.season = $1::smallint
),
planned as (
    select
        calendar.season,
        calendar.round,
        calendar.session_kind,
        calendar.event_name,
        calendar.starts_at,
        calendar.status,
        calendar.status_reason
    from public.calendar_events as calendar
    where calendar.round is not null
        and ($1::smallint is null or calendar.season = $1::smallint)
),
page as (
    select
        season,
        round,
        session_kind,
        known.race_id,
        coalesce(known.event_name, planned.event_name) as event_name,
        coalesce(known.started_at, planned.starts_at) as starts_at,
        known.circuit_name,
        known.scheduled_laps,
        known.data_source,
        planned.status,
        planned.status_reason
    from known
    full join planned using (season, round, session_kind)
    where $2::smallint is null
        or (season, round) < ($2::smallint, $3::smallint)
        or ((season, round) = ($2::smallint, $3::smallint) and session_kind > $4::text)
    order by season desc, round desc, session_kind
    limit $5::integer
),
counted as (
    select
        page.*,
        (
            select count(*)
            from core.entries
            where entries.race_id = page.race_id
        )::integer as drivers_entered,
        (
            select count(distinct metrics.entry_id)
            from core.entries
            join core.driver_metrics as metrics on metrics.entry_id = entries.entry_id
            join config.calibration_profiles as profiles
                on profiles.profile_name = metrics.profile_name
                and profiles.is_active
            where entries.race_id = page.race_id
        )::integer as drivers_graded
    from page
)
select
    season::integer as season,
    round::integer as round,
    session_kind,
    season || '-' || round
        || case session_kind when 'race' then '' else '-' || session_kind end as session_id,
    event_name,
    starts_at,
    circuit_name,
    scheduled_laps::integer as scheduled_laps,
    data_source,
    case
        when drivers_graded > 0 then 'graded'
        when race_id is not null or status = 'ingested' then 'not_graded'
        else status
    end as status,
    case when race_id is null then status_reason end as status_reason,
    drivers_entered,
    drivers_graded
from counted
order by counted.season desc, counted.round desc, counted.session_kind
