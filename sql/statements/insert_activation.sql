-- Numbers the activation of the active profile, and leaves word of it in the outbox, unless the
-- newest activation is its own.
with numbered as (
    update config.calibration_profiles as stored
    set activation_number = before.newest + 1
    from (
        select coalesce(max(activation_number), 0) as newest from config.calibration_profiles
    ) as before
    where stored.is_active
        and (stored.activation_number is null or stored.activation_number < before.newest)
    returning stored.activation_number
),
inserted as (
    insert into ops.outbox (topic, activation_number)
    select 'profile', activation_number from numbered
    returning 1
)
select count(*) as inserted from inserted
