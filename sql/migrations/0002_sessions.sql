-- Sessions: calendar, entries, laps, stints, stops, race control, weather
-- depends: 0001_reference

-- migrate: apply

create table core.races (
    race_id bigint generated always as identity primary key,
    slug text not null unique,
    season smallint not null references core.seasons,
    round smallint not null check (round between 1 and 40),
    session_kind text not null check (session_kind in ('race', 'sprint')),
    event_name text not null check (char_length(event_name) between 1 and 200),
    circuit_id text references core.circuits,
    circuit_name text check (char_length(circuit_name) <= 200),
    session_date date,
    started_at timestamptz,
    scheduled_laps smallint check (scheduled_laps between 1 and 250),
    meeting_key integer check (meeting_key >= 1),
    f1_session_key integer check (f1_session_key >= 1),
    data_source text not null check (data_source ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    unique (season, round, session_kind),
    check (
        slug = season || '-' || round
            || case session_kind when 'race' then '' else '-' || session_kind end
    )
);

create index on core.races (circuit_id);

comment on table core.races is 'One row per Grand Prix or sprint.';
comment on column core.races.race_id is 'the session';
comment on column core.races.slug is
    'session_id of the lake: {season}-{round}, with -sprint for a sprint';
comment on column core.races.season is 'championship year';
comment on column core.races.round is 'round within the season, testing not counted';
comment on column core.races.session_kind is 'Grand Prix (race) or sprint';
comment on column core.races.event_name is 'name of the event';
comment on column core.races.circuit_id is 'Jolpica''s stable id of the circuit';
comment on column core.races.circuit_name is 'name of the circuit';
comment on column core.races.session_date is 'local date of the session';
comment on column core.races.started_at is 'scheduled start of the session, UTC';
comment on column core.races.scheduled_laps is 'planned distance, in laps';
comment on column core.races.meeting_key is 'Formula 1''s key of the event';
comment on column core.races.f1_session_key is 'Formula 1''s key of the session';
comment on column core.races.data_source is 'provider the session was fetched from';

create table core.entries (
    entry_id bigint generated always as identity primary key,
    race_id bigint not null references core.races on delete cascade,
    driver_id text not null references core.drivers,
    driver_code text check (driver_code ~ '^[A-Z0-9]{2,4}$'),
    driver_number smallint check (driver_number between 0 and 999),
    driver_name text not null check (char_length(driver_name) between 1 and 100),
    team_id text not null references core.teams,
    team_name text not null check (char_length(team_name) between 1 and 100),
    grid_position smallint check (grid_position between 1 and 60),
    is_pit_lane_start boolean,
    position smallint check (position between 1 and 60),
    is_classified boolean,
    status text not null check (
        status in (
            'finished', 'lapped', 'retired', 'disqualified', 'did_not_start',
            'did_not_qualify', 'unknown'
        )
    ),
    status_text text check (char_length(status_text) <= 100),
    points double precision check (points between 0 and 100),
    completed_laps smallint check (completed_laps between 0 and 250),
    race_time_ms integer check (race_time_ms > 0 and race_time_ms <= 86400000),
    unique (race_id, driver_id)
);

create index on core.entries (driver_id);
create index on core.entries (team_id);

comment on table core.entries is
    'One row per driver entered in a session, with the official classification.';
comment on column core.entries.entry_id is 'the driver in a session';
comment on column core.entries.race_id is 'the session';
comment on column core.entries.driver_id is 'Jolpica''s stable id of the driver';
comment on column core.entries.driver_code is 'three-letter code, reused over eras';
comment on column core.entries.driver_number is 'car number that day';
comment on column core.entries.driver_name is 'full name of the driver';
comment on column core.entries.team_id is 'Jolpica''s stable id of the constructor';
comment on column core.entries.team_name is 'constructor''s name that day';
comment on column core.entries.grid_position is 'place on the grid; null from the pit lane';
comment on column core.entries.is_pit_lane_start is 'started from the pit lane';
comment on column core.entries.position is 'place in the official order, retired cars last';
comment on column core.entries.is_classified is 'classified (ran 90 % of the distance)';
comment on column core.entries.status is 'how the session ended for the driver';
comment on column core.entries.status_text is 'status as the source says';
comment on column core.entries.points is 'championship points';
comment on column core.entries.completed_laps is 'laps credited in the classification';
comment on column core.entries.race_time_ms is 'total time if classified, in milliseconds';

create table public.lap_times (
    entry_id bigint not null references core.entries on delete cascade,
    lap_number smallint not null check (lap_number between 1 and 250),
    lap_time_ms integer check (lap_time_ms > 0 and lap_time_ms <= 14400000),
    sector1_time_ms integer check (sector1_time_ms > 0 and sector1_time_ms <= 14400000),
    sector2_time_ms integer check (sector2_time_ms > 0 and sector2_time_ms <= 14400000),
    sector3_time_ms integer check (sector3_time_ms > 0 and sector3_time_ms <= 14400000),
    lap_start_ms integer check (lap_start_ms between 0 and 86400000),
    lap_end_ms integer check (lap_end_ms between 0 and 86400000),
    speed_trap_1_kph double precision check (speed_trap_1_kph between 0 and 500),
    speed_trap_2_kph double precision check (speed_trap_2_kph between 0 and 500),
    speed_trap_line_kph double precision check (speed_trap_line_kph between 0 and 500),
    speed_trap_straight_kph double precision check (speed_trap_straight_kph between 0 and 500),
    compound text check (
        compound in (
            'HYPERSOFT', 'ULTRASOFT', 'SUPERSOFT', 'SOFT', 'MEDIUM',
            'HARD', 'SUPERHARD', 'INTERMEDIATE', 'WET'
        )
    ),
    stint_number smallint check (stint_number between 1 and 100),
    tyre_life_laps smallint check (tyre_life_laps between 0 and 250),
    is_fresh_tyre boolean,
    position smallint check (position between 1 and 60),
    is_in_lap boolean,
    is_out_lap boolean,
    track_status text check (track_status ~ '^[1-7]+$'),
    is_deleted boolean,
    deleted_reason text check (char_length(deleted_reason) <= 300),
    is_personal_best boolean,
    is_accurate boolean,
    is_generated boolean,
    primary key (entry_id, lap_number)
);

comment on table public.lap_times is 'One row per driver and lap that the source timed or counted.';
comment on column public.lap_times.entry_id is 'the driver in a session';
comment on column public.lap_times.lap_number is '1 is the first lap';
comment on column public.lap_times.lap_time_ms is 'official lap time, in milliseconds';
comment on column public.lap_times.sector1_time_ms is 'first sector, in milliseconds';
comment on column public.lap_times.sector2_time_ms is 'second sector, in milliseconds';
comment on column public.lap_times.sector3_time_ms is 'third sector, in milliseconds';
comment on column public.lap_times.lap_start_ms is
    'session clock when the lap began, in milliseconds';
comment on column public.lap_times.lap_end_ms is
    'session clock when the car crossed the line at the lap''s end, in milliseconds';
comment on column public.lap_times.speed_trap_1_kph is 'speed, sector 1, in kilometres per hour';
comment on column public.lap_times.speed_trap_2_kph is 'speed, sector 2, in kilometres per hour';
comment on column public.lap_times.speed_trap_line_kph is
    'speed at the line, in kilometres per hour';
comment on column public.lap_times.speed_trap_straight_kph is
    'speed on the longest straight, in kilometres per hour';
comment on column public.lap_times.compound is 'tyre compound as painted';
comment on column public.lap_times.stint_number is '1 is the first stint';
comment on column public.lap_times.tyre_life_laps is
    'age of the set, earlier sessions included, in laps';
comment on column public.lap_times.is_fresh_tyre is 'the set was new when fitted';
comment on column public.lap_times.position is 'place at the lap''s end';
comment on column public.lap_times.is_in_lap is 'ended in the pit lane';
comment on column public.lap_times.is_out_lap is 'began in the pit lane';
comment on column public.lap_times.track_status is
    'codes seen during the lap: 1 clear 2 yellow 4 safety car 5 red 6/7 VSC';
comment on column public.lap_times.is_deleted is 'time deleted by the stewards';
comment on column public.lap_times.deleted_reason is 'why it was deleted';
comment on column public.lap_times.is_personal_best is 'driver''s best lap so far';
comment on column public.lap_times.is_accurate is 'the source calls the timing consistent';
comment on column public.lap_times.is_generated is 'added by the source, not by the timing';

create table public.stints (
    entry_id bigint not null references core.entries on delete cascade,
    stint_number smallint not null check (stint_number between 1 and 100),
    compound text check (
        compound in (
            'HYPERSOFT', 'ULTRASOFT', 'SUPERSOFT', 'SOFT', 'MEDIUM',
            'HARD', 'SUPERHARD', 'INTERMEDIATE', 'WET'
        )
    ),
    first_lap smallint not null check (first_lap between 1 and 250),
    last_lap smallint not null check (last_lap between 1 and 250),
    lap_count smallint not null check (lap_count between 1 and 250),
    start_tyre_life_laps smallint check (start_tyre_life_laps between 0 and 250),
    primary key (entry_id, stint_number),
    check (first_lap <= last_lap and lap_count <= last_lap - first_lap + 1)
);

comment on table public.stints is
    'One row per driver and stint: the laps of public.lap_times that share a stint_number.';
comment on column public.stints.entry_id is 'the driver in a session';
comment on column public.stints.stint_number is '1 is the first stint';
comment on column public.stints.compound is 'compound of the first lap whose compound is known';
comment on column public.stints.first_lap is 'number of the first lap';
comment on column public.stints.last_lap is 'number of the last lap';
comment on column public.stints.lap_count is 'laps stored; fewer than the span if some are missing';
comment on column public.stints.start_tyre_life_laps is
    'age of the set on the first lap, in laps; null if that lap''s is not known';

create table public.pit_stops (
    entry_id bigint not null references core.entries on delete cascade,
    lap_number smallint not null check (lap_number between 1 and 250),
    pit_in_ms integer check (pit_in_ms between 0 and 86400000),
    pit_out_ms integer check (pit_out_ms between 0 and 86400000),
    pit_lane_time_ms integer check (pit_lane_time_ms > 0 and pit_lane_time_ms <= 86400000),
    stationary_time_ms integer check (stationary_time_ms > 0 and stationary_time_ms <= 14400000),
    primary key (entry_id, lap_number)
);

comment on table public.pit_stops is
    'One row per visit to the pit lane (a stop, a drive-through or a safety-car detour).';
comment on column public.pit_stops.entry_id is 'the driver in a session';
comment on column public.pit_stops.lap_number is 'the in-lap';
comment on column public.pit_stops.pit_in_ms is 'session clock at pit entry, in milliseconds';
comment on column public.pit_stops.pit_out_ms is 'session clock at pit exit, in milliseconds';
comment on column public.pit_stops.pit_lane_time_ms is 'entry to exit, in milliseconds';
comment on column public.pit_stops.stationary_time_ms is 'time at rest in the box, in milliseconds';

create table public.race_control_messages (
    race_id bigint not null references core.races on delete cascade,
    message_number integer not null check (message_number >= 1),
    sent_at timestamptz,
    lap_number smallint check (lap_number between 0 and 250),
    category text check (char_length(category) <= 50),
    flag text check (char_length(flag) <= 50),
    scope text check (char_length(scope) <= 50),
    sector smallint check (sector between 0 and 100),
    status text check (char_length(status) <= 50),
    driver_number smallint check (driver_number between 0 and 999),
    message text not null check (char_length(message) <= 1000),
    primary key (race_id, message_number)
);

comment on table public.race_control_messages is 'One row per message of race control, in order.';
comment on column public.race_control_messages.race_id is 'the session';
comment on column public.race_control_messages.message_number is 'order within the session';
comment on column public.race_control_messages.sent_at is 'when it was sent, UTC';
comment on column public.race_control_messages.lap_number is 'leader''s lap';
comment on column public.race_control_messages.category is 'Flag, SafetyCar, Drs, Other …';
comment on column public.race_control_messages.flag is 'GREEN, YELLOW, RED, BLUE …';
comment on column public.race_control_messages.scope is 'Track, Sector or Driver';
comment on column public.race_control_messages.sector is 'marshal sector';
comment on column public.race_control_messages.status is 'DEPLOYED, IN THIS LAP …';
comment on column public.race_control_messages.driver_number is 'car the message names';
comment on column public.race_control_messages.message is 'the text as sent';

create table public.weather_readings (
    race_id bigint not null references core.races on delete cascade,
    session_clock_ms integer not null check (session_clock_ms between 0 and 86400000),
    air_temperature_degc double precision check (air_temperature_degc between -40 and 70),
    track_temperature_degc double precision check (track_temperature_degc between -40 and 90),
    humidity_pct double precision check (humidity_pct between 0 and 100),
    pressure_mbar double precision check (pressure_mbar between 500 and 1200),
    is_raining boolean,
    wind_direction_deg smallint check (wind_direction_deg between 0 and 360),
    wind_speed_mps double precision check (wind_speed_mps between 0 and 100),
    primary key (race_id, session_clock_ms)
);

comment on table public.weather_readings is 'One row per weather reading, about one a minute.';
comment on column public.weather_readings.race_id is 'the session';
comment on column public.weather_readings.session_clock_ms is
    'session clock of the reading, in milliseconds';
comment on column public.weather_readings.air_temperature_degc is
    'air temperature, in degrees Celsius';
comment on column public.weather_readings.track_temperature_degc is
    'track temperature, in degrees Celsius';
comment on column public.weather_readings.humidity_pct is 'relative humidity, in per cent';
comment on column public.weather_readings.pressure_mbar is 'air pressure, in millibar';
comment on column public.weather_readings.is_raining is 'rain was reported';
comment on column public.weather_readings.wind_direction_deg is
    'direction the wind comes from, in degrees, 0 is north';
comment on column public.weather_readings.wind_speed_mps is 'wind speed, in metres per second';

create table public.calendar_events (
    season smallint not null references core.seasons,
    round smallint not null check (round between 1 and 40),
    session_kind text not null check (session_kind in ('race', 'sprint')),
    event_name text not null check (char_length(event_name) between 1 and 200),
    starts_at timestamptz,
    status text not null check (status in ('scheduled', 'live', 'ingested', 'failed')),
    status_reason text,
    updated_at timestamptz not null default now(),
    primary key (season, round, session_kind)
);

comment on table public.calendar_events is
    'One row per session of the calendar, held or to come, and what became of it here.';
comment on column public.calendar_events.season is 'championship year';
comment on column public.calendar_events.round is 'round within the season, testing not counted';
comment on column public.calendar_events.session_kind is 'Grand Prix (race) or sprint';
comment on column public.calendar_events.event_name is 'name of the event';
comment on column public.calendar_events.starts_at is 'scheduled start, UTC; null if not known';
comment on column public.calendar_events.status is
    'scheduled, live, ingested (its rows were stored and verified) or failed';
comment on column public.calendar_events.status_reason is 'why it failed; null otherwise';
comment on column public.calendar_events.updated_at is 'when this row last changed, UTC';

-- migrate: rollback

drop table public.calendar_events;
drop table public.weather_readings;
drop table public.race_control_messages;
drop table public.pit_stops;
drop table public.stints;
drop table public.lap_times;
drop table core.entries;
drop table core.races;
