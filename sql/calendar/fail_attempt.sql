-- Notes why the last attempt to ingest the session of season $1, round $2 and kind $3 failed
-- ($4). What is ingested or cancelled keeps its status.
with updated as (
    update public.calendar_events
    set
        status = 'failed',
        status_reason = $4::text,
        updated_at = now()
    where (season, round, session_kind) = ($1::smallint, $2::smallint, $3::text)
        and status not in ('ingested', 'cancelled')
    returning 1
)
select count(*) as updated from updated
