-- Makes the three roles where they are missing, without a password: nobody can log in as one, but
-- where the server trusts the connection, until a password is set.
do $$
declare
    wanted text;
begin
    perform pg_advisory_xact_lock(hashtextextended('drivegrade.roles', 0));
    foreach wanted in array array['drivegrade_migrate', 'drivegrade_ingest', 'drivegrade_api'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I login', wanted);
        end if;
        execute format(
            'alter role %I login nosuperuser nocreatedb nocreaterole noinherit', wanted
        );
        -- who may not do everything must be a member to hand tables over to it
        if not (select rolsuper from pg_roles where rolname = current_user) then
            execute format('grant %I to current_user', wanted);
        end if;
    end loop;
end $$
