-- The active calibration profile; no row if there is none.
select body::text as body
from config.calibration_profiles
where is_active
