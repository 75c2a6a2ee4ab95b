"""Completeness: whether a session's tables hold what its classification says was driven.

Timing arrives in pieces and is corrected for days. A session is *incomplete* when

1. a driver has fewer laps than the classification credits him with, by more than one;
2. laps are there of a driver who is not among the entries;
3. a classified driver has no position, or two drivers share one.

More laps than credited are no fault: after a red flag the last laps driven are not counted, and a
disqualified driver is credited with none. An incomplete session is loaded and marked, and fetched
again later; one without any entry, winner or lap is not usable at all, which is the provider's to
refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import ENTRY, SESSION

if TYPE_CHECKING:
    from collections.abc import Mapping

LAP_TOLERANCE: Final = 1
"""Laps by which timing and classification may differ: the one on which the flag fell."""

FIRST_SEASON_WITH_LAPS: Final = 1996
"""Lap times before this season were never published."""

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
    shared = pl.col("position").is_not_null() & (pl.len().over(*SESSION, "position") > 1)
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
