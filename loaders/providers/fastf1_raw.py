"""What leaves the process that runs FastF1: raw tables, in FastF1's column names, typed once.

pandas ends here. A column that is missing, or that cannot be read as what it should hold, refuses
the whole session by name: FastF1 fills in defaults for what it lost, and a guess at a unit would
be a wrong time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

BLANK: Final = ("", "nan", "none", "nat")
"""What an empty cell looks like after it went through text, in lower case."""

_NS_PER_MS: Final = 1_000_000
_MS: Final = pl.Duration
_IDENTITY: Final = ("DriverNumber", "Abbreviation", "DriverId", "TeamId")
_SPEEDS: Final = ("SpeedI1", "SpeedI2", "SpeedFL", "SpeedST")
_LAP_TIMES: Final = ("LapTime", "Sector1Time", "Sector2Time", "Sector3Time")

RAW: Final[Mapping[str, Mapping[Any, tuple[str, ...]]]] = {
    "facts": {
        pl.String: ("event_name", "circuit_id", "circuit_name"),
        pl.Date: ("event_date", "jolpica_date"),
        pl.Datetime("us"): ("starts_local",),
        _MS: ("gmt_offset",),
        pl.Int64: ("scheduled_laps", "meeting_key", "f1_session_key"),
    },
    "results": {
        pl.String: (*_IDENTITY, "TeamName", "FullName", "ClassifiedPosition", "Status"),
        pl.Float64: ("Position", "GridPosition", "Points", "Laps"),
        _MS: ("Time",),
    },
    "laps": {
        pl.String: ("DriverNumber", "Compound", "TrackStatus", "DeletedReason"),
        pl.Float64: ("LapNumber", "Stint", "TyreLife", "Position", *_SPEEDS),
        pl.Boolean: ("FreshTyre", "Deleted", "IsPersonalBest", "IsAccurate", "FastF1Generated"),
        _MS: (*_LAP_TIMES, "LapStartTime", "Time", "PitInTime", "PitOutTime"),
    },
    "race_control": {
        pl.Datetime("us"): ("Time",),
        pl.Float64: ("Lap", "Sector"),
        pl.String: ("Category", "Flag", "Scope", "Status", "RacingNumber", "Message"),
    },
    "weather": {
        _MS: ("Time",),
        pl.Float64: ("AirTemp", "TrackTemp", "Humidity", "Pressure", "WindDirection", "WindSpeed"),
        pl.Boolean: ("Rainfall",),
    },
}
"""Every column that leaves this process, by what it holds; durations leave as integer ms."""


class UnusableError(Exception):
    """FastF1 has no usable session; carries the cause and what the user can do."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause, remedy)
        self.cause, self.remedy = cause, remedy


def raw_schema(name: str) -> pl.Schema:
    """Give the types of a raw table's columns as they leave this process."""
    return pl.Schema(
        {
            column: pl.Int64() if dtype is _MS else dtype
            for dtype, columns in RAW[name].items()
            for column in columns
        }
    )


def raw_frame(name: str, data: pd.DataFrame | None) -> pl.DataFrame:
    """Turn a pandas frame into the raw table of that name.

    NaN, NaT, None and empty text become null, durations whole ms (rounded half up).

    Args:
        name: a key of `RAW`.
        data: at least its columns; None when FastF1 did not load it, which gives no rows.

    Raises:
        UnusableError: a column is missing, holds something else, or a text holds NUL.
    """
    if data is None or data.empty:
        return pl.DataFrame(schema=raw_schema(name))
    plain = pd.DataFrame(data)  # FastF1's own class is slow to take columns from
    return pl.DataFrame(
        [
            _column(name, column, dtype, plain)
            for dtype, columns in RAW[name].items()
            for column in columns
        ]
    )


def _column(name: str, column: str, dtype: Any, data: pd.DataFrame) -> pl.Series:
    """Read one column, or say which one cannot be read and why."""
    count = list(data.columns).count(column)
    fault = f"is there {count} times instead of once"
    if count == 1:
        values: Any = data[[column]]
        try:
            return _read(pl.DataFrame(pl.from_pandas(values)).to_series(), dtype)
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            fault = f"cannot be read as {dtype}: {str(error).strip().partition(chr(10))[0]}"
        except pl.exceptions.PanicException as error:
            fault = f"cannot be read as {dtype} ({error})"
    raise UnusableError(
        f"{name}: column {column} {fault}",
        "FastF1 or what it reads has changed: use the version the project is locked to, or "
        "another provider.",
    )


def _read(series: pl.Series, dtype: Any) -> pl.Series:
    """Cast a column to what it should hold.

    Raises:
        PolarsError, TypeError, ValueError: it holds something else.
    """
    if series.null_count() == series.len():
        return pl.Series(series.name, [None] * series.len(), pl.Int64 if dtype is _MS else dtype)
    if dtype in (_MS, pl.Datetime("us")) and not series.dtype.is_temporal():
        raise TypeError(f"it holds {series.dtype}, whose unit is not known")
    if dtype is _MS:
        clock_ns = series.cast(pl.Duration("ns")).dt.total_nanoseconds()
        return (clock_ns + _NS_PER_MS // 2) // _NS_PER_MS
    if dtype != pl.String:
        return series.cast(dtype)
    text = series.cast(pl.String).str.strip_chars()
    if text.str.contains("\0", literal=True).any():
        raise ValueError("a text holds NUL, which the warehouse cannot store")
    return text.set(text.str.to_lowercase().is_in(BLANK), None)
