-- Stores the ranking of the source $1, $2 as a JSON array of objects.
insert into validation.external_rankings (ranking_source, season, driver_id, rank)
select $1, season, driver_id, rank
from jsonb_to_recordset($2::jsonb) as ranked (
    season smallint,
    driver_id text,
    rank double precision
)
returning driver_id
