-- Inserts the staged session's season if it is new.
with inserted as (
    insert into core.seasons (season)
    select season from pg_temp.stage_sessions as staged
    where not exists (select from core.seasons as stored where stored.season = staged.season)
    on conflict (season) do nothing
    returning 1
)
select
    (select count(*) from inserted) as inserted,
    0::bigint as updated,
    0::bigint as deleted
