-- What is stored of session $1, with its grades under profile $2 in version $3 and model $4.
select
    (select count(*) from core.entries where entries.race_id = races.race_id) as entries,
    (
        select count(*)
        from public.lap_times
        join core.entries on entries.entry_id = lap_times.entry_id
        where entries.race_id = races.race_id
    ) as laps,
    (
        select count(*)
        from public.stints
        join core.entries on entries.entry_id = stints.entry_id
        where entries.race_id = races.race_id
    ) as stints,
    (
        select count(*)
        from public.pit_stops
        join core.entries on entries.entry_id = pit_stops.entry_id
        where entries.race_id = races.race_id
    ) as pit_stops,
    (
        select count(*)
        from public.race_control_messages as messages
        where messages.race_id = races.race_id
    ) as race_control,
    (
        select count(*)
        from public.weather_readings as readings
        where readings.race_id = races.race_id
    ) as weather,
    (
        select count(*)
        from core.filled_columns as filled
        where filled.race_id = races.race_id
    ) as filled_columns,
    (
        select count(*)
        from core.overtake_events as events
        join core.entries on entries.entry_id = events.entry_id
        where entries.race_id = races.race_id
    ) as overtakes,
    (
        select count(*)
        from core.strategy_events as events
        join core.entries on entries.entry_id = events.entry_id
        where entries.race_id = races.race_id
    ) as strategy_events,
    (
        select count(*)
        from core.penalty_events as events
        join core.entries on entries.entry_id = events.entry_id
        where entries.race_id = races.race_id
    ) as penalty_events,
    grades.driver_metrics,
    grades.total_grade_sum,
    (
        select calendar.status
        from public.calendar_events as calendar
        where calendar.event_key = races.event_key
            and calendar.round = races.round
            and calendar.session_kind = races.session_kind
    ) as calendar_status
from core.races
cross join lateral (
    select
        count(*) as driver_metrics,
        coalesce(sum(metrics.total_grade), 0) as total_grade_sum
    from core.driver_metrics as metrics
    join core.entries on entries.entry_id = metrics.entry_id
    where entries.race_id = races.race_id
        and metrics.profile_name = $2
        and metrics.profile_version = $3
        and metrics.model_version = $4
) as grades
where races.slug = $1
