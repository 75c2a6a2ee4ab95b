-- Records a load of session $1: hash of its data $2, profile $3 in version $4, model $5, rows
-- per table as JSON $6, changed rows $7.
with inserted as (
    insert into ops.loads (
        race_id, data_source, data_hash, profile_name, profile_version, model_version,
        row_counts, changed_rows, application_name
    )
    select
        race_id, data_source, $2, $3, $4, $5, $6::jsonb, $7,
        current_setting('application_name')
    from core.races
    where slug = $1
    returning load_id
)
select load_id from inserted
