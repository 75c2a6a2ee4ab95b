-- Stores the figures of one proof, $1 as a JSON array of objects.
insert into validation.validation_metrics (
    metric_name, measure, outcome, window_races, against, scope, first_season, last_season,
    value, low, high, cases
)
select
    metric, measure, outcome, window_races, against, scope, first_season, last_season,
    value, low, high, cases
from jsonb_to_recordset($1::jsonb) as figures (
    metric text,
    measure text,
    outcome text,
    window_races smallint,
    against text,
    scope text,
    first_season smallint,
    last_season smallint,
    value double precision,
    low double precision,
    high double precision,
    cases integer
)
returning validation_metric_id
