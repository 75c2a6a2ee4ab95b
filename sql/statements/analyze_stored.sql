-- Brings the statistics of what a load has changed up to date, for the next questions and loads.
analyze
    core.races,
    core.entries,
    core.drivers,
    core.teams,
    core.event_aliases,
    core.overtake_events,
    core.strategy_events,
    core.driver_metrics,
    ops.loads,
    ops.revision_summaries,
    public.calendar_events,
    public.lap_times,
    public.stints,
    public.pit_stops
