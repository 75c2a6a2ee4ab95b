-- Inserts the circuits of the staged sessions that are new, as the newest of these sessions knows
-- them; circuit_names.sql updates the others. Nothing is deleted.
with incoming as (
    select
        staged.circuit_id,
        (array_agg(
            staged.circuit_name
            order by staged.season desc, staged.round desc, staged.session_kind
        ) filter (where staged.circuit_name is not null))[1] as circuit_name
    from pg_temp.stage_sessions as staged
    where staged.circuit_id is not null
    group by staged.circuit_id
),
inserted as (
    insert into core.circuits (circuit_id, circuit_name)
    select * from incoming
    where not exists (
        select from core.circuits as stored where stored.circuit_id = incoming.circuit_id
    )
    order by circuit_id
    on conflict (circuit_id) do nothing
    returning 1
)
select
    null::text as session_id,
    (select count(*) from inserted) as inserted,
    0::bigint as updated,
    0::bigint as deleted
