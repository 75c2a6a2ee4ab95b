-- Waits for the locks of the JSON list $1 in their order and holds them until the transaction ends.
select count(pg_advisory_xact_lock(named.key)) as held
from (
    select hashtextextended('drivegrade.' || locks.name, 0) as key
    from jsonb_array_elements_text($1::jsonb) with ordinality as locks (name, number)
    order by locks.number
) as named
