"""What a provider delivers, what fills its gaps, and the calendar."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from engine.tables.base import (
    COMPOUNDS,
    ENTRY_STATUSES,
    ID_PATTERN,
    MAX_SESSION_MS,
    SESSION_KINDS,
    SLUG_PATTERN,
    EntryTable,
    SessionTable,
    clock_ms,
    duration_ms,
)


class Sessions(SessionTable):
    """One row per Grand Prix or sprint."""

    season = dy.Int16(min=1950, max=2100, description="championship year")
    round = dy.Int16(min=1, max=40, description="round within the season, testing not counted")
    session_kind = dy.Enum(SESSION_KINDS, description="Grand Prix (race) or sprint")
    event_name = dy.String(min_length=1, max_length=200, description="name of the event")
    circuit_id = dy.String(
        nullable=True, regex=ID_PATTERN, description="Jolpica's stable id of the circuit"
    )
    circuit_name = dy.String(nullable=True, max_length=200, description="name of the circuit")
    session_date = dy.Date(nullable=True, description="local date of the session")
    started_at = dy.Datetime(
        nullable=True, time_zone="UTC", description="scheduled start of the session"
    )
    scheduled_laps = dy.Int16(nullable=True, min=1, max=250, description="planned distance")
    meeting_key = dy.Int32(nullable=True, min=1, description="Formula 1's key of the event")
    f1_session_key = dy.Int32(nullable=True, min=1, description="Formula 1's key of the session")
    data_source = dy.String(regex=SLUG_PATTERN, description="provider the session was fetched from")


class Entries(EntryTable):
    """One row per driver entered in a session, with the official classification."""

    driver_code = dy.String(
        nullable=True, regex=r"^[A-Z0-9]{2,4}$", description="three-letter code, reused over eras"
    )
    driver_number = dy.Int16(nullable=True, min=0, max=999, description="car number that day")
    driver_name = dy.String(min_length=1, max_length=100, description="full name of the driver")
    team_id = dy.String(regex=ID_PATTERN, description="Jolpica's stable id of the constructor")
    team_name = dy.String(min_length=1, max_length=100, description="constructor's name that day")
    grid_position = dy.Int16(
        nullable=True, min=1, max=60, description="place on the grid; null from the pit lane"
    )
    is_pit_lane_start = dy.Bool(nullable=True, description="started from the pit lane")
    position = dy.Int16(
        nullable=True, min=1, max=60, description="place in the official order, retired cars last"
    )
    is_classified = dy.Bool(nullable=True, description="classified (ran 90 % of the distance)")
    status = dy.Enum(ENTRY_STATUSES, description="how the session ended for the driver")
    status_text = dy.String(nullable=True, max_length=100, description="status as the source says")
    points = dy.Float64(nullable=True, min=0.0, max=100.0, description="championship points")
    completed_laps = dy.Int16(
        nullable=True, min=0, max=250, description="laps credited in the classification"
    )
    race_time_ms = dy.Int32(
        nullable=True, min_exclusive=0, max=MAX_SESSION_MS, description="total time if classified"
    )


class Laps(EntryTable):
    """One row per driver and lap that the source timed or counted."""

    lap_number = dy.Int16(primary_key=True, min=1, max=250, description="1 is the first lap")
    lap_time_ms = duration_ms("official lap time")
    sector1_time_ms = duration_ms("first sector")
    sector2_time_ms = duration_ms("second sector")
    sector3_time_ms = duration_ms("third sector")
    lap_start_ms = clock_ms("session clock when the lap began")
    lap_end_ms = clock_ms("session clock when the car crossed the line at the lap's end")
    speed_trap_1_kph = dy.Float64(nullable=True, min=0, max=500, description="speed, sector 1")
    speed_trap_2_kph = dy.Float64(nullable=True, min=0, max=500, description="speed, sector 2")
    speed_trap_line_kph = dy.Float64(nullable=True, min=0, max=500, description="speed at the line")
    speed_trap_straight_kph = dy.Float64(
        nullable=True, min=0, max=500, description="speed on the longest straight"
    )
    compound = dy.Enum(COMPOUNDS, nullable=True, description="tyre compound as painted")
    stint_number = dy.Int16(nullable=True, min=1, max=100, description="1 is the first stint")
    tyre_life_laps = dy.Int16(
        nullable=True, min=0, max=250, description="laps on the set, earlier sessions included"
    )
    is_fresh_tyre = dy.Bool(nullable=True, description="the set was new when fitted")
    position = dy.Int16(nullable=True, min=1, max=60, description="place at the lap's end")
    is_in_lap = dy.Bool(nullable=True, description="ended in the pit lane")
    is_out_lap = dy.Bool(nullable=True, description="began in the pit lane")
    track_status = dy.String(
        nullable=True,
        regex=r"^[1-7]+$",
        description="codes seen during the lap: 1 clear 2 yellow 4 safety car 5 red 6/7 VSC",
    )
    is_deleted = dy.Bool(nullable=True, description="time deleted by the stewards")
    deleted_reason = dy.String(nullable=True, max_length=300, description="why it was deleted")
    is_personal_best = dy.Bool(nullable=True, description="driver's best lap so far")
    is_accurate = dy.Bool(nullable=True, description="the source calls the timing consistent")
    is_generated = dy.Bool(nullable=True, description="added by the source, not by the timing")


class PitStops(EntryTable):
    """One row per visit to the pit lane (a stop, a drive-through or a safety-car detour)."""

    lap_number = dy.Int16(primary_key=True, min=1, max=250, description="the in-lap")
    pit_in_ms = clock_ms("session clock at pit entry")
    pit_out_ms = clock_ms("session clock at pit exit")
    pit_lane_time_ms = dy.Int32(
        nullable=True, min_exclusive=0, max=MAX_SESSION_MS, description="entry to exit"
    )
    stationary_time_ms = duration_ms("time at rest in the box")


class Qualifying(EntryTable):
    """One row per driver of the weekend's qualifying, under the Grand Prix it made the grid of.

    Sprints have no rows: their qualifying is left out. All rows are Jolpica's, whichever provider
    the session is from, and tell what was driven: a driver who then did not start may have no
    entry, and two share a place where the source gives it to both.
    """

    position = dy.Int16(
        nullable=True, min=1, max=60, description="place in qualifying, before grid penalties"
    )
    q1_ms = duration_ms("best time in the first part; before 2006 mostly that of all qualifying")
    q2_ms = duration_ms("best time in the second part")
    q3_ms = duration_ms("best time in the third part")


class RaceControl(SessionTable):
    """One row per message of race control, in order."""

    message_number = dy.Int32(primary_key=True, min=1, description="order within the session")
    sent_at = dy.Datetime(nullable=True, time_zone="UTC", description="when it was sent")
    lap_number = dy.Int16(nullable=True, min=0, max=250, description="leader's lap")
    category = dy.String(nullable=True, max_length=50, description="Flag, SafetyCar, Drs, Other …")
    flag = dy.String(nullable=True, max_length=50, description="GREEN, YELLOW, RED, BLUE …")
    scope = dy.String(nullable=True, max_length=50, description="Track, Sector or Driver")
    sector = dy.Int16(nullable=True, min=0, max=100, description="marshal sector")
    status = dy.String(nullable=True, max_length=50, description="DEPLOYED, IN THIS LAP …")
    driver_number = dy.Int16(nullable=True, min=0, max=999, description="car the message names")
    message = dy.String(max_length=1000, description="the text as sent")


class Weather(SessionTable):
    """One row per weather reading, about one a minute."""

    session_clock_ms = dy.Int32(
        primary_key=True, min=0, max=MAX_SESSION_MS, description="session clock of the reading"
    )
    air_temperature_degc = dy.Float64(nullable=True, min=-40, max=70, description="air")
    track_temperature_degc = dy.Float64(nullable=True, min=-40, max=90, description="track")
    humidity_pct = dy.Float64(nullable=True, min=0, max=100, description="relative humidity")
    pressure_mbar = dy.Float64(nullable=True, min=500, max=1200, description="air pressure")
    is_raining = dy.Bool(nullable=True, description="rain was reported")
    wind_direction_deg = dy.Int16(nullable=True, min=0, max=360, description="0 is north")
    wind_speed_mps = dy.Float64(nullable=True, min=0, max=100, description="wind")


class FilledColumns(SessionTable):
    """One row per column of a session and source that filled gaps in it (`engine.filling`)."""

    table_name = dy.String(primary_key=True, regex=SLUG_PATTERN, description="the table")
    column_name = dy.String(primary_key=True, regex=SLUG_PATTERN, description="its column")
    data_source = dy.String(
        primary_key=True, regex=SLUG_PATTERN, description="provider the values are from"
    )
    filled_rows = dy.Int32(min=1, description="rows whose value is from that provider")


class CalendarSessions(dy.Schema):
    """One row per Grand Prix or sprint of a season, held, to come or cancelled."""

    season = dy.Int16(min=1950, max=2100, description="championship year")
    round = dy.Int16(
        nullable=True, min=1, max=40, description="round within the season; null if cancelled"
    )
    session_kind = dy.Enum(SESSION_KINDS, description="Grand Prix (race) or sprint")
    event_name = dy.String(min_length=1, max_length=200, description="name of the event")
    circuit_id = dy.String(regex=ID_PATTERN, description="Jolpica's stable id of the circuit")
    session_date = dy.Date(description="local date of the session")
    starts_at = dy.Datetime(nullable=True, time_zone="UTC", description="scheduled start")
    meeting_key = dy.Int32(nullable=True, min=1, description="Formula 1's key of the event")
    is_cancelled = dy.Bool(description="will not be held; its round, if any, is not counted")

    @dy.rule()
    def has_a_round_unless_cancelled(cls) -> pl.Expr:  # noqa: N805 - the library's convention
        """A session that is held has a round."""
        return pl.col("is_cancelled") | pl.col("round").is_not_null()

    @dy.rule()
    def stands_alone(cls) -> pl.Expr:  # noqa: N805 - the library's convention
        """At most one session of a kind is held in a round."""
        return (~pl.col("is_cancelled")).sum().over("season", "round", "session_kind") <= 1
