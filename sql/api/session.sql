-- The session of season $1, round $2 and kind $3, stored or only in the calendar; no row if it is
-- in neither. session_id is null if it is not stored. profile_name is that of profile $4 or (null) of
-- the active one; null if there is none.
select
    asked.season,
    asked.round,
    asked.session_kind,
    races.slug as session_id,
    coalesce(races.event_name, calendar.event_name) as event_name,
    races.circuit_name,
    coalesce(races.started_at, calendar.starts_at) as starts_at,
    races.scheduled_laps::integer as scheduled_laps,
    races.data_source,
    calendar.status as calendar_status,
    calendar.status_reason,
    coalesce(last.loaded_at, calendar.updated_at) as last_updated,
    last.data_hash,
    (
        select profiles.profile_name
        from config.calibration_profiles as profiles
        where case
            when $4::text is null then profiles.is_active
            else profiles.profile_name = $4::text
        end
        order by profiles.profile_version desc
        limit 1
    ) as profile_name
from (
    select $1::smallint as season, $2::smallint as round, $3::text as session_kind
) as asked
left join core.races
    on races.season = asked.season
    and races.round = asked.round
    and races.session_kind = asked.session_kind
left join public.calendar_events as calendar
    on calendar.season = asked.season
    and calendar.round = asked.round
    and calendar.session_kind = asked.session_kind
left join lateral (
    select
        loads.loaded_at,
        loads.data_hash
    from ops.loads
    where loads.race_id = races.race_id
    order by loads.load_id desc
    limit 1
) as last on true
where races.race_id is not null
    or calendar.event_key is not null
