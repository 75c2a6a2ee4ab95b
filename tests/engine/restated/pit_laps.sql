-- Restates engine.v1.strategy, rules 2 and 4: the stops that count, and how late they came.
with counted as (
    select *
    from strategy_events
    where not is_under_red_flag
)
select
    session_id,
    driver_id,
    list(actual_lap order by stop_number) as actual_pit_laps,
    coalesce(list(optimal_lap order by stop_number) filter (where optimal_lap is not null), [])
        as optimal_pit_laps,
    sum(greatest(0, late_laps - 4)) filter (where late_laps is not null) / 10
        as degradation_penalty_score
from counted
group by session_id, driver_id
