-- Sessions whose last attempt to be ingested began and has not ended: it is under way, or whoever
-- made it was killed. Both the count of an attempt and its end are written with the time, so the
-- row was last changed when the attempt began. A change of the calendar meanwhile hides it; the
-- session is due again after its pause then.
select
    season,
    round,
    session_kind,
    attempts,
    extract(epoch from now() - last_attempt_at)::float8 as open_for_s
from public.calendar_events
where status not in ('ingested', 'cancelled')
    and updated_at = last_attempt_at
    and round is not null
order by last_attempt_at, season, round, session_kind
