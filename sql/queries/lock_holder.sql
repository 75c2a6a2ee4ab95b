-- Who holds the lock of session $1, and since when the holder's transaction runs.
select
    activity.pid,
    activity.application_name,
    activity.xact_start as started_at
from pg_locks as locks
join pg_stat_activity as activity on activity.pid = locks.pid
where locks.locktype = 'advisory'
    and locks.granted
    and locks.objsubid = 1
    and locks.database = (select oid from pg_database where datname = current_database())
    and (locks.classid::bigint << 32 | locks.objid::bigint)
        = hashtextextended('drivegrade.session.' || $1, 0)
