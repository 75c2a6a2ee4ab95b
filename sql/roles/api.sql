-- Lets drivegrade_api read sessions, grades and profiles, which load they are of, and for how long
-- the outbox has waited; not who or what loaded them.
-- The limits are what a session of it begins with; that it cannot write rests on the rights.
do $$
declare
    maker text;
begin
    execute format('revoke create, temporary on database %I from public', current_database());
    execute format('grant connect on database %I to drivegrade_api', current_database());
    revoke create on schema public from public;
    grant usage on schema core, config, ops, public to drivegrade_api;
    foreach maker in array array['drivegrade_migrate', current_user::text] loop
        execute format(
            'alter default privileges for role %I in schema core, public
            grant select on tables to drivegrade_api', maker
        );
    end loop;
    grant select on all tables in schema core, public to drivegrade_api;
    grant select on config.calibration_profiles to drivegrade_api;
    grant select (load_id, race_id, data_hash, loaded_at) on ops.loads to drivegrade_api;
    grant select (activation_number) on ops.profile_activations to drivegrade_api;
    grant select (created_at, done_at, parked_at) on ops.outbox to drivegrade_api;
    alter role drivegrade_api set default_transaction_read_only = on;
    alter role drivegrade_api set statement_timeout = '2s';
    alter role drivegrade_api set lock_timeout = '1s';
    alter role drivegrade_api set idle_in_transaction_session_timeout = '5s';
    alter role drivegrade_api connection limit 20;
end $$
