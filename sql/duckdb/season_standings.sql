-- Standings of drivers by season, kind of session, profile and model; rank is by mean grade.
-- A rank needs half of the season's graded races; team_name is that of the last race.
select
    season,
    session_kind,
    rank,
    subject_id as driver_id,
    subject_name as driver_name,
    standings.* exclude (season, session_kind, rank, subject, subject_id, subject_name)
from standings
where subject = 'driver'
