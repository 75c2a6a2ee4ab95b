-- Leaves word in the outbox that the sessions of the JSON list $1 were loaded, each with its
-- newest load.
with inserted as (
    insert into ops.outbox (topic, session_id, load_id)
    select 'session', races.slug, max(loads.load_id)
    from jsonb_array_elements_text($1::jsonb) as loaded (session_id)
    join core.races on races.slug = loaded.session_id
    join ops.loads on loads.race_id = races.race_id
    group by races.slug
    order by max(loads.load_id)
    returning 1
)
select count(*) as inserted from inserted
