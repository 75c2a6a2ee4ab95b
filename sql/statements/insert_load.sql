-- Records the loads of the JSON list $1, each with session_id, data_hash, source_hash, row_counts,
-- changed_rows, refused (providers that were refused before) and reasons (what is missing, null
-- if nothing), under the gradings of the JSON list $2. A load that changed something is a new
-- revision. One row a load: session_id, data_revision.
with gradings as (
    select *
    from jsonb_to_recordset($2::jsonb) as gradings (
        profile_name text, profile_version integer, model_version text
    )
),
shown as (
    select gradings.*
    from gradings
    left join config.calibration_profiles as profiles
        on profiles.profile_name = gradings.profile_name
        and profiles.profile_version = gradings.profile_version
    order by
        profiles.is_active desc nulls last,
        gradings.profile_name,
        gradings.profile_version desc,
        gradings.model_version desc
    limit 1
),
loaded as (
    select incoming.*, races.race_id, races.season, races.round, races.session_kind,
        races.data_source
    from jsonb_to_recordset($1::jsonb) as incoming (
        session_id text, data_hash text, source_hash text, row_counts jsonb, changed_rows bigint,
        refused jsonb, reasons jsonb
    )
    join core.races on races.slug = incoming.session_id
),
inserted as (
    insert into ops.loads (
        race_id, data_source, data_hash, source_hash, profile_name, profile_version, model_version,
        gradings, row_counts, changed_rows, application_name, refused_providers, completeness,
        completeness_reasons, data_revision
    )
    select
        loaded.race_id, loaded.data_source, loaded.data_hash, loaded.source_hash,
        shown.profile_name, shown.profile_version, shown.model_version, $2::jsonb,
        loaded.row_counts, loaded.changed_rows,
        current_setting('application_name'),
        loaded.refused,
        case when loaded.reasons is null then 'complete' else 'incomplete' end,
        loaded.reasons,
        case
            when loaded.changed_rows > 0 then (
                select coalesce(max(before.data_revision), 0) + 1
                from ops.loads as before
                where before.race_id = loaded.race_id
            )
        end
    from loaded
    left join shown on true
    order by loaded.season, loaded.round, loaded.session_kind desc
    returning race_id, data_revision
)
select loaded.session_id, inserted.data_revision
from inserted
join loaded on loaded.race_id = inserted.race_id
