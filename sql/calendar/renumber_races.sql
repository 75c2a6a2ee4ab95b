-- Gives the stored races of the staged calendar's events their new rounds, and slugs with them.
with events as (
    select event_key, min(round) as round
    from pg_temp.stage_calendar
    where not is_cancelled
    group by event_key
),
updated as (
    update core.races as stored
    set
        round = events.round,
        slug = stored.season || '-' || events.round
            || case stored.session_kind when 'race' then '' else '-' || stored.session_kind end
    from events
    where events.event_key = stored.event_key
        and stored.round <> events.round
    returning 1
)
select count(*) as updated from updated
