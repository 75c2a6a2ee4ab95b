-- Waits for the lock called $1 and shares it until the transaction ends.
select true as is_locked
from pg_advisory_xact_lock_shared(hashtextextended('drivegrade.' || $1, 0))
