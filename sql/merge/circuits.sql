-- Inserts the circuit of the staged session, and updates what differs; an attribute that the
-- session does not know keeps its value, and nothing is deleted. Rows are locked in the order
-- of their keys, so that sessions loaded side by side wait for one another in turn.
with incoming as (
    select circuit_id, circuit_name
    from pg_temp.stage_sessions
    where circuit_id is not null
),
differing as (
    select stored.circuit_id
    from core.circuits as stored
    join incoming on incoming.circuit_id = stored.circuit_id
    where stored.circuit_name
        is distinct from coalesce(incoming.circuit_name, stored.circuit_name)
    order by stored.circuit_id
    for update of stored
),
updated as (
    update core.circuits as stored
    set circuit_name = coalesce(incoming.circuit_name, stored.circuit_name)
    from incoming
    join differing on differing.circuit_id = incoming.circuit_id
    where stored.circuit_id = incoming.circuit_id
    returning 1
),
inserted as (
    insert into core.circuits (circuit_id, circuit_name)
    select circuit_id, circuit_name
    from incoming
    where not exists (
        select from core.circuits as stored where stored.circuit_id = incoming.circuit_id
    )
    order by circuit_id
    on conflict (circuit_id) do nothing
    returning 1
)
select
    (select count(*) from inserted) as inserted,
    (select count(*) from updated) as updated,
    0::bigint as deleted
