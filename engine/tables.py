"""Every table once: columns, dtypes, nullability, bounds, key and meaning.

All other descriptions of a table (Arrow schema, merge keys, data dictionary, the check of the
hand-written DDL) are derived from the classes below or compared with them.

Identity. A session is one Grand Prix or one sprint; its `session_id` is the slug
``{season}-{round}`` or ``{season}-{round}-sprint``. A driver is Jolpica's stable driver id
(``max_verstappen``); codes and car numbers are attributes, because both are reused.

Units stand in names: `_ms` integer milliseconds, `_s` seconds, `_laps`, `_kph`, `_mps`,
`_degc`, `_mbar`, `_pct`; `_at` is a UTC timestamp; `is_`/`has_` are booleans; `_score` is 0..1.
A null always means "the source does not know", never zero.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dataframely as dy
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION: Final = ("session_id",)
ENTRY: Final = ("session_id", "driver_id")
LAP: Final = ("session_id", "driver_id", "lap_number")

SESSION_KINDS: Final = ("race", "sprint")
ENTRY_STATUSES: Final = (
    "finished",
    "lapped",
    "retired",
    "disqualified",
    "did_not_start",
    "did_not_qualify",
    "unknown",
)
NO_START: Final = ("did_not_start", "did_not_qualify")
"""Statuses of drivers who took no part, and have no drive to grade."""

COMPOUNDS: Final = (
    "HYPERSOFT",
    "ULTRASOFT",
    "SUPERSOFT",
    "SOFT",
    "MEDIUM",
    "HARD",
    "SUPERHARD",
    "INTERMEDIATE",
    "WET",
)
OVERTAKE_KINDS: Final = ("on_track", "pit_cycle", "start", "neutralized")
PENALTY_KINDS: Final = ("time", "drive_through", "stop_and_go")

SESSION_ID_PATTERN: Final = r"^\d{4}-\d{1,2}(-sprint)?$"
SLUG_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
ID_PATTERN: Final = r"^[\p{L}\p{N}][\p{L}\p{N} ._'-]{0,99}$"
"""Ids of drivers, teams and circuits: Jolpica's, some of which have capitals, or plain names."""

MAX_LAP_MS: Final = 4 * 60 * 60 * 1000
"""A lap that contains a red-flag stoppage may take hours; no longer than this, in ms."""

MAX_SESSION_MS: Final = 24 * 60 * 60 * 1000
"""Session clocks count from the opening of the timing stream; never more than a day, in ms."""

UNITS: Final[Mapping[str, str]] = {
    "_ms": "milliseconds",
    "_s": "seconds",
    "_laps": "laps",
    "_kph": "kilometres per hour",
    "_mps": "metres per second",
    "_degc": "degrees Celsius",
    "_mbar": "millibar",
    "_pct": "per cent",
    "_deg": "degrees",
    "_at": "UTC timestamp",
    "_score": "0 to 1",
}
"""What a column's suffix means."""


class SessionKey(NamedTuple):
    """Identity of a session: two sprints, two editions or a sprint and its race never share one."""

    season: int
    round: int
    session_kind: str = "race"

    @classmethod
    def parse(cls, session_id: str) -> SessionKey:
        """Read a slug; it must be one (`SESSION_ID_PATTERN`)."""
        season, number, *kind = session_id.split("-")
        return cls(int(season), int(number), *kind)

    @property
    def session_id(self) -> str:
        """Slug: ``2025-1`` for the Grand Prix of round 1, ``2025-2-sprint`` for a sprint."""
        suffix = "" if self.session_kind == "race" else f"-{self.session_kind}"
        return f"{self.season}-{self.round}{suffix}"


def _clock_ms(description: str) -> dy.Int32:
    return dy.Int32(nullable=True, min=0, max=MAX_SESSION_MS, description=description)


def _duration_ms(description: str) -> dy.Int32:
    return dy.Int32(nullable=True, min_exclusive=0, max=MAX_LAP_MS, description=description)


def _score(description: str) -> dy.Float64:
    return dy.Float64(min=0.0, max=1.0, description=description)


def _bounded(low: float, high: float, description: str) -> dy.Float64:
    return dy.Float64(nullable=True, min=low, max=high, description=description)


def _seconds(description: str, *, nullable: bool = False) -> dy.Float64:
    return dy.Float64(nullable=nullable, min=-1e4, max=1e4, description=description)


class SessionTable(dy.Schema):
    """Base of every table whose rows belong to one session."""

    session_id = dy.String(
        primary_key=True,
        regex=SESSION_ID_PATTERN,
        description="slug of the session: {season}-{round}, with -sprint for a sprint",
    )


class EntryTable(SessionTable):
    """Base of every table whose rows belong to one driver in one session."""

    driver_id = dy.String(
        primary_key=True, regex=ID_PATTERN, description="Jolpica's stable id of the driver"
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
    lap_time_ms = _duration_ms("official lap time")
    sector1_time_ms = _duration_ms("first sector")
    sector2_time_ms = _duration_ms("second sector")
    sector3_time_ms = _duration_ms("third sector")
    lap_start_ms = _clock_ms("session clock when the lap began")
    lap_end_ms = _clock_ms("session clock when the car crossed the line at the lap's end")
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
    pit_in_ms = _clock_ms("session clock at pit entry")
    pit_out_ms = _clock_ms("session clock at pit exit")
    pit_lane_time_ms = dy.Int32(
        nullable=True, min_exclusive=0, max=MAX_SESSION_MS, description="entry to exit"
    )
    stationary_time_ms = _duration_ms("time at rest in the box")


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


class Overtakes(EntryTable):
    """One row per place gained from another running car, seen from the car that gained it.

    Scoring (model v1) reads `kind` and the columns from `is_success` on; what it takes for a
    null there is said in `engine.racecraft`.
    """

    overtake_number = dy.Int32(
        primary_key=True, min=1, description="order within the driver's session"
    )
    kind = dy.Enum(OVERTAKE_KINDS, description="only on_track counts for racecraft")
    lap_number = dy.Int16(nullable=True, min=1, max=250, description="lap of the exchange")
    opponent_id = dy.String(nullable=True, regex=ID_PATTERN, description="driver passed")
    is_success = dy.Bool(description="the place was gained")
    is_penalized = dy.Bool(nullable=True, description="the stewards punished the move")
    exposure_time_s = dy.Float64(nullable=True, min=0, max=1e5, description="time spent attacking")
    car_pace_difference_s = _seconds("own car's base delta minus the opponent's", nullable=True)
    tyre_age_difference_laps = _bounded(
        -1e3, 1e3, "opponent's tyre life minus the own; positive is an advantage"
    )
    compound_difference = _bounded(
        -20, 20, "steps by which the own slick is softer; positive is an advantage"
    )
    ers_difference = _bounded(-1e4, 1e4, "battery advantage")
    track_difficulty = _bounded(-10, 10, "0 easy to pass, 1 near impossible")
    race_phase_pressure = _bounded(-10, 10, "0 at the start, 1 at the flag")


class StrategyEvents(EntryTable):
    """One row per tyre change, against what the field did at that stop."""

    stop_number = dy.Int16(primary_key=True, min=1, max=100, description="1 is the first stop")
    actual_lap = dy.Int16(min=1, max=250, description="in-lap of the stop")
    optimal_lap = dy.Float64(
        nullable=True, min=1, max=250, description="field's median lap of this stop"
    )
    late_laps = dy.Float64(nullable=True, min=-250, max=250, description="actual minus optimal")
    compound_before = dy.Enum(COMPOUNDS, nullable=True, description="tyre taken off")
    compound_after = dy.Enum(COMPOUNDS, nullable=True, description="tyre fitted")
    tyre_life_laps = dy.Int16(nullable=True, min=0, max=250, description="age of the old set")
    is_under_red_flag = dy.Bool(description="free stop under a red flag, left out of the score")


class PenaltyEvents(EntryTable):
    """One row per penalty the stewards gave for driving, as announced by race control."""

    penalty_number = dy.Int16(
        primary_key=True, min=1, max=100, description="order within the driver's session"
    )
    kind = dy.Enum(PENALTY_KINDS, description="time, drive-through or stop-and-go")
    lap_number = dy.Int16(nullable=True, min=0, max=250, description="leader's lap when announced")
    time_loss_s = dy.Float64(min=0, max=1e4, description="what the penalty costs")
    message = dy.String(max_length=1000, description="the stewards' words")
    source = dy.String(regex=SLUG_PATTERN, description="table the penalty was read from")


class DriverInputs(EntryTable):
    """One row per driver and session: all that model v1 scores, besides the overtakes.

    Deltas are seconds against the field, negative is faster. Nulls and empty lists mean
    "no evidence"; what scoring does with them stands in the component's docstring.
    """

    car_base_delta_s = _seconds("car's pace against the median car", nullable=True)
    car_track_adjustment_s = _seconds("correction for the track, if any", nullable=True)
    form_consistency_score = _bounded(0, 1, "1 when clean laps do not scatter")
    form_error_rate = _bounded(0, 1, "share of clean laps lost to an error")
    form_start_precision_score = _bounded(0, 1, "0.5 when places after lap 1 equal the grid")
    lap_deltas_s = dy.List(
        dy.Float64(min=-1e4, max=1e4), description="clean laps minus the field, in lap order"
    )
    optimal_pit_laps = dy.List(dy.Float64(min=0, max=1e4), description="the field's stops")
    actual_pit_laps = dy.List(dy.Float64(min=0, max=1e4), description="the driver's stops")
    degradation_penalty_score = _bounded(-1e3, 1e3, "0 none; 1 and above costs half the score")
    penalty_time_losses_s = dy.List(
        dy.Float64(min=-1e4, max=1e4), description="stewards' penalties"
    )
    has_lap_clocks = dy.Bool(description="crossings of the line are known: a pass would show")
    has_race_control = dy.Bool(description="race control is known: a penalty would show")


class Grades(EntryTable):
    """One row per driver, session, profile and model version."""

    profile_name = dy.String(
        primary_key=True, regex=SLUG_PATTERN, description="calibration profile"
    )
    profile_version = dy.Int32(min=1, description="version of that profile")
    model_version = dy.String(primary_key=True, regex=SLUG_PATTERN, description="grading model")
    expected_delta_s = _seconds("lap delta expected of the car and the driver's form")
    consistency_raw = _score("consistency before normalisation")
    team_strategy_raw = _score("team strategy before normalisation")
    racecraft_raw = _score("racecraft before normalisation")
    penalties_raw = _score("penalty burden before normalisation, 0 is none")
    consistency_score = _score("how closely clean laps follow the expected delta")
    team_strategy_score = _score("stops against the field; not part of the total")
    racecraft_score = _score("passes on track, weighted by difficulty")
    penalty_score = _score("penalty burden, 0 is none")
    on_track_events = dy.Int32(min=0, description="overtakes on track")
    pit_cycle_events = dy.Int32(min=0, description="places gained in any other way")
    total_grade = dy.Float64(min=-0.1, max=1.0, description="0.55 C + 0.45 R − 0.10 P")


def _or_null(name: str) -> Any:
    """Give a column of `Grades` as one that is null where it does not rest on evidence."""
    column = copy(Grades.columns()[name])
    column.nullable = True
    return column


class DriverMetrics(Grades):
    """A grade as it is published, with its provenance: same grain as `Grades`.

    A component without evidence is null; so is a total without consistency or racecraft.
    """

    expected_delta_s = _or_null("expected_delta_s")
    consistency_raw = _or_null("consistency_raw")
    team_strategy_raw = _or_null("team_strategy_raw")
    racecraft_raw = _or_null("racecraft_raw")
    penalties_raw = _or_null("penalties_raw")
    consistency_score = _or_null("consistency_score")
    team_strategy_score = _or_null("team_strategy_score")
    racecraft_score = _or_null("racecraft_score")
    penalty_score = _or_null("penalty_score")
    on_track_events = _or_null("on_track_events")
    pit_cycle_events = _or_null("pit_cycle_events")
    total_grade = _or_null("total_grade")
    has_consistency_evidence = dy.Bool(description="the driver has clean laps")
    has_team_strategy_evidence = dy.Bool(description="the driver stopped, and a field did")
    has_racecraft_evidence = dy.Bool(description="passes of the driver would be known")
    has_penalty_evidence = dy.Bool(description="penalties of the driver would be known")
    data_source = dy.String(regex=SLUG_PATTERN, description="provider of the graded session")
    inputs_hash = dy.String(
        regex=r"^[0-9a-f]{64}$", description="SHA-256 of the driver's inputs and overtakes"
    )


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


NORMALIZED: Final[Mapping[str, type[dy.Schema]]] = {
    "sessions": Sessions,
    "entries": Entries,
    "laps": Laps,
    "pit_stops": PitStops,
    "race_control": RaceControl,
    "weather": Weather,
}
"""What a provider delivers: one frame per name."""

DERIVED: Final[Mapping[str, type[dy.Schema]]] = {
    "overtakes": Overtakes,
    "strategy_events": StrategyEvents,
    "penalty_events": PenaltyEvents,
    "driver_inputs": DriverInputs,
    "driver_metrics": DriverMetrics,
}
"""What is computed from them and kept."""

STORED: Final[Mapping[str, type[dy.Schema]]] = {
    **NORMALIZED,
    "filled_columns": FilledColumns,
    **DERIVED,
}
"""What the lake keeps."""

TABLES: Final[Mapping[str, type[dy.Schema]]] = {**STORED, "grades": Grades}
"""All tables; `grades` is what scoring gives, before it is asked what rests on evidence."""


def polars_schema(table: str) -> pl.Schema:
    """Give the exact Polars dtypes of a table, in the contract's column order."""
    return pl.Schema({name: column.dtype for name, column in TABLES[table].columns().items()})


def empty(table: str) -> pl.DataFrame:
    """Make a table without rows that keeps its contract."""
    return TABLES[table].create_empty()


def unit(column: str) -> str | None:
    """Read a column's unit from its suffix; null for counts, names and flags."""
    return next((text for suffix, text in UNITS.items() if column.endswith(suffix)), None)
