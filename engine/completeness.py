"""Completeness: whether a session's tables hold what its classification says was driven.

Timing arrives in pieces and is corrected for days. A session is *incomplete* when

1. a driver has fewer laps than the classification credits him with, by more than one;
2. laps are there of a driver who is not among the entries;
3. a classified driver has no position, or two drivers of different cars share one.

More laps than credited are no fault: after a red flag the last laps driven are not counted, and a
disqualified driver is credited with none. An incomplete session is loaded and marked, and fetched
again later; one without any entry, winner or lap is not usable at all, which is the provider's to
refuse.

What a source does not publish at all (tyres, weather) makes no session incomplete: it is *blank*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import ENTRY, SESSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LAP_TOLERANCE: Final = 1
"""Laps by which timing and classification may differ: the one on which the flag fell."""

FIRST_SEASON_WITH_LAPS: Final = 1996
"""Lap times before this season were never published."""

MEASURED: Final[Mapping[str, tuple[str, ...]]] = {
    "entries": (
        "grid_position",
        "is_pit_lane_start",
        "position",
        "is_classified",
        "points",
        "completed_laps",
        "race_time_ms",
    ),
    "laps": (
        "lap_time_ms",
        "sector1_time_ms",
        "sector2_time_ms",
        "sector3_time_ms",
        "speed_trap_1_kph",
        "speed_trap_2_kph",
        "speed_trap_line_kph",
        "speed_trap_straight_kph",
        "compound",
        "stint_number",
        "tyre_life_laps",
        "is_fresh_tyre",
        "position",
        "is_in_lap",
        "is_out_lap",
        "track_status",
        "is_deleted",
    ),
    "pit_stops": ("pit_lane_time_ms", "stationary_time_ms"),
    "race_control": (),
    "weather": (),
}
"""Columns that any source may know, by table; of a table without columns here, only its rows."""

BLANKS_SCHEMA: Final = pl.Schema(
    {"session_id": pl.String(), "table_name": pl.String(), "column_name": pl.String()}
)
"""One row per column that nobody filled; the column is null where the whole table is empty."""

REASONS_SCHEMA: Final = pl.Schema(
    {"session_id": pl.String(), "driver_id": pl.String(), "reason": pl.String()}
)
"""One row per thing that is missing."""


def missing(tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """List what a session lacks.

    Args:
        tables: `sessions`, `entries` and `laps` of `engine.tables`, any number of sessions.

    Returns:
        Rows of `REASONS_SCHEMA`; none if everything is there. Sessions before 1996 are not
        asked for laps.
    """
    entries, laps = tables["entries"], tables["laps"]
    era = tables["sessions"].filter(pl.col("season") >= FIRST_SEASON_WITH_LAPS).select(*SESSION)
    counted = laps.group_by(ENTRY).agg(laps=pl.len())
    timed = pl.col("laps").fill_null(0)
    place, number = (*SESSION, "position"), pl.col("driver_number")
    is_one_car = (number.drop_nulls().n_unique().over(*place) == 1) & (
        number.is_not_null().all().over(*place)
    )
    shared = pl.col("position").is_not_null() & (pl.len().over(*place) > 1) & ~is_one_car
    return pl.concat(
        [
            entries.join(era, on=SESSION)
            .join(counted, on=ENTRY, how="left")
            .filter(pl.col("completed_laps") - timed > LAP_TOLERANCE)
            .select(*ENTRY, reason=pl.format("{} of {} laps", timed, "completed_laps")),
            counted.join(entries, on=ENTRY, how="anti").select(
                *ENTRY, reason=pl.format("{} laps without an entry", "laps")
            ),
            entries.filter(pl.col("is_classified") & pl.col("position").is_null()).select(
                *ENTRY, reason=pl.lit("classified without a position")
            ),
            entries.filter(shared).select(
                *ENTRY, reason=pl.format("position {} is given twice", "position")
            ),
        ]
    )


def blank(tables: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
    """List the columns of `MEASURED` that are null in every row of a session, and empty tables.

    Args:
        tables: `sessions` and the tables of `MEASURED`, any number of sessions.

    Returns:
        Rows of `BLANKS_SCHEMA`; none if something of everything is known.
    """
    return pl.concat(part for name in MEASURED for part in _blank(tables["sessions"], name, tables))


def _blank(
    sessions: pl.LazyFrame, name: str, tables: Mapping[str, pl.LazyFrame]
) -> Iterator[pl.LazyFrame]:
    """Give the blanks of one table: if it is empty, and its columns."""
    rows, table = tables[name], pl.lit(name)
    yield sessions.join(rows, on=SESSION, how="anti").select(
        *SESSION, table_name=table, column_name=pl.lit(None, pl.String)
    )
    if MEASURED[name]:
        yield (
            rows.group_by(SESSION)
            .agg(pl.col(MEASURED[name]).is_null().all())
            .unpivot(index=SESSION, variable_name="column_name", value_name="is_blank")
            .filter("is_blank")
            .select(*SESSION, table_name=table, column_name="column_name")
        )
