-- The profile named $1 or (null) the active one; no row if there is none. Of a name with several
-- versions the newest.
select profile_name, profile_version
from config.calibration_profiles
where case when $1::text is null then is_active else profile_name = $1::text end
order by profile_version desc
limit 1
