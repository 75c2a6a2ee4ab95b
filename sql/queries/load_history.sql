-- Loads of the session whose slug is $1, or (null) of all sessions, the last one first.
select
    loads.load_id,
    races.slug as session_id,
    loads.data_source,
    loads.data_hash,
    loads.profile_name,
    loads.profile_version,
    loads.model_version,
    loads.row_counts::text as row_counts,
    loads.changed_rows,
    loads.data_revision,
    loads.completeness,
    loads.loaded_at,
    loads.application_name
from ops.loads
join core.races on races.race_id = loads.race_id
where $1::text is null or races.slug = $1::text
order by loads.load_id desc
