-- Inserts the constructors of the staged session, and updates what differs; an attribute that the
-- session does not know keeps its value, and nothing is deleted. Rows are locked in the order
-- of their keys, so that sessions loaded side by side wait for one another in turn.
with incoming as (
    select distinct on (team_id) team_id, team_name
    from pg_temp.stage_entries
    order by team_id, team_name
),
differing as (
    select stored.team_id
    from core.teams as stored
    join incoming on incoming.team_id = stored.team_id
    where stored.team_name
        is distinct from incoming.team_name
    order by stored.team_id
    for update of stored
),
updated as (
    update core.teams as stored
    set team_name = incoming.team_name
    from incoming
    join differing on differing.team_id = incoming.team_id
    where stored.team_id = incoming.team_id
    returning 1
),
inserted as (
    insert into core.teams (team_id, team_name)
    select team_id, team_name
    from incoming
    where not exists (
        select from core.teams as stored where stored.team_id = incoming.team_id
    )
    order by team_id
    on conflict (team_id) do nothing
    returning 1
)
select
    (select count(*) from inserted) as inserted,
    (select count(*) from updated) as updated,
    0::bigint as deleted
