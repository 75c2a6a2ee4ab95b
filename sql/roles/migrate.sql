-- Gives drivegrade_migrate the schemas and tables: it alone may change their shape.
do $$
declare
    found record;
begin
    execute format('grant connect, create, temporary on database %I to drivegrade_migrate',
        current_database());
    grant usage, create on schema public to drivegrade_migrate;
    for found in
        select nspname as name
        from pg_namespace
        where nspname in ('core', 'config', 'ops', 'validation')
            and nspowner <> 'drivegrade_migrate'::regrole
    loop
        execute format('alter schema %I owner to drivegrade_migrate', found.name);
    end loop;
    for found in
        select relnamespace::regnamespace as schema_name, relname as name
        from pg_class
        where relnamespace::regnamespace::text in ('core', 'config', 'ops', 'validation', 'public')
            and relkind in ('r', 'p', 'v', 'm')
            and relowner <> 'drivegrade_migrate'::regrole
        order by oid
    loop
        execute format('alter table %s.%I owner to drivegrade_migrate',
            found.schema_name, found.name);
    end loop;
end $$
