-- Gives every circuit the name that the newest session knows; nothing is deleted.
insert into core.circuits (circuit_id, circuit_name)
select circuit_id, circuit_name
from (
    select
        circuit_id,
        circuit_name,
        row_number() over (
            partition by circuit_id
            order by circuit_name is null, season desc, round desc, session_kind
        ) as place
    from core.races
    where circuit_id is not null
) as named
where place = 1
on conflict (circuit_id) do update
set circuit_name = coalesce(excluded.circuit_name, circuits.circuit_name)
