-- Lets one process at a time change calibration profiles, until its transaction ends.
select true as is_locked
from pg_advisory_xact_lock(hashtextextended('drivegrade.profiles', 0))
