-- Counts what is staged, so that the merges of many sessions are planned for many rows.
analyze
    pg_temp.stage_sessions,
    pg_temp.stage_entries,
    pg_temp.stage_laps,
    pg_temp.stage_pit_stops,
    pg_temp.stage_overtakes,
    pg_temp.stage_strategy_events,
    pg_temp.stage_driver_metrics,
    pg_temp.stage_grade_evidence,
    pg_temp.stage_pass_events,
    pg_temp.stage_slow_laps,
    pg_temp.stage_pit_cycles,
    pg_temp.stage_places
