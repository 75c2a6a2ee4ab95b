-- Restates engine.v1.laps: clean laps and how far each lies from the field, in s.
-- Whole and half ms are exact in a double, so nothing needs rounding before the division by 1000.
with candidates as (
    select session_id, driver_id, lap_number, lap_time_ms
    from laps
    where lap_time_ms is not null
        and lap_number <> 1
        and not coalesce(is_in_lap, false)
        and not coalesce(is_out_lap, false)
        and not regexp_matches(coalesce(track_status, ''), '[24567]')
),
levels as (
    select session_id, lap_number, median(lap_time_ms) as level_ms
    from candidates
    group by session_id, lap_number
),
clean_laps as (
    select c.session_id, c.driver_id, c.lap_number, c.lap_time_ms
    from candidates as c
    join levels as l on l.session_id = c.session_id and l.lap_number = c.lap_number
    where 100 * c.lap_time_ms <= 107 * l.level_ms
),
fields as (
    select session_id, lap_number, median(lap_time_ms) as field_ms
    from clean_laps
    group by session_id, lap_number
    having count(*) >= 3
)
select
    c.session_id,
    c.driver_id,
    c.lap_number,
    (c.lap_time_ms - f.field_ms) / 1000 as lap_delta_s
from clean_laps as c
join fields as f on f.session_id = c.session_id and f.lap_number = c.lap_number
