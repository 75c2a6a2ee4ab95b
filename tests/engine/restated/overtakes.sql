-- Restates engine.v1.overtakes: exchanges of position between two cars that both run on.
with timed_laps as (
    select *
    from laps
    where not coalesce(is_generated, false)
),
retirements as (
    select l.session_id, l.driver_id, max(l.lap_number) as last_lap
    from timed_laps as l
    join entries as e on e.session_id = l.session_id and e.driver_id = l.driver_id
    where e.status = 'retired'
    group by l.session_id, l.driver_id
),
running_laps as (
    select
        l.*,
        before.lap_end_ms as start_ms,
        l.lap_end_ms - l.sector3_time_ms as sector2_ms,
        l.lap_end_ms - l.sector3_time_ms - l.sector2_time_ms as sector1_ms
    from timed_laps as l
    left join timed_laps as before
        on before.session_id = l.session_id
        and before.driver_id = l.driver_id
        and before.lap_number = l.lap_number - 1
    left join retirements as r on r.session_id = l.session_id and r.driver_id = l.driver_id
    where l.lap_number is distinct from r.last_lap
),
flagged_laps as (
    select
        session_id,
        driver_id,
        lap_number,
        coalesce(contains(track_status, '5'), false) as saw_red,
        -- red, or nothing but safety cars; green is clear or yellow
        coalesce(
            contains(track_status, '5') or not regexp_matches(track_status, '[12]'), false
        ) as is_neutralized
    from running_laps
),
meetings as (
    select
        own.session_id,
        own.driver_id,
        opponent.driver_id as opponent_id,
        own.lap_number,
        own.sector1_ms is not null and opponent.sector1_ms is not null as has_sectors,
        [own.start_ms, own.sector1_ms, own.sector2_ms, own.lap_end_ms] as own_ms,
        [opponent.start_ms, opponent.sector1_ms, opponent.sector2_ms, opponent.lap_end_ms]
            as opponent_ms,
        coalesce(own.is_out_lap, false) or coalesce(opponent.is_out_lap, false) as from_pits,
        coalesce(own.is_in_lap, false) or coalesce(opponent.is_in_lap, false) as into_pits,
        own_flags.is_neutralized or opponent_flags.is_neutralized as is_neutralized
    from running_laps as own
    join running_laps as opponent
        on opponent.session_id = own.session_id
        and opponent.lap_number = own.lap_number
        and opponent.driver_id <> own.driver_id
    join flagged_laps as own_flags
        on own_flags.session_id = own.session_id
        and own_flags.driver_id = own.driver_id
        and own_flags.lap_number = own.lap_number
    join flagged_laps as opponent_flags
        on opponent_flags.session_id = opponent.session_id
        and opponent_flags.driver_id = opponent.driver_id
        and opponent_flags.lap_number = opponent.lap_number
    where own.lap_number >= 2
),
stretches as (
    -- from one place in the lists of clocks to another
    select *, s.first_line, s.second_line
    from meetings
    join (values (true, 1, 2), (true, 2, 3), (true, 3, 4), (false, 1, 4))
        as s (has_sectors, first_line, second_line) using (has_sectors)
),
racing_exchanges as (
    select
        session_id,
        driver_id,
        opponent_id,
        lap_number,
        second_line as line_number,
        case
            when first_line = 1 and from_pits then 'pit_cycle'
            when second_line = 4 and into_pits then 'pit_cycle'
            when is_neutralized then 'neutralized'
            else 'on_track'
        end as kind
    from stretches
    where own_ms[first_line] > opponent_ms[first_line]
        and own_ms[second_line] < opponent_ms[second_line]
),
starters as (
    select l.session_id, l.driver_id, l.position, e.grid_position, f.saw_red
    from running_laps as l
    join entries as e on e.session_id = l.session_id and e.driver_id = l.driver_id
    join flagged_laps as f
        on f.session_id = l.session_id
        and f.driver_id = l.driver_id
        and f.lap_number = l.lap_number
    where l.lap_number = 1
),
start_exchanges as (
    select
        own.session_id,
        own.driver_id,
        opponent.driver_id as opponent_id,
        1 as lap_number,
        4 as line_number,
        if(own.saw_red or opponent.saw_red, 'neutralized', 'start') as kind
    from starters as own
    join starters as opponent
        on opponent.session_id = own.session_id
        and opponent.grid_position < own.grid_position
        and opponent.position > own.position
),
exchanges as (
    select * from racing_exchanges
    union all
    select * from start_exchanges
),
distances as (
    select session_id, max(lap_number) as race_laps
    from laps
    group by session_id
),
tracks as (
    select s.session_id, t.track_difficulty
    from sessions as s
    join track_difficulty as t on t.circuit_id = s.circuit_id
),
tyres as (
    select
        session_id,
        driver_id,
        lap_number,
        tyre_life_laps,
        -- softest first; null for wet and unknown tyres
        list_position(
            ['HYPERSOFT', 'ULTRASOFT', 'SUPERSOFT', 'SOFT', 'MEDIUM', 'HARD', 'SUPERHARD'],
            compound::varchar
        ) as hardness
    from running_laps
)
select
    x.session_id,
    x.driver_id,
    row_number() over (
        partition by x.session_id, x.driver_id
        order by x.lap_number, x.line_number, x.opponent_id
    ) as overtake_number,
    x.kind,
    x.lap_number,
    x.opponent_id,
    true as is_success,
    null as is_penalized,
    null as exposure_time_s,
    own_car.car_base_delta_s - opponent_car.car_base_delta_s as car_pace_difference_s,
    opponent_tyres.tyre_life_laps - own_tyres.tyre_life_laps as tyre_age_difference_laps,
    opponent_tyres.hardness - own_tyres.hardness as compound_difference,
    null as ers_difference,
    k.track_difficulty,
    x.lap_number / d.race_laps as race_phase_pressure
from exchanges as x
join distances as d on d.session_id = x.session_id
left join tracks as k on k.session_id = x.session_id
left join car_pace as own_car
    on own_car.session_id = x.session_id and own_car.driver_id = x.driver_id
left join car_pace as opponent_car
    on opponent_car.session_id = x.session_id and opponent_car.driver_id = x.opponent_id
left join tyres as own_tyres
    on own_tyres.session_id = x.session_id
    and own_tyres.driver_id = x.driver_id
    and own_tyres.lap_number = x.lap_number
left join tyres as opponent_tyres
    on opponent_tyres.session_id = x.session_id
    and opponent_tyres.driver_id = x.opponent_id
    and opponent_tyres.lap_number = x.lap_number
