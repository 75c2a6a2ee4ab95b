-- Restates engine.v1.penalties.time_losses: what each penalized driver's penalties cost, in order.
select
    session_id,
    driver_id,
    list(time_loss_s order by penalty_number) as penalty_time_losses_s
from penalty_events
group by session_id, driver_id
