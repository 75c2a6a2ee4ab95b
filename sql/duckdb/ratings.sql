-- Ratings after each session: one row per driver, profile and model, with the car's level that
-- day; low and high are the ends of 90 % intervals. Driver: positive is faster; car: negative is.
select
    season,
    round,
    session_kind,
    event_name,
    circuit_id,
    session_id,
    driver_id,
    driver_name,
    team_id,
    team_name,
    profile_name,
    model_version,
    rating_pct,
    -- engine.v2.grade.INTERVAL_Z
    rating_pct - 1.6448536269514722 * rating_se_pct as rating_low_pct,
    rating_pct + 1.6448536269514722 * rating_se_pct as rating_high_pct,
    rating_before_pct,
    car_pct,
    car_pct - 1.6448536269514722 * car_se_pct as car_low_pct,
    car_pct + 1.6448536269514722 * car_se_pct as car_high_pct,
    car_before_pct
from grade_evidence
