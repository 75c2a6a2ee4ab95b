-- Gives the drivers of the staged sessions the attributes that the newest of all stored sessions
-- knows, so that it does not matter in which order sessions are loaded. What none of them knows
-- keeps its value. The caller holds the lock of names: who waits for a row sees it as it was.
with newest as (
    select
        entries.driver_id,
        (array_agg(
            entries.driver_name
            order by races.season desc, races.round desc, races.session_kind
        ))[1] as driver_name,
        (array_agg(
            entries.driver_code
            order by races.season desc, races.round desc, races.session_kind
        ) filter (where entries.driver_code is not null))[1] as driver_code
    from core.entries
    join core.races on races.race_id = entries.race_id
    where entries.driver_id in (select staged.driver_id from pg_temp.stage_entries as staged)
    group by entries.driver_id
),
updated as (
    update core.drivers as stored
    set
        driver_name = newest.driver_name,
        driver_code = coalesce(newest.driver_code, stored.driver_code)
    from newest
    where stored.driver_id = newest.driver_id
        and (stored.driver_name, stored.driver_code)
            is distinct from (newest.driver_name, coalesce(newest.driver_code, stored.driver_code))
    returning 1
)
select
    null::text as session_id,
    0::bigint as inserted,
    (select count(*) from updated) as updated,
    0::bigint as deleted
