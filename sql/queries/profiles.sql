-- Every version of every calibration profile, the newest of each name first.
select
    profile_name,
    profile_version,
    is_active,
    created_at
from config.calibration_profiles
order by profile_name, profile_version desc
