-- Restates the scoring of engine.v1.penalties: seconds taken by the stewards, against the full burden.
with burdens as (
    select
        session_id,
        driver_id,
        coalesce(
            list_sum(list_transform(penalty_time_losses_s, lambda loss : greatest(loss, 0))), 0
        ) as penalty_time_s
    from driver_inputs
)
select
    b.session_id,
    b.driver_id,
    b.penalty_time_s,
    p.profile_name,
    least(1, greatest(0, b.penalty_time_s / p.penalty_normalizer)) as penalties_raw
from burdens as b
cross join profiles as p
