-- Notes that the active profile became so, and leaves word of it in the outbox, unless the newest
-- activation is its own.
with newest as (
    select profile_name, profile_version
    from ops.profile_activations
    order by activation_number desc
    limit 1
),
noted as (
    insert into ops.profile_activations (profile_name, profile_version)
    select active.profile_name, active.profile_version
    from config.calibration_profiles as active
    where active.is_active
        and not exists (
            select
            from newest
            where newest.profile_name = active.profile_name
                and newest.profile_version = active.profile_version
        )
    returning activation_number
),
inserted as (
    insert into ops.outbox (topic, activation_number)
    select 'profile', activation_number from noted
    returning 1
)
select count(*) as inserted from inserted
