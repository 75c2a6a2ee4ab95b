-- The transactions that have held locks of sessions for longer than $1 seconds, the oldest first.
-- With $2 true their server processes are ended: what they have not committed is undone. A lock's
-- key is a hash, so the sessions are found by hashing the names of all there can be.
with names as (
    select season || '-' || round || kinds.suffix as session_id
    from generate_series(1950, 2100) as season
    cross join generate_series(1, 40) as round
    cross join (values (''), ('-sprint')) as kinds (suffix)
),
keys as materialized (
    select session_id, hashtextextended('drivegrade.session.' || session_id, 0) as key
    from names
),
held as (
    select locks.pid, string_agg(keys.session_id, ' ' order by keys.session_id) as sessions
    from pg_locks as locks
    join keys on keys.key = (locks.classid::bigint << 32 | locks.objid::bigint)
    where locks.locktype = 'advisory'
        and locks.granted
        and locks.objsubid = 1
        and locks.database = (select oid from pg_database where datname = current_database())
        and locks.pid <> pg_backend_pid()
    group by locks.pid
),
holders as materialized (
    select
        activity.pid, activity.application_name, held.sessions,
        activity.xact_start as started_at,
        extract(epoch from clock_timestamp() - activity.xact_start)::double precision as held_s,
        activity.state,
        concat_ws(' ', activity.wait_event_type, activity.wait_event) as waits_for
    from held
    join pg_stat_activity as activity on activity.pid = held.pid
    where activity.xact_start <= clock_timestamp() - make_interval(secs => $1::double precision)
)
select
    holders.*,
    case when $2::boolean then pg_terminate_backend(holders.pid, 5000) else false end
        as is_terminated
from holders
order by started_at, pid
