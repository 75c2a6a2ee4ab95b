-- Inserts the drivers of the staged session, and updates what differs; an attribute that the
-- session does not know keeps its value, and nothing is deleted. Rows are locked in the order
-- of their keys, so that sessions loaded side by side wait for one another in turn.
with incoming as (
    select driver_id, driver_name, driver_code
    from pg_temp.stage_entries
),
differing as (
    select stored.driver_id
    from core.drivers as stored
    join incoming on incoming.driver_id = stored.driver_id
    where (stored.driver_name, stored.driver_code)
        is distinct from (incoming.driver_name, coalesce(incoming.driver_code, stored.driver_code))
    order by stored.driver_id
    for update of stored
),
updated as (
    update core.drivers as stored
    set
        driver_name = incoming.driver_name,
        driver_code = coalesce(incoming.driver_code, stored.driver_code)
    from incoming
    join differing on differing.driver_id = incoming.driver_id
    where stored.driver_id = incoming.driver_id
    returning 1
),
inserted as (
    insert into core.drivers (driver_id, driver_name, driver_code)
    select driver_id, driver_name, driver_code
    from incoming
    where not exists (
        select from core.drivers as stored where stored.driver_id = incoming.driver_id
    )
    order by driver_id
    on conflict (driver_id) do nothing
    returning 1
)
select
    (select count(*) from inserted) as inserted,
    (select count(*) from updated) as updated,
    0::bigint as deleted
