-- Makes the stored pit cycles of the staged sessions under the staged gradings equal to
-- the staged ones. What is stored under other profiles goes with its grades, which
-- driver_metrics.sql deletes before.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        entries.entry_id,
        staged.model_version, staged.profile_name, staged.stop_number, staged.lap_number,
        staged.is_neutralized, staged.cost_s, staged.field_cost_s, staged.lost_s
    from pg_temp.stage_pit_cycles as staged
    join session on session.session_id = staged.session_id
    join core.entries
        on entries.race_id = session.race_id
        and entries.driver_id = staged.driver_id
),
deleted as (
    delete from core.pit_cycles as stored
    using session, core.entries
    where entries.race_id = session.race_id
        and entries.entry_id = stored.entry_id
        and exists (
            select from pg_temp.stage_gradings as gradings
            where gradings.profile_name = stored.profile_name
                and gradings.model_version = stored.model_version
        )
        and not exists (
            select from incoming
            where incoming.entry_id = stored.entry_id
                and incoming.model_version = stored.model_version
                and incoming.profile_name = stored.profile_name
                and incoming.stop_number = stored.stop_number
        )
    returning stored.entry_id
),
updated as (
    update core.pit_cycles as stored
    set (
        lap_number, is_neutralized, cost_s, field_cost_s, lost_s
    ) = (
        incoming.lap_number, incoming.is_neutralized, incoming.cost_s, incoming.field_cost_s,
        incoming.lost_s
    )
    from incoming
    where stored.entry_id = incoming.entry_id
        and stored.model_version = incoming.model_version
        and stored.profile_name = incoming.profile_name
        and stored.stop_number = incoming.stop_number
        and (
            stored.lap_number, stored.is_neutralized, stored.cost_s, stored.field_cost_s,
            stored.lost_s
        ) is distinct from (
            incoming.lap_number, incoming.is_neutralized, incoming.cost_s, incoming.field_cost_s,
            incoming.lost_s
        )
    returning stored.entry_id
),
inserted as (
    insert into core.pit_cycles (
        entry_id, model_version, profile_name, stop_number, lap_number, is_neutralized, cost_s,
        field_cost_s, lost_s
    )
    select * from incoming
    where not exists (
        select from core.pit_cycles as stored
        where stored.entry_id = incoming.entry_id
            and stored.model_version = incoming.model_version
            and stored.profile_name = incoming.profile_name
            and stored.stop_number = incoming.stop_number
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
