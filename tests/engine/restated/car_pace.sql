-- Restates engine.v1.car_pace: the team's mean of its drivers' medians, against the median team.
with drivers as (
    select session_id, driver_id, median(lap_delta_s) as driver_s
    from lap_deltas
    group by session_id, driver_id
),
teams as (
    select e.session_id, e.team_id, avg(d.driver_s) as team_s
    from entries as e
    join drivers as d on d.session_id = e.session_id and d.driver_id = e.driver_id
    group by e.session_id, e.team_id
),
median_teams as (
    select session_id, median(team_s) as median_s
    from teams
    group by session_id
)
select e.session_id, e.driver_id, t.team_s - m.median_s as car_base_delta_s
from entries as e
left join teams as t on t.session_id = e.session_id and t.team_id = e.team_id
left join median_teams as m on m.session_id = e.session_id
