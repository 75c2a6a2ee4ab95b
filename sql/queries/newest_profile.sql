-- The newest version of the calibration profile called $1; no row if there is none.
select body::text as body
from config.calibration_profiles
where profile_name = $1
order by profile_version desc
limit 1
