-- What pit cycles cost teams: one row per team, session, profile and model (model v2); positive is
-- slower than the field's stops. stops: those that were compared with others.
select
    cycles.season,
    entries.round,
    entries.session_kind,
    entries.event_name,
    entries.circuit_id,
    cycles.session_id,
    entries.team_id,
    entries.team_name,
    cycles.profile_name,
    cycles.model_version,
    count(cycles.lost_s) as stops,
    sum(cycles.lost_s) as lost_s,
    avg(cycles.lost_s) as lost_per_stop_s,
    avg(cycles.cost_s) as mean_cost_s
from lake.pit_cycles as cycles
join entries using (season, session_id, driver_id)
group by all
