-- Takes the lock of session $1 until the transaction ends, if nobody else holds it.
select pg_try_advisory_xact_lock(hashtextextended('drivegrade.session.' || $1, 0)) as is_locked
