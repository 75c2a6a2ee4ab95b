"""Clean laps and how far each lies from the field.

1. A candidate is a timed lap that is not lap 1, not an in- or out-lap, and ran under green only.
2. The lap's field level is the median of the candidates on that lap number.
3. A clean lap is a candidate within 107 % of that level.
4. ``lap_delta_s`` = clean lap − median of the clean laps on the same lap number; negative is
   faster than the field; rounded to a tenth of a ms, below which it means nothing. A lap number
   with fewer than three clean laps has no field.

Taking the field lap by lap removes fuel, drying track and slow safety-car laps, which are common
to all.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import ENTRY, SESSION
from engine.v1.component import per

FIELD_LEVEL_LIMIT: Final = 1.07
"""A slower lap than 107 % of the field's is not a lap at racing speed."""

MIN_FIELD_CARS: Final = 3
"""Cars a field needs: the median of one or two is a car's own time."""

NOT_GREEN: Final = "[24567]"
"""Track status codes of yellow, safety car, red and virtual safety car."""

MS_PER_S: Final = 1000.0

DECIMALS: Final = 4
"""Decimals of a delta in s: times are whole ms, their median may be half of one."""


def is_candidate() -> pl.Expr:
    """Whether a lap was timed at racing speed on a green track.

    A null flag counts as "no": a source without pit flags or track status leaves it to the 107 %
    rule to sort such laps out.
    """
    return (
        pl.col("lap_time_ms").is_not_null()
        & (pl.col("lap_number") > 1)
        & ~pl.col("is_in_lap").fill_null(value=False)
        & ~pl.col("is_out_lap").fill_null(value=False)
        & ~pl.col("track_status").str.contains(NOT_GREEN).fill_null(value=False)
    )


def field_median_ms() -> pl.Expr:
    """Median lap time of the cars on the same lap number, in ms."""
    return pl.col("lap_time_ms").median().over(*SESSION, "lap_number")


def lap_deltas(laps: pl.LazyFrame) -> pl.LazyFrame:
    """Measure each clean lap against the field.

    Args:
        laps: `engine.tables.Laps`, any number of sessions, any order.

    Returns:
        One row per clean lap: the key (session, driver, lap) and `lap_delta_s` (s). A driver
        without clean laps has no row.
    """
    return (
        laps.filter(is_candidate())
        .select(*ENTRY, "lap_number", "lap_time_ms")
        .filter(pl.col("lap_time_ms") <= FIELD_LEVEL_LIMIT * field_median_ms())
        .filter(pl.len().over(*SESSION, "lap_number") >= MIN_FIELD_CARS)
        .select(
            *ENTRY,
            "lap_number",
            lap_delta_s=per(pl.col("lap_time_ms") - field_median_ms(), MS_PER_S).round(DECIMALS),
        )
    )
