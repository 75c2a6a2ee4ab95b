"""OpenF1's endpoints as they answer: one strict model each, and the raw frame they become.

Required fields are those without which a row means nothing; the rest may be null, or absent in
some rows (`openf1_replies` says when in all). The bounds only keep out what cannot be a value of
that kind. Fields that are not listed are left out.

`overtakes` is not among them: it holds every swap of places, in the pit lane and after the flag
too, and the engine finds passes itself.

Moments are read with their offset and kept in UTC to the millisecond. ``gap_to_leader`` is read as
text, since it is a number, "+1 LAP" or null.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from engine.contract import conform
from loaders.strict_json import Record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from engine.tables import SessionKey

SOURCE: Final = "openf1"
DRIVER: Final = "driver_id"
ORDER: Final = "lap_number"


def _moment(value: object) -> datetime:
    """A text with date, time and offset as a moment in UTC."""
    if not isinstance(value, str):
        raise ValueError("should be a text with date, time and offset")  # noqa: TRY004 - pydantic's
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"should have an offset and a year from {FIRST_YEAR} to {LAST_YEAR}")
    return moment.astimezone(UTC)


def _offset(value: object) -> timedelta:
    """An offset from UTC, ``-04:00:00``, as a duration."""
    parts = value.removeprefix("-").split(":") if isinstance(value, str) else []
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError("should be an offset like 02:00:00 or -04:00:00")
    hours, minutes, seconds = (int(part[:3]) for part in parts)
    sign = -1 if str(value).startswith("-") else 1
    return sign * timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _text(value: object) -> object:
    """A number as text; anything else as it is, for the model to judge."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(value) if is_number else value


FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2100
"""Years a moment may have; only such as a timing system makes up lie outside."""

Moment = Annotated[datetime, BeforeValidator(_moment)]
Offset = Annotated[timedelta, BeforeValidator(_offset)]
Key = Annotated[int, Field(ge=1, lt=2**31)]
CarNumber = Annotated[int, Field(ge=0, le=999)]
Count = Annotated[int, Field(ge=0, le=1000)]
Lap = Annotated[int, Field(ge=0, le=250)]
Place = Annotated[int, Field(ge=1, le=60)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Quantity = Annotated[float, Field(ge=-10_000, le=10_000)]
Text = Annotated[str, Field(max_length=1000)]


class Meeting(Record):
    """A race weekend or a test; without a round number."""

    meeting_key: Key
    meeting_name: Text
    date_start: Moment
    is_cancelled: bool | None = None
    circuit_short_name: Text | None = None


class Session(Record):
    """One session of a meeting, by its name."""

    session_key: Key
    meeting_key: Key
    session_name: Text
    date_start: Moment
    gmt_offset: Offset
    is_cancelled: bool | None = None


class SessionResult(Record):
    """A car's place in the classification as last published: maybe before penalties."""

    driver_number: CarNumber
    position: Place | None
    number_of_laps: Lap | None = None
    points: Quantity | None = None
    dnf: bool
    dns: bool
    dsq: bool
    duration: Seconds | None = None
    gap_to_leader: Annotated[Text | None, BeforeValidator(_text)] = None


class Driver(Record):
    """Who drives a car in a session."""

    driver_number: CarNumber
    name_acronym: Text | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    team_name: Text | None = None


class GridSlot(Record):
    """A car's place on the grid; the key is that of the qualifying session."""

    session_key: Key
    driver_number: CarNumber
    position: Place | None


class LapTiming(Record):
    """One lap of one car."""

    driver_number: CarNumber
    lap_number: Lap
    date_start: Moment | None = None
    lap_duration: Seconds | None
    duration_sector_1: Seconds | None = None
    duration_sector_2: Seconds | None = None
    duration_sector_3: Seconds | None = None
    i1_speed: Quantity | None = None
    i2_speed: Quantity | None = None
    st_speed: Quantity | None = None
    is_pit_out_lap: bool | None = None


class TyreStint(Record):
    """One set of tyres on one car, from lap to lap."""

    driver_number: CarNumber
    stint_number: Count
    lap_start: Lap | None
    lap_end: Lap | None
    compound: Text | None = None
    tyre_age_at_start: Count | None = None


class PitVisit(Record):
    """One visit to the pit lane; the date is that of the exit."""

    driver_number: CarNumber
    lap_number: Lap
    date: Moment | None = None
    lane_duration: Seconds | None = None
    pit_duration: Seconds | None = None
    stop_duration: Seconds | None = None

    @model_validator(mode="after")
    def _stop_is_part_of_the_visit(self) -> Self:
        lane_s = self.pit_duration if self.lane_duration is None else self.lane_duration
        if lane_s is not None and self.stop_duration is not None and self.stop_duration > lane_s:
            raise ValueError("the stop should not last longer than the visit to the pit lane")
        return self


class PlaceChange(Record):
    """A car's new place in the running order."""

    driver_number: CarNumber
    date: Moment
    position: Place | None


class Message(Record):
    """One message of race control."""

    date: Moment
    message: Text
    category: Text | None = None
    flag: Text | None = None
    scope: Text | None = None
    sector: Count | None = None
    lap_number: Lap | None = None
    driver_number: CarNumber | None = None


class WeatherReading(Record):
    """One reading of the weather station."""

    date: Moment
    air_temperature: Quantity | None = None
    track_temperature: Quantity | None = None
    humidity: Quantity | None = None
    pressure: Quantity | None = None
    rainfall: Quantity | None = None
    wind_direction: Count | None = None
    wind_speed: Quantity | None = None


ENDPOINTS: Final[dict[str, type[Record]]] = {
    "meetings": Meeting,
    "sessions": Session,
    "session_result": SessionResult,
    "drivers": Driver,
    "starting_grid": GridSlot,
    "laps": LapTiming,
    "stints": TyreStint,
    "pit": PitVisit,
    "position": PlaceChange,
    "race_control": Message,
    "weather": WeatherReading,
}
"""Model of each endpoint's rows."""

DTYPES: Final[dict[Any, pl.DataType]] = {
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
    bool: pl.Boolean(),
    datetime: pl.Datetime("ms", "UTC"),
    timedelta: pl.Duration("ms"),
}
"""Column type of each Python type a model may hold."""


def raw_schema(endpoint: str) -> pl.Schema:
    """Column types of an endpoint's raw frame, in the model's order."""
    fields = ENDPOINTS[endpoint].model_fields
    return pl.Schema({name: _dtype(field.annotation) for name, field in fields.items()})


def raw_frame(endpoint: str, records: Sequence[Record]) -> pl.DataFrame:
    """Put records into a frame of the endpoint's schema.

    Rows that are equal are one row, and the frame is sorted by all columns: neither a repeat nor
    the order of an answer, which varies, can move a result.
    """
    rows = [record.model_dump() for record in records]
    frame = pl.DataFrame(rows, schema=raw_schema(endpoint), orient="row").unique()
    return frame.sort(frame.columns, nulls_last=True)


def _dtype(annotation: Any) -> pl.DataType:
    """Column type of a field: that of the one type among ``T``, ``Annotated`` and ``T | None``."""
    if annotation in DTYPES:
        return DTYPES[annotation]
    parts = getattr(annotation, "__args__", ())
    return next(_dtype(part) for part in parts if part is not type(None))


def to_ms(seconds: str | pl.Expr) -> pl.Expr:
    """A duration in s as whole ms."""
    column = pl.col(seconds) if isinstance(seconds, str) else seconds
    return (column * 1000).round().cast(pl.Int64)


def contract(frame: pl.DataFrame, table: str, session: SessionKey) -> pl.DataFrame:
    """Say whose rows these are, and make them fit the table."""
    own = frame.with_columns(session_id=pl.lit(session.session_id))
    return conform(own, table, f"{SOURCE} {session.session_id}")


def timed(column: str) -> pl.Expr:
    """A duration where it is one: more than nothing."""
    return pl.when(pl.col(column) > 0).then(column).alias(column)
