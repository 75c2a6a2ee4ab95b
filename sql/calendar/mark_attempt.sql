-- Counts an attempt to ingest the session of season $1, round $2 and kind $3, and notes why it
-- failed ($4, null if it did not). What was ingested or cancelled keeps its status.
with updated as (
    update public.calendar_events
    set
        attempts = attempts + 1,
        last_attempt_at = now(),
        status = case
            when $4::text is null or status in ('ingested', 'cancelled') then status
            else 'failed'
        end,
        status_reason = case
            when $4::text is null or status in ('ingested', 'cancelled') then status_reason
            else $4::text
        end,
        updated_at = now()
    where (season, round, session_kind) = ($1::smallint, $2::smallint, $3::text)
    returning 1
)
select count(*) as updated from updated
