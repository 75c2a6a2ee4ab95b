-- Removes all that was imported from the source $1.
delete from validation.external_rankings
where ranking_source = $1
