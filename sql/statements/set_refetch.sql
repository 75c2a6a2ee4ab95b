-- Notes when the session of event $1 and kind $2 should be fetched again ($3, null for never).
with updated as (
    update public.calendar_events
    set refetch_at = $3::text::timestamptz, updated_at = now()
    where event_key = $1
        and session_kind = $2
        and refetch_at is distinct from $3::text::timestamptz
    returning 1
)
select count(*) as updated from updated
