-- Inserts the seasons of the staged sessions that are new.
with inserted as (
    insert into core.seasons (season)
    select distinct season from pg_temp.stage_sessions as staged
    where not exists (select from core.seasons as stored where stored.season = staged.season)
    order by season
    on conflict (season) do nothing
    returning 1
)
select
    null::text as session_id,
    (select count(*) from inserted) as inserted,
    0::bigint as updated,
    0::bigint as deleted
