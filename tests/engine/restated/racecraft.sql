-- Restates engine.v1.racecraft: places gained on track, each weighed by how hard it was to gain.
with weighed as (
    select
        session_id,
        driver_id,
        kind,
        is_success,
        -1.2 * coalesce(car_pace_difference_s, 0)
            - 0.05 * coalesce(tyre_age_difference_laps, 0)
            - 0.15 * coalesce(compound_difference, 0)
            - 0.01 * coalesce(ers_difference, 0)
            + 1.5 * coalesce(track_difficulty, 0.5)
            + 0.5 * coalesce(race_phase_pressure, 0.5) as z,
        1 - exp(-coalesce(exposure_time_s, 5) / 5) as exposure_share,
        case when coalesce(is_penalized, false) then 0.2 else 1 end as penalized_share
    from overtakes
),
moves as (
    select
        session_id,
        driver_id,
        kind,
        is_success,
        least(0.95, greatest(0.05, 1 / (1 + exp(-z)))) * exposure_share * penalized_share as worth
    from weighed
),
sums as (
    select
        session_id,
        driver_id,
        sum(case when is_success then worth else -0.5 * worth end)
            filter (where kind = 'on_track') as racecraft_sum,
        count(*) filter (where kind = 'on_track') as on_track_events,
        count(*) filter (where kind <> 'on_track') as pit_cycle_events
    from moves
    group by session_id, driver_id
),
evidence as (
    select
        i.session_id,
        i.driver_id,
        coalesce(s.racecraft_sum, 0) as racecraft_sum,
        coalesce(s.on_track_events, 0) as on_track_events,
        coalesce(s.pit_cycle_events, 0) as pit_cycle_events
    from driver_inputs as i
    left join sums as s on s.session_id = i.session_id and s.driver_id = i.driver_id
)
select
    e.*,
    p.profile_name,
    least(1, greatest(0, e.racecraft_sum)) as racecraft_raw
from evidence as e
cross join profiles as p
