-- Versions of the answers of the sessions of the JSON list $1: the newest load and the newest
-- activation of a profile. No row of a session that is not stored.
select
    races.slug as session_id,
    max(loads.load_id) as load_id,
    (
        select coalesce(max(activation_number), 0) from ops.profile_activations
    )::bigint as activation_number
from jsonb_array_elements_text($1::jsonb) as wanted (session_id)
join core.races on races.slug = wanted.session_id
join ops.loads on loads.race_id = races.race_id
group by races.slug
