-- Gives every constructor its name in the newest session; nothing is deleted.
insert into core.teams (team_id, team_name)
select team_id, team_name
from (
    select
        entries.team_id,
        entries.team_name,
        row_number() over (
            partition by entries.team_id
            order by races.season desc, races.round desc, races.session_kind, entries.team_name
        ) as place
    from core.entries as entries
    join core.races as races on races.race_id = entries.race_id
) as named
where place = 1
on conflict (team_id) do update
set team_name = excluded.team_name
