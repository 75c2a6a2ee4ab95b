-- Inserts and updates the entries of the staged sessions; those absent there are deleted by
-- withdrawn_entries.sql, after the rows that hang on them have been deleted and counted.
with session as (
    select races.race_id, races.slug as session_id
    from core.races
    join pg_temp.stage_sessions as staged on staged.session_id = races.slug
),
incoming as (
    select
        session.race_id,
        staged.driver_id,
        staged.driver_code, staged.driver_number, staged.driver_name, staged.team_id,
        staged.team_name, staged.grid_position, staged.is_pit_lane_start, staged.position,
        staged.is_classified, staged.status, staged.status_text, staged.points,
        staged.completed_laps, staged.race_time_ms
    from pg_temp.stage_entries as staged
    join session on session.session_id = staged.session_id
),
updated as (
    update core.entries as stored
    set (
        driver_code, driver_number, driver_name, team_id, team_name, grid_position,
        is_pit_lane_start, position, is_classified, status, status_text, points, completed_laps,
        race_time_ms
    ) = (
        incoming.driver_code, incoming.driver_number, incoming.driver_name, incoming.team_id,
        incoming.team_name, incoming.grid_position, incoming.is_pit_lane_start,
        incoming.position, incoming.is_classified, incoming.status, incoming.status_text,
        incoming.points, incoming.completed_laps, incoming.race_time_ms
    )
    from incoming
    where stored.race_id = incoming.race_id
        and stored.driver_id = incoming.driver_id
        and (
            stored.driver_code, stored.driver_number, stored.driver_name, stored.team_id,
            stored.team_name, stored.grid_position, stored.is_pit_lane_start, stored.position,
            stored.is_classified, stored.status, stored.status_text, stored.points,
            stored.completed_laps, stored.race_time_ms
        ) is distinct from (
            incoming.driver_code, incoming.driver_number, incoming.driver_name,
            incoming.team_id, incoming.team_name, incoming.grid_position,
            incoming.is_pit_lane_start, incoming.position, incoming.is_classified,
            incoming.status, incoming.status_text, incoming.points, incoming.completed_laps,
            incoming.race_time_ms
        )
    returning stored.race_id
),
inserted as (
    insert into core.entries (
        race_id, driver_id, driver_code, driver_number, driver_name, team_id, team_name,
        grid_position, is_pit_lane_start, position, is_classified, status, status_text, points,
        completed_laps, race_time_ms
    )
    select * from incoming
    where not exists (
        select from core.entries as stored
        where stored.race_id = incoming.race_id
            and stored.driver_id = incoming.driver_id
    )
    order by race_id, driver_id
    returning race_id
),
changes as (
    select race_id, 'inserted' as what, count(*) as row_count from inserted group by race_id
    union all
    select race_id, 'updated', count(*) from updated group by race_id
)
select
    session.session_id,
    coalesce(sum(row_count) filter (where what = 'inserted'), 0)::bigint as inserted,
    coalesce(sum(row_count) filter (where what = 'updated'), 0)::bigint as updated,
    0::bigint as deleted
from changes
join session on session.race_id = changes.race_id
group by session.session_id
