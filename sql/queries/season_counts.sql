-- Rows stored of the seasons of the JSON list $1, by the lake's names of the tables; grades and
-- evidence only under the gradings of the JSON list $2. One row a season that is stored.
with gradings as (
    select *
    from jsonb_to_recordset($2::jsonb) as gradings (
        profile_name text, profile_version integer, model_version text
    )
),
chosen as (
    select races.race_id, races.season
    from core.races
    where races.season in (
        select season::integer from jsonb_array_elements_text($1::jsonb) as wanted (season)
    )
),
by_entry as (
    select
        chosen.season,
        count(*) as entries,
        sum((
            select count(*) from public.lap_times as stored
            where stored.entry_id = entries.entry_id
        ))::bigint as laps,
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
        sum((
            select count(*)
            from core.driver_metrics as metrics
            where metrics.entry_id = entries.entry_id
                and (metrics.profile_name, metrics.profile_version, metrics.model_version)
                    in (select * from gradings)
        ))::bigint as driver_metrics
    from chosen
    join core.entries using (race_id)
    group by chosen.season
),
by_race as (
    select
        chosen.season,
        count(*) as sessions,
        sum((
            select count(*) from public.race_control_messages as stored
            where stored.race_id = chosen.race_id
        ))::bigint as race_control,
        sum((
            select count(*) from public.weather_readings as stored
            where stored.race_id = chosen.race_id
        ))::bigint as weather,
        sum((
            select count(*) from public.qualifying as stored
            where stored.race_id = chosen.race_id
        ))::bigint as qualifying,
        sum((
            select count(*) from core.filled_columns as stored
            where stored.race_id = chosen.race_id
        ))::bigint as filled_columns,
        sum((
            select count(*) from core.session_evidence as stored
            where stored.race_id = chosen.race_id
                and (stored.profile_name, stored.model_version)
                    in (select profile_name, model_version from gradings)
        ))::bigint as session_evidence
    from chosen
    group by chosen.season
)
select *
from by_race
left join by_entry using (season)
order by season
