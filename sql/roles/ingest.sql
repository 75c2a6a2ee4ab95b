-- Lets drivegrade_ingest read everything and write rows, never the shape of a table; what was
-- loaded, and the constants of a profile, are added and not changed. Tables of later migrations
-- follow by default privileges, which hold for tables that drivegrade_migrate or the role that
-- runs this makes.
do $$
declare
    maker text;
begin
    execute format('grant connect, temporary on database %I to drivegrade_ingest',
        current_database());
    grant usage on schema core, config, ops, validation, public to drivegrade_ingest;
    foreach maker in array array['drivegrade_migrate', current_user::text] loop
        execute format(
            'alter default privileges for role %I in schema core, public, ops
            grant select, insert, update, delete, maintain on tables to drivegrade_ingest', maker
        );
        execute format(
            'alter default privileges for role %I in schema config, validation
            grant select, insert on tables to drivegrade_ingest', maker
        );
    end loop;
    grant select, insert, update, delete, maintain on all tables in schema core, public, ops
        to drivegrade_ingest;
    grant select, insert on all tables in schema config, validation to drivegrade_ingest;
    grant update (is_active) on config.calibration_profiles to drivegrade_ingest;
    grant delete on validation.external_rankings to drivegrade_ingest;
    revoke update, delete on ops.loads, ops.revision_summaries, ops.profile_activations
        from drivegrade_ingest;
    revoke insert, update, delete, maintain on public._pogo_migration from drivegrade_ingest;
end $$
