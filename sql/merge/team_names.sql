-- Gives the constructors of the staged sessions the name that the newest of all stored sessions
-- knows, so that it does not matter in which order sessions are loaded. The caller
-- holds the lock of names: who waits for a row sees it as it was.
with newest as (
    select
        entries.team_id,
        (array_agg(
            entries.team_name
            order by races.season desc, races.round desc, races.session_kind, entries.team_name
        ))[1] as team_name
    from core.entries
    join core.races on races.race_id = entries.race_id
    where entries.team_id in (select staged.team_id from pg_temp.stage_entries as staged)
    group by entries.team_id
),
updated as (
    update core.teams as stored
    set team_name = newest.team_name
    from newest
    where stored.team_id = newest.team_id
        and stored.team_name is distinct from newest.team_name
    returning 1
)
select
    null::text as session_id,
    0::bigint as inserted,
    (select count(*) from updated) as updated,
    0::bigint as deleted
