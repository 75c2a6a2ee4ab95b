-- Waits for the lock called $1 and holds it until the transaction ends.
select true as is_locked
from pg_advisory_xact_lock(hashtextextended('drivegrade.' || $1, 0))
