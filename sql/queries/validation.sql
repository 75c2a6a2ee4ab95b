-- The figures of the proof that was stored last.
select
    metric_name as metric,
    measure,
    outcome,
    window_races,
    against,
    scope,
    first_season,
    last_season,
    value,
    low,
    high,
    cases,
    measured_at
from validation.validation_metrics
where measured_at = (select max(measured_at) from validation.validation_metrics)
order by validation_metric_id
