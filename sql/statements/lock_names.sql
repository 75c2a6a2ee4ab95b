-- Lets one load at a time look for the newest names of drivers, teams and circuits; the next one
-- then sees what this one has stored.
select true as is_locked
from pg_advisory_xact_lock(hashtextextended('drivegrade.names', 0))
