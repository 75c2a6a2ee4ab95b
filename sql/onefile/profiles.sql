-- Stores version $2 of calibration profile $1, whose JSON is $3, at the time $4; $5: active.
insert into config.calibration_profiles (
    profile_name, profile_version, body, is_active, created_at
)
values ($1, $2, $3, $5, $4)
