-- Deactivates whatever profile is active, unless it is version $2 of profile $1.
with updated as (
    update config.calibration_profiles
    set is_active = false
    where is_active
        and (profile_name <> $1 or profile_version <> $2)
    returning 1
)
select count(*) as updated from updated
