-- Takes the locks of the sessions $1, ids separated by blanks, in their order, until the
-- transaction ends, as far as nobody else holds them; names those that are held.
select session_id
from (
    select locks.session_id
    from string_to_table($1, ' ') with ordinality as locks (session_id, number)
    order by locks.number
) as named
where not pg_try_advisory_xact_lock(hashtextextended('drivegrade.session.' || session_id, 0))
