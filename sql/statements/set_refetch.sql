-- Notes when sessions should be fetched again: a JSON object $1, session → time, null for never.
with updated as (
    update public.calendar_events as stored
    set refetch_at = wanted.refetch_at::timestamptz, updated_at = now()
    from jsonb_each_text($1::jsonb) as wanted (session_id, refetch_at)
    join core.races on races.slug = wanted.session_id
    where stored.event_key = races.event_key
        and stored.session_kind = races.session_kind
        and stored.refetch_at is distinct from wanted.refetch_at::timestamptz
    returning 1
)
select count(*) as updated from updated
