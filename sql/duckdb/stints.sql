-- Stints: one row per driver and set of tyres, or, where no source tells sets apart, per run
-- between visits to the pit lane; none in sessions of which neither is known.
with numbered as (
    select
        laps.* exclude (stint_number),
        case
            when max(laps.stint_number) over driver is not null then laps.stint_number
            when max(stops.lap_number) over session is not null
                then 1 + count(stops.lap_number) over before
        end as stint_number
    from laps
    left join lake.pit_stops as stops using (season, session_id, driver_id, lap_number)
    window
        session as (partition by laps.season, laps.session_id),
        driver as (partition by laps.season, laps.session_id, laps.driver_id),
        before as (
            partition by laps.season, laps.session_id, laps.driver_id
            order by laps.lap_number
            rows between unbounded preceding and 1 preceding
        )
)
select
    season,
    round,
    session_kind,
    event_name,
    circuit_id,
    session_id,
    driver_id,
    driver_name,
    team_id,
    team_name,
    stint_number,
    arg_min(compound, lap_number) as compound,
    min(lap_number) as first_lap,
    max(lap_number) as last_lap,
    count(*) as lap_count,
    arg_min(tyre_life_laps, lap_number) as start_tyre_life_laps,
    median(lap_time_ms) filter (
        where is_neutralized is not true
            and is_in_lap is not true
            and is_out_lap is not true
            and lap_number > 1
    ) as median_clean_lap_ms
from numbered
where stint_number is not null
group by all
