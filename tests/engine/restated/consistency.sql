-- Restates engine.v1.consistency: how closely the laps follow what car and form let one expect.
with expected as (
    select
        session_id,
        driver_id,
        lap_deltas_s,
        len(lap_deltas_s) as laps_run,
        list_distinct(list_filter(actual_pit_laps, lambda lap : lap >= 2)) as stops,
        coalesce(car_base_delta_s, 0)
            + coalesce(car_track_adjustment_s, 0)
            + 0.2 * (coalesce(form_consistency_score, 0.5) - 0.5)
            + 0.05 * (coalesce(form_start_precision_score, 0.5) - 0.5)
            - 0.15 * coalesce(form_error_rate, 0) as expected_delta_s
    from driver_inputs
),
driven as (
    select
        session_id,
        driver_id,
        expected_delta_s,
        list_avg(list_transform(lap_deltas_s, lambda x : abs(x - expected_delta_s)))
            as mean_deviation_s,
        case
            when laps_run = 0 then 0
            when len(stops) = 0 then laps_run
            when list_max(stops) <= laps_run then laps_run / (len(stops) + 1)
            else (list_max(stops) - 1) / len(stops)
        end as average_stint_laps
    from expected
),
factors as (
    select
        d.*,
        p.profile_name,
        least(1, greatest(0, 1 - d.mean_deviation_s / p.consistency_tolerance)) as base,
        1 + least(
            greatest(-d.expected_delta_s - p.pace_min_advantage, 0) / p.pace_advantage_scale,
            p.pace_boost_cap
        ) as pace,
        case
            when d.average_stint_laps > p.stint_target_laps and p.stint_target_laps > 0
                then 1 + least(
                    (d.average_stint_laps - p.stint_target_laps) / p.stint_target_laps,
                    p.stint_boost_cap
                )
            else 1
        end as stint
    from driven as d
    cross join profiles as p
)
select
    session_id,
    driver_id,
    expected_delta_s,
    mean_deviation_s,
    average_stint_laps,
    profile_name,
    case
        when mean_deviation_s is null then 0.5
        else least(1, greatest(0, base * pace * stint))
    end as consistency_raw
from factors
