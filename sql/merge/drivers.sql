-- Inserts the drivers of the staged sessions that are new, as the newest of these sessions knows
-- them; driver_names.sql updates the others. Who qualified and has no entry is called by the id
-- until there is one. Nothing is deleted.
with incoming as (
    select
        staged.driver_id,
        (array_agg(
            staged.driver_name
            order by sessions.season desc, sessions.round desc, sessions.session_kind
        ))[1] as driver_name,
        (array_agg(
            staged.driver_code
            order by sessions.season desc, sessions.round desc, sessions.session_kind
        ) filter (where staged.driver_code is not null))[1] as driver_code
    from pg_temp.stage_entries as staged
    join pg_temp.stage_sessions as sessions on sessions.session_id = staged.session_id
    group by staged.driver_id
    union all
    select distinct driver_id, driver_id, null
    from pg_temp.stage_qualifying as qualified
    where not exists (
        select from pg_temp.stage_entries as staged where staged.driver_id = qualified.driver_id
    )
),
inserted as (
    insert into core.drivers (driver_id, driver_name, driver_code)
    select * from incoming
    where not exists (
        select from core.drivers as stored where stored.driver_id = incoming.driver_id
    )
    order by driver_id
    on conflict (driver_id) do nothing
    returning 1
)
select
    null::text as session_id,
    (select count(*) from inserted) as inserted,
    0::bigint as updated,
    0::bigint as deleted
