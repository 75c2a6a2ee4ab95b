-- What the last load of session $1 stored; no row if the session was never loaded.
select
    loads.data_hash,
    loads.profile_name,
    loads.profile_version,
    loads.model_version,
    loads.completeness_reasons::text as completeness_reasons,
    exists (
        select
        from public.lap_times
        join core.entries on entries.entry_id = lap_times.entry_id
        where entries.race_id = races.race_id
    ) as has_laps
from core.races
join ops.loads on loads.race_id = races.race_id
where races.slug = $1
order by loads.load_id desc
limit 1
