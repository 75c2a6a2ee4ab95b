-- What is stored of the sessions of the JSON list $1, with their grades and evidence under the
-- gradings of the JSON list $2: one row a session.
with gradings as (
    select *
    from jsonb_to_recordset($2::jsonb) as gradings (
        profile_name text, profile_version integer, model_version text
    )
),
chosen as (
    select races.race_id, races.slug, races.event_key, races.round, races.session_kind
    from core.races
    where races.slug in (select jsonb_array_elements_text($1::jsonb))
),
counted as (
    select
        entries.race_id,
        count(*) as entries,
        sum((
            select count(*) from public.lap_times as stored
            where stored.entry_id = entries.entry_id
        ))::bigint as laps,
        sum((
            select count(*) from public.stints as stored where stored.entry_id = entries.entry_id
        ))::bigint as stints,
        sum((
            select count(*) from public.pit_stops as stored
            where stored.entry_id = entries.entry_id
        ))::bigint as pit_stops,
        sum((
            select count(*) from core.overtake_events as stored
            where stored.entry_id = entries.entry_id
        ))::bigint as overtakes,
        sum((
            select count(*) from core.strategy_events as stored
            where stored.entry_id = entries.entry_id
        ))::bigint as strategy_events,
        sum((
            select count(*) from core.penalty_events as stored
            where stored.entry_id = entries.entry_id
        ))::bigint as penalty_events,
        sum((
            select count(*) from core.grade_evidence as stored
            where stored.entry_id = entries.entry_id
                and (stored.profile_name, stored.model_version)
                    in (select profile_name, model_version from gradings)
        ))::bigint as grade_evidence,
        sum((
            select count(*) from core.pass_events as stored
            where stored.entry_id = entries.entry_id
                and (stored.profile_name, stored.model_version)
                    in (select profile_name, model_version from gradings)
        ))::bigint as pass_events,
        sum((
            select count(*) from core.slow_laps as stored
            where stored.entry_id = entries.entry_id
                and (stored.profile_name, stored.model_version)
                    in (select profile_name, model_version from gradings)
        ))::bigint as slow_laps,
        sum((
            select count(*) from core.pit_cycles as stored
            where stored.entry_id = entries.entry_id
                and (stored.profile_name, stored.model_version)
                    in (select profile_name, model_version from gradings)
        ))::bigint as pit_cycles,
        sum(graded.row_count)::bigint as driver_metrics,
        coalesce(sum(graded.total_grade_sum), 0) as total_grade_sum
    from core.entries
    join chosen using (race_id)
    cross join lateral (
        select count(*) as row_count, sum(metrics.total_grade) as total_grade_sum
        from core.driver_metrics as metrics
        where metrics.entry_id = entries.entry_id
            and (metrics.profile_name, metrics.profile_version, metrics.model_version)
                in (select * from gradings)
    ) as graded
    group by entries.race_id
)
select
    chosen.slug as session_id,
    counted.*,
    (
        select count(*) from public.race_control_messages as stored
        where stored.race_id = chosen.race_id
    ) as race_control,
    (
        select count(*) from public.weather_readings as stored
        where stored.race_id = chosen.race_id
    ) as weather,
    (
        select count(*) from public.qualifying as stored where stored.race_id = chosen.race_id
    ) as qualifying,
    (
        select count(*) from core.filled_columns as stored where stored.race_id = chosen.race_id
    ) as filled_columns,
    (
        select count(*) from core.session_evidence as stored
        where stored.race_id = chosen.race_id
            and (stored.profile_name, stored.model_version)
                in (select profile_name, model_version from gradings)
    ) as session_evidence,
    (
        select calendar.status
        from public.calendar_events as calendar
        where calendar.event_key = chosen.event_key
            and calendar.round = chosen.round
            and calendar.session_kind = chosen.session_kind
    ) as calendar_status
from chosen
left join counted on counted.race_id = chosen.race_id
