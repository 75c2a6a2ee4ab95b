-- What each role may do now: tables it owns, reads, and writes rows of.
with tables as (
    select oid, relowner
    from pg_class
    where relkind in ('r', 'p')
        and relnamespace::regnamespace::text in ('core', 'config', 'ops', 'validation', 'public')
)
select
    roles.rolname::text as role_name,
    count(*) filter (where tables.relowner = roles.oid) as owns,
    count(*) filter (where has_table_privilege(roles.oid, tables.oid, 'select')) as reads,
    count(*) filter (
        where has_table_privilege(roles.oid, tables.oid, 'insert, update, delete')
    ) as writes
from pg_roles as roles
cross join tables
where roles.rolname in ('drivegrade_migrate', 'drivegrade_ingest', 'drivegrade_api')
group by roles.rolname
order by owns desc, writes desc
