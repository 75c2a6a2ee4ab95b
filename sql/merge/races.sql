-- Inserts the staged session, which is of event $1, or updates it where it differs. Its round is
-- that of the event already: a session of another event is never taken for it.
with incoming as (
    select
        session_id as slug,
        season, round, session_kind, event_name, circuit_id, circuit_name, session_date,
        started_at, scheduled_laps, meeting_key, f1_session_key, data_source,
        $1::text as event_key
    from pg_temp.stage_sessions
),
updated as (
    update core.races as stored
    set (
        season, round, session_kind, event_name, circuit_id, circuit_name, session_date,
        started_at, scheduled_laps, meeting_key, f1_session_key, data_source
    ) = (
        incoming.season, incoming.round, incoming.session_kind, incoming.event_name,
        incoming.circuit_id, incoming.circuit_name, incoming.session_date, incoming.started_at,
        incoming.scheduled_laps, incoming.meeting_key, incoming.f1_session_key,
        incoming.data_source
    )
    from incoming
    where stored.event_key = incoming.event_key
        and stored.session_kind = incoming.session_kind
        and (
            stored.season, stored.round, stored.session_kind, stored.event_name,
            stored.circuit_id, stored.circuit_name, stored.session_date, stored.started_at,
            stored.scheduled_laps, stored.meeting_key, stored.f1_session_key, stored.data_source
        ) is distinct from (
            incoming.season, incoming.round, incoming.session_kind, incoming.event_name,
            incoming.circuit_id, incoming.circuit_name, incoming.session_date,
            incoming.started_at, incoming.scheduled_laps, incoming.meeting_key,
            incoming.f1_session_key, incoming.data_source
        )
    returning 1
),
inserted as (
    insert into core.races (
        slug, season, round, session_kind, event_name, circuit_id, circuit_name, session_date,
        started_at, scheduled_laps, meeting_key, f1_session_key, data_source, event_key
    )
    select * from incoming
    where not exists (
        select from core.races as stored
        where stored.event_key = incoming.event_key
            and stored.session_kind = incoming.session_kind
    )
    returning 1
)
select
    (select count(*) from inserted) as inserted,
    (select count(*) from updated) as updated,
    0::bigint as deleted
