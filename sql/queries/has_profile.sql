-- Whether version $2 of calibration profile $1 is stored.
select exists (
    select
    from config.calibration_profiles
    where profile_name = $1
        and profile_version = $2
) as has_profile
