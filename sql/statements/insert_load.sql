-- Records a load of session $1: hash of its data $2, profile $3 in version $4, model $5, rows
-- per table as JSON $6, changed rows $7, providers that were refused before as JSON $8, what is
-- missing as JSON $9 (null if nothing). A load that changed something is a new revision.
with inserted as (
    insert into ops.loads (
        race_id, data_source, data_hash, profile_name, profile_version, model_version,
        row_counts, changed_rows, application_name, refused_providers, completeness,
        completeness_reasons, data_revision
    )
    select
        race_id, data_source, $2, $3, $4, $5, $6::jsonb, $7::bigint,
        current_setting('application_name'),
        $8::text::jsonb,
        case when $9::text is null then 'complete' else 'incomplete' end,
        $9::text::jsonb,
        case
            when $7::bigint > 0 then (
                select coalesce(max(data_revision), 0) + 1
                from ops.loads
                where loads.race_id = races.race_id
            )
        end
    from core.races
    where slug = $1
    returning data_revision
)
select data_revision from inserted
