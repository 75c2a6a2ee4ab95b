-- Makes the stored weather readings of the staged sessions equal to the staged ones:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        session.race_id,
        staged.session_clock_ms, staged.air_temperature_degc, staged.track_temperature_degc,
        staged.humidity_pct, staged.pressure_mbar, staged.is_raining, staged.wind_direction_deg,
        staged.wind_speed_mps
    from pg_temp.stage_weather as staged
    join session on session.session_id = staged.session_id
),
deleted as (
    delete from public.weather_readings as stored
    using session
    where stored.race_id = session.race_id
        and not exists (
            select from incoming
            where incoming.race_id = stored.race_id
                and incoming.session_clock_ms = stored.session_clock_ms
        )
    returning stored.race_id
),
updated as (
    update public.weather_readings as stored
    set (
        air_temperature_degc, track_temperature_degc, humidity_pct, pressure_mbar, is_raining,
        wind_direction_deg, wind_speed_mps
    ) = (
        incoming.air_temperature_degc, incoming.track_temperature_degc, incoming.humidity_pct,
        incoming.pressure_mbar, incoming.is_raining, incoming.wind_direction_deg,
        incoming.wind_speed_mps
    )
    from incoming
    where stored.race_id = incoming.race_id
        and stored.session_clock_ms = incoming.session_clock_ms
        and (
            stored.air_temperature_degc, stored.track_temperature_degc, stored.humidity_pct,
            stored.pressure_mbar, stored.is_raining, stored.wind_direction_deg,
            stored.wind_speed_mps
        ) is distinct from (
            incoming.air_temperature_degc, incoming.track_temperature_degc,
            incoming.humidity_pct, incoming.pressure_mbar, incoming.is_raining,
            incoming.wind_direction_deg, incoming.wind_speed_mps
        )
    returning stored.race_id
),
inserted as (
    insert into public.weather_readings (
        race_id, session_clock_ms, air_temperature_degc, track_temperature_degc, humidity_pct,
        pressure_mbar, is_raining, wind_direction_deg, wind_speed_mps
    )
    select * from incoming
    where not exists (
        select from public.weather_readings as stored
        where stored.race_id = incoming.race_id
            and stored.session_clock_ms = incoming.session_clock_ms
    )
    returning race_id
),
changes as (
    select race_id, 'inserted' as what, count(*) as row_count from inserted group by race_id
    union all
    select race_id, 'updated', count(*) from updated group by race_id
    union all
    select race_id, 'deleted', count(*) from deleted group by race_id
)
select
    session.session_id,
    coalesce(sum(row_count) filter (where what = 'inserted'), 0)::bigint as inserted,
    coalesce(sum(row_count) filter (where what = 'updated'), 0)::bigint as updated,
    coalesce(sum(row_count) filter (where what = 'deleted'), 0)::bigint as deleted
from changes
join session on session.race_id = changes.race_id
group by session.session_id
