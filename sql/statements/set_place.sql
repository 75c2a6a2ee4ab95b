-- Notes that the staged session $1 is of event $2.
with updated as (
    update pg_temp.stage_places
    set event_key = $2
    where session_id = $1
    returning 1
)
select count(*) as updated from updated
