-- Makes the stored marks of the staged sessions' filled columns equal to the staged ones:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        session.race_id,
        staged.table_name, staged.column_name, staged.data_source, staged.filled_rows
    from pg_temp.stage_filled_columns as staged
    join session on session.session_id = staged.session_id
),
deleted as (
    delete from core.filled_columns as stored
    using session
    where stored.race_id = session.race_id
        and not exists (
            select from incoming
            where incoming.race_id = stored.race_id
                and incoming.table_name = stored.table_name
                and incoming.column_name = stored.column_name
                and incoming.data_source = stored.data_source
        )
    returning stored.race_id
),
updated as (
    update core.filled_columns as stored
    set filled_rows = incoming.filled_rows
    from incoming
    where stored.race_id = incoming.race_id
        and stored.table_name = incoming.table_name
        and stored.column_name = incoming.column_name
        and stored.data_source = incoming.data_source
        and stored.filled_rows is distinct from incoming.filled_rows
    returning stored.race_id
),
inserted as (
    insert into core.filled_columns (
        race_id, table_name, column_name, data_source, filled_rows
    )
    select * from incoming
    where not exists (
        select from core.filled_columns as stored
        where stored.race_id = incoming.race_id
            and stored.table_name = incoming.table_name
            and stored.column_name = incoming.column_name
            and stored.data_source = incoming.data_source
    )
    returning race_id
),
changes as (
    select race_id, 'inserted' as what, count(*) as row_count from inserted group by race_id
    union all
    select race_id, 'updated', count(*) from updated group by race_id
    union all
    select race_id, 'deleted', count(*) from deleted group by race_id
)
select
    session.session_id,
    coalesce(sum(row_count) filter (where what = 'inserted'), 0)::bigint as inserted,
    coalesce(sum(row_count) filter (where what = 'updated'), 0)::bigint as updated,
    coalesce(sum(row_count) filter (where what = 'deleted'), 0)::bigint as deleted
from changes
join session on session.race_id = changes.race_id
group by session.session_id
