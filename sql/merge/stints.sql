-- Makes the stored stints of the staged sessions equal to those their staged laps make up:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.stint_number,
        (array_agg(staged.compound order by staged.lap_number)
            filter (where staged.compound is not null))[1] as compound,
        min(staged.lap_number) as first_lap,
        max(staged.lap_number) as last_lap,
        count(*)::smallint as lap_count,
        (array_agg(staged.tyre_life_laps order by staged.lap_number))[1] as start_tyre_life_laps
    from pg_temp.stage_laps as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
    where staged.stint_number is not null
    group by entries.entry_id, staged.stint_number
),
deleted as (
    delete from public.stints as stored
    using session, core.entries
    where entries.race_id = session.race_id
        and entries.entry_id = stored.entry_id
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.stint_number = stored.stint_number
        )
    returning stored.entry_id
),
updated as (
    update public.stints as stored
    set (
        compound, first_lap, last_lap, lap_count, start_tyre_life_laps
    ) = (
        incoming.compound, incoming.first_lap, incoming.last_lap, incoming.lap_count,
        incoming.start_tyre_life_laps
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.stint_number = incoming.stint_number
        and (
            stored.compound, stored.first_lap, stored.last_lap, stored.lap_count,
            stored.start_tyre_life_laps
        ) is distinct from (
            incoming.compound, incoming.first_lap, incoming.last_lap, incoming.lap_count,
            incoming.start_tyre_life_laps
        )
    returning stored.entry_id
),
inserted as (
    insert into public.stints (
        entry_id, stint_number, compound, first_lap, last_lap, lap_count, start_tyre_life_laps
    )
    select * from incoming
    where not exists (
        select from public.stints as stored
        where stored.entry_id = incoming.entry_id
            and stored.stint_number = incoming.stint_number
    )
    returning entry_id
),
changes as (
    select entry_id, 'inserted' as what, count(*) as row_count from inserted group by entry_id
    union all
    select entry_id, 'updated', count(*) from updated group by entry_id
    union all
    select entry_id, 'deleted', count(*) from deleted group by entry_id
)
select
    session.session_id,
    coalesce(sum(row_count) filter (where what = 'inserted'), 0)::bigint as inserted,
    coalesce(sum(row_count) filter (where what = 'updated'), 0)::bigint as updated,
    coalesce(sum(row_count) filter (where what = 'deleted'), 0)::bigint as deleted
from changes
join core.entries on entries.entry_id = changes.entry_id
join session on session.race_id = entries.race_id
group by session.session_id
