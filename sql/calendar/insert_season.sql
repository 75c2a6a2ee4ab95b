-- Inserts season $1 if it is new.
with inserted as (
    insert into core.seasons (season)
    select $1::smallint
    where not exists (select from core.seasons where season = $1::smallint)
    on conflict (season) do nothing
    returning 1
)
select count(*) as inserted from inserted
