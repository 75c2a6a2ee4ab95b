-- Inserts the constructors of the staged sessions that are new, as the newest of these sessions
-- knows them; team_names.sql updates the others. Nothing is deleted.
with incoming as (
    select
        staged.team_id,
        (array_agg(
            staged.team_name
            order by
                sessions.season desc, sessions.round desc, sessions.session_kind, staged.team_name
        ))[1] as team_name
    from pg_temp.stage_entries as staged
    join pg_temp.stage_sessions as sessions on sessions.session_id = staged.session_id
    group by staged.team_id
),
inserted as (
    insert into core.teams (team_id, team_name)
    select * from incoming
    where not exists (
        select from core.teams as stored where stored.team_id = incoming.team_id
    )
    order by team_id
    on conflict (team_id) do nothing
    returning 1
)
select
    null::text as session_id,
    (select count(*) from inserted) as inserted,
    0::bigint as updated,
    0::bigint as deleted
