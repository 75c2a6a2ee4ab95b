-- All imported rankings, by source, season and rank.
select
    ranking_source,
    season,
    driver_id,
    rank
from validation.external_rankings
order by ranking_source, season, rank, driver_id
