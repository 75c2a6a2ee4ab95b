-- Restates engine.v1.inputs: all that model v1 scores, one row for every entry that took the start of
-- a session with laps.
-- Without evidence a list is empty and a number null; no table holds a correction for the track.
with delta_lists as (
    select session_id, driver_id, list(lap_delta_s order by lap_number) as lap_deltas_s
    from lap_deltas
    group by session_id, driver_id
)
select
    e.session_id,
    e.driver_id,
    c.car_base_delta_s,
    null as car_track_adjustment_s,
    f.form_consistency_score,
    f.form_error_rate,
    f.form_start_precision_score,
    coalesce(d.lap_deltas_s, []) as lap_deltas_s,
    coalesce(p.optimal_pit_laps, []) as optimal_pit_laps,
    coalesce(p.actual_pit_laps, []) as actual_pit_laps,
    p.degradation_penalty_score,
    coalesce(t.penalty_time_losses_s, []) as penalty_time_losses_s,
    exists (
        select 1
        from laps as l
        where l.session_id = e.session_id
            and l.driver_id = e.driver_id
            and l.lap_number >= 2
            and l.lap_end_ms is not null
            and coalesce(l.is_generated, false) = false
    ) as has_lap_clocks,
    e.session_id in (select r.session_id from race_control as r) as has_race_control
from entries as e
left join car_pace as c on c.session_id = e.session_id and c.driver_id = e.driver_id
left join form as f on f.session_id = e.session_id and f.driver_id = e.driver_id
left join delta_lists as d on d.session_id = e.session_id and d.driver_id = e.driver_id
left join pit_laps as p on p.session_id = e.session_id and p.driver_id = e.driver_id
left join time_losses as t on t.session_id = e.session_id and t.driver_id = e.driver_id
where e.status not in ('did_not_start', 'did_not_qualify')
    and e.session_id in (select l.session_id from laps as l)
