-- Restates the scoring of engine.v1.strategy: the driver's stops against the field's.
with paired as (
    select
        session_id,
        driver_id,
        least(1, greatest(0, coalesce(degradation_penalty_score, 0))) as degradation,
        list_transform(
            range(1, greatest(len(optimal_pit_laps), len(actual_pit_laps)) + 1),
            lambda i : abs(
                optimal_pit_laps[least(i, len(optimal_pit_laps))]
                - actual_pit_laps[least(i, len(actual_pit_laps))]
            )
        ) as distances,
        len(optimal_pit_laps) > 0 and len(actual_pit_laps) > 0 as is_comparable
    from driver_inputs
),
distances as (
    select
        session_id,
        driver_id,
        case when is_comparable then list_avg(distances) end as stop_distance_laps,
        degradation
    from paired
)
select
    d.session_id,
    d.driver_id,
    d.stop_distance_laps,
    d.degradation,
    p.profile_name,
    least(
        1,
        greatest(
            0,
            case
                when d.stop_distance_laps is null then 0.5
                else least(1, greatest(0, 1 - d.stop_distance_laps / p.strategy_lap_tolerance))
            end - 0.5 * d.degradation
        )
    ) as team_strategy_raw
from distances as d
cross join profiles as p
