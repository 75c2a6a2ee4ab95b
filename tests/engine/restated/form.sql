-- Restates engine.v1.form: scatter, errors and start of every entry, null without evidence.
with levels as (
    select session_id, driver_id, median(lap_delta_s) as level_s
    from lap_deltas
    group by session_id, driver_id
),
residuals as (
    select d.session_id, d.driver_id, round(d.lap_delta_s - l.level_s, 5) as residual_s
    from lap_deltas as d
    join levels as l on l.session_id = d.session_id and l.driver_id = d.driver_id
),
scatter as (
    select
        session_id,
        driver_id,
        median(abs(residual_s)) as spread_s,
        count(*) filter (where residual_s > 1.5) / count(*) as error_share
    from residuals
    group by session_id, driver_id
    having count(*) >= 5
),
first_laps as (
    select session_id, driver_id, position
    from laps
    where lap_number = 1
),
measured as (
    select
        e.session_id,
        e.driver_id,
        1 - 1.4826::double * s.spread_s / 1.5 as steadiness,
        s.error_share,
        0.5 + (e.grid_position - f.position) / 20 as precision_at_start
    from entries as e
    left join scatter as s on s.session_id = e.session_id and s.driver_id = e.driver_id
    left join first_laps as f on f.session_id = e.session_id and f.driver_id = e.driver_id
)
select
    session_id,
    driver_id,
    -- greatest and least skip nulls, so a missing value is kept out of them
    case when steadiness is not null then least(1, greatest(0, steadiness)) end
        as form_consistency_score,
    error_share as form_error_rate,
    case when precision_at_start is not null then least(1, greatest(0, precision_at_start)) end
        as form_start_precision_score
from measured
