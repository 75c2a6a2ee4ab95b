-- Drops what load_sessions staged, so that the next ones can be loaded on this connection.
drop table
    pg_temp.stage_sessions,
    pg_temp.stage_entries,
    pg_temp.stage_laps,
    pg_temp.stage_pit_stops,
    pg_temp.stage_race_control,
    pg_temp.stage_weather,
    pg_temp.stage_filled_columns,
    pg_temp.stage_overtakes,
    pg_temp.stage_strategy_events,
    pg_temp.stage_penalty_events,
    pg_temp.stage_driver_metrics,
    pg_temp.stage_gradings,
    pg_temp.stage_places
