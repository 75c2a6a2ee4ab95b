-- Stores the JSON $2 as the next version of profile $1; the first one keeps its own version.
with next as (
    select coalesce(max(profile_version) + 1, ($2::jsonb ->> 'version')::integer) as version
    from config.calibration_profiles
    where profile_name = $1
),
inserted as (
    insert into config.calibration_profiles (profile_name, profile_version, body)
    select $1, version, jsonb_set($2::jsonb, '{version}', to_jsonb(version))
    from next
    returning profile_version
)
select profile_version from inserted
