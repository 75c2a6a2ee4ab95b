-- What grades of model v2 are made of: one row per driver, session, profile and model, beside
-- the grade.
select
    grades.round,
    grades.session_kind,
    grades.event_name,
    grades.circuit_id,
    grades.driver_name,
    grades.team_id,
    grades.team_name,
    grades.finish_position,
    grades.total_grade,
    grades.grade,
    grades.grade_low,
    grades.grade_high,
    evidence.*
from lake.grade_evidence as evidence
join grades using (season, session_id, driver_id, profile_name, model_version)
