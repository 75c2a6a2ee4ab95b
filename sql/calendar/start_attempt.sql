-- Counts an attempt to ingest the session of season $1, round $2 and kind $3.
with updated as (
    update public.calendar_events
    set
        attempts = attempts + 1,
        last_attempt_at = now(),
        updated_at = now()
    where (season, round, session_kind) = ($1::smallint, $2::smallint, $3::text)
    returning 1
)
select count(*) as updated from updated
