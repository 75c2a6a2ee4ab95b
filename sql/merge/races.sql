-- Inserts the staged sessions whose event is known, or updates them where they differ; of them
-- only session $1, unless that is null. The round is that of the event already: a session of
-- another event is never taken for it.
with incoming as (
    select
        staged.session_id as slug,
        staged.season, staged.round, staged.session_kind, staged.event_name, staged.circuit_id,
        staged.circuit_name, staged.session_date, staged.started_at, staged.scheduled_laps,
        staged.meeting_key, staged.f1_session_key, staged.data_source,
        places.event_key
    from pg_temp.stage_sessions as staged
    join pg_temp.stage_places as places on places.session_id = staged.session_id
    where places.event_key is not null
        and ($1::text is null or staged.session_id = $1::text)
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
    returning stored.slug
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
    order by season, round, session_kind desc
    returning slug
)
select slug as session_id, 1::bigint as inserted, 0::bigint as updated, 0::bigint as deleted
from inserted
union all
select slug, 0, 1, 0
from updated
