-- Inserts the seasons of the stored sessions that are new.
insert into core.seasons (season)
select distinct season
from core.races
where true
on conflict (season) do nothing
