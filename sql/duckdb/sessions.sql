-- Grands Prix and sprints: one row each, with the winner and the number of drivers entered.
with winners as (
    select
        season,
        session_id,
        arg_min(driver_id, driver_id) as winner_id,
        arg_min(driver_name, driver_id) as winner_name,
        max(completed_laps) as winner_laps
    from lake.entries
    where position = 1
    group by season, session_id
),
entered as (
    select season, session_id, count(*) as drivers
    from lake.entries
    group by season, session_id
)
select
    sessions.*,
    winners.winner_id,
    winners.winner_name,
    winners.winner_laps,
    coalesce(entered.drivers, 0) as drivers
from lake.sessions
left join winners using (season, session_id)
left join entered using (season, session_id)
