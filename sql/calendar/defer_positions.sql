-- Lets sessions change places: rounds and slugs are compared at the end of the transaction.
set constraints
    core.races_slug_key,
    core.races_season_round_session_kind_key,
    public.calendar_events_position
    deferred
