-- Every version of every calibration profile, as JSON.
select profile_name, profile_version, body::text as body
from config.calibration_profiles
order by profile_name, profile_version
