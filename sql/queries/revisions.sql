-- Revisions of the session whose slug is $1, the first one first; how many drivers each had,
-- null if it was replaced before summaries were kept.
select
    loads.data_revision,
    loads.loaded_at,
    loads.data_source,
    loads.data_hash,
    loads.changed_rows,
    loads.profile_name,
    loads.profile_version,
    loads.model_version,
    loads.completeness,
    (
        select nullif(count(*), 0)
        from ops.revision_summaries as summaries
        where summaries.race_id = loads.race_id
            and summaries.data_revision = loads.data_revision
    ) as drivers
from ops.loads
join core.races on races.race_id = loads.race_id
where races.slug = $1
    and loads.data_revision is not null
order by loads.data_revision
