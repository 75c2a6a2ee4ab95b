-- Gives the circuits of the staged sessions the attributes that the newest of all stored sessions
-- knows, so that it does not matter in which order sessions are loaded. What none of them knows
-- keeps its value. The caller holds the lock of names: who waits for a row sees it as it was.
with newest as (
    select
        circuit_id,
        (array_agg(
            races.circuit_name
            order by races.season desc, races.round desc, races.session_kind
        ) filter (where races.circuit_name is not null))[1] as circuit_name
    from core.races
    where circuit_id in (select staged.circuit_id from pg_temp.stage_sessions as staged)
    group by circuit_id
),
updated as (
    update core.circuits as stored
    set circuit_name = coalesce(newest.circuit_name, stored.circuit_name)
    from newest
    where stored.circuit_id = newest.circuit_id
        and stored.circuit_name is distinct from coalesce(newest.circuit_name, stored.circuit_name)
    returning 1
)
select
    null::text as session_id,
    0::bigint as inserted,
    (select count(*) from updated) as updated,
    0::bigint as deleted
