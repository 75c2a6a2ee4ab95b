-- What was driven in the session whose slug is $1, each as the text of a JSON list: its drivers
-- (name in answers, id), its laps in order of driver and lap, and its stints. pit: the lap ended
-- in the pit lane. avg_lap_ms is the mean of the timed laps but the first of the session and those
-- that began or ended in the pit lane; null if there is none.
with here as (
    select
        entries.entry_id,
        entries.driver_id,
        coalesce(entries.driver_code, entries.driver_id) as driver
    from core.races
    join core.entries on entries.race_id = races.race_id
    where races.slug = $1
),
driven as (
    select
        here.driver_id,
        here.driver,
        lap_times.entry_id,
        lap_times.lap_number,
        lap_times.lap_time_ms,
        lap_times.compound,
        lap_times.stint_number,
        coalesce(lap_times.is_in_lap, false) or pit_stops.entry_id is not null as is_in_lap,
        coalesce(lap_times.is_out_lap, false) as is_out_lap
    from here
    join public.lap_times on lap_times.entry_id = here.entry_id
    left join public.pit_stops
        on pit_stops.entry_id = lap_times.entry_id
        and pit_stops.lap_number = lap_times.lap_number
),
averaged as (
    select
        driven.entry_id,
        driven.stint_number,
        round(avg(driven.lap_time_ms))::integer as avg_lap_ms
    from driven
    where driven.lap_number > 1
        and not driven.is_in_lap
        and not driven.is_out_lap
    group by driven.entry_id, driven.stint_number
)
select
    (
        select coalesce(json_agg(json_build_array(driver, driver_id) order by driver_id), '[]')
        from here
    )::text as drivers,
    (
        select coalesce(
            json_agg(
                json_build_object(
                    'driver', driver, 'lap', lap_number, 'lap_ms', lap_time_ms,
                    'compound', compound, 'stint_no', stint_number, 'pit', is_in_lap
                )
                order by driver_id, lap_number
            ),
            '[]'
        )
        from driven
    )::text as laps,
    (
        select coalesce(
            json_agg(
                json_build_object(
                    'driver', here.driver, 'stint_no', stints.stint_number,
                    'compound', stints.compound, 'laps', stints.lap_count,
                    'avg_lap_ms', averaged.avg_lap_ms
                )
                order by here.driver_id, stints.stint_number
            ),
            '[]'
        )
        from here
        join public.stints on stints.entry_id = here.entry_id
        left join averaged
            on averaged.entry_id = stints.entry_id
            and averaged.stint_number = stints.stint_number
    )::text as stints
