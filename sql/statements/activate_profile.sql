-- Activates version $2 of profile $1; the others have been deactivated before.
with updated as (
    update config.calibration_profiles
    set is_active = true
    where profile_name = $1
        and profile_version = $2
        and not is_active
    returning 1
)
select count(*) as updated from updated
