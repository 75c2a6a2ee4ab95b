-- The version of profile $1 whose constants equal those of the JSON $2; no row if there is none.
select profile_version
from config.calibration_profiles
where profile_name = $1
    and body - 'version' = $2::jsonb - 'version'
order by profile_version desc
limit 1
