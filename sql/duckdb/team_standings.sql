-- Standings of teams: every driver-race counts for the team of that day's entry.
select
    season,
    session_kind,
    rank,
    subject_id as team_id,
    subject_name as team_name,
    standings.* exclude (season, session_kind, rank, subject, subject_id, subject_name, team_name)
from standings
where subject = 'team'
