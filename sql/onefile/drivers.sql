-- Gives every driver the name of the newest session, and the code of the newest that knows it;
-- who qualified and has no entry is called by the id, if nothing else is known. Nothing is deleted.
insert into core.drivers (driver_id, driver_name, driver_code)
select named.driver_id, named.driver_name, coded.driver_code
from (
    select
        entries.driver_id,
        entries.driver_name,
        row_number() over (
            partition by entries.driver_id
            order by races.season desc, races.round desc, races.session_kind
        ) as place
    from core.entries as entries
    join core.races as races on races.race_id = entries.race_id
) as named
left join (
    select
        entries.driver_id,
        entries.driver_code,
        row_number() over (
            partition by entries.driver_id
            order by races.season desc, races.round desc, races.session_kind
        ) as place
    from core.entries as entries
    join core.races as races on races.race_id = entries.race_id
    where entries.driver_code is not null
) as coded on coded.driver_id = named.driver_id and coded.place = 1
where named.place = 1
union all
select distinct qualified.driver_id, qualified.driver_id, null
from public.qualifying as qualified
where not exists (
    select 1 from core.entries as entries where entries.driver_id = qualified.driver_id
)
    and not exists (
        select 1 from core.drivers as drivers where drivers.driver_id = qualified.driver_id
    )
on conflict (driver_id) do update
set
    driver_name = excluded.driver_name,
    driver_code = coalesce(excluded.driver_code, drivers.driver_code)
