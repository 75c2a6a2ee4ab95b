-- Makes the stored visits to the pit lane of the staged session equal to the staged ones:
-- rows absent there are deleted, new ones inserted, different ones updated, equal ones left alone.
with session as (
    select races.race_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.lap_number, staged.pit_in_ms, staged.pit_out_ms, staged.pit_lane_time_ms,
        staged.stationary_time_ms
    from pg_temp.stage_pit_stops as staged
    join session on true
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
deleted as (
    delete from public.pit_stops as stored
    using session, core.entries
    where entries.race_id = session.race_id
        and entries.entry_id = stored.entry_id
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.lap_number = stored.lap_number
        )
    returning 1
),
updated as (
    update public.pit_stops as stored
    set (
        pit_in_ms, pit_out_ms, pit_lane_time_ms, stationary_time_ms
    ) = (
        incoming.pit_in_ms, incoming.pit_out_ms, incoming.pit_lane_time_ms,
        incoming.stationary_time_ms
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.lap_number = incoming.lap_number
        and (
            stored.pit_in_ms, stored.pit_out_ms, stored.pit_lane_time_ms,
            stored.stationary_time_ms
        ) is distinct from (
            incoming.pit_in_ms, incoming.pit_out_ms, incoming.pit_lane_time_ms,
            incoming.stationary_time_ms
        )
    returning 1
),
inserted as (
    insert into public.pit_stops (
        entry_id, lap_number, pit_in_ms, pit_out_ms, pit_lane_time_ms, stationary_time_ms
    )
    select * from incoming
    where not exists (
        select from public.pit_stops as stored
        where stored.entry_id = incoming.entry_id
            and stored.lap_number = incoming.lap_number
    )
    returning 1
)
select
    (select count(*) from inserted) as inserted,
    (select count(*) from updated) as updated,
    (select count(*) from deleted) as deleted
