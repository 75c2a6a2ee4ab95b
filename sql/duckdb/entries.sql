-- The official classification: one row per driver entered in a session.
select
    sessions.round,
    sessions.session_kind,
    sessions.event_name,
    sessions.circuit_id,
    entries.*
from lake.entries
join lake.sessions using (season, session_id)
