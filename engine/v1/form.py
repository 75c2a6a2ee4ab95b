"""Form: what a driver's own laps say beside their level.

Residual r = lap_delta_s − the driver's median of it, rounded to a hundredth of a ms: deltas are
half ms, their median may be a quarter.

    form_consistency_score     = clamp(1 − 1.4826 · median|r| / 1.5 s)
    form_error_rate            = share of clean laps with r > 1.5 s
    form_start_precision_score = clamp(0.5 + (grid − position after lap 1) / 20)

The first two need five clean laps, the last a grid place and a position after lap 1; otherwise
they are null and scoring takes the neutral value.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import ENTRY
from engine.v1.component import clamp, per
from engine.v1.laps import DECIMALS

MAD_TO_SIGMA: Final = 1.4826
"""Makes a median absolute deviation comparable to a standard deviation."""

FULL_SPREAD_S: Final = 1.5
"""Robust spread, in s, that leaves nothing of the consistency."""

ERROR_LAP_S: Final = 1.5
"""A clean lap this much slower than the driver's own level, in s, is an error."""

MIN_FORM_LAPS: Final = 5
"""Clean laps below which a spread says nothing."""

START_PLACES: Final = 20.0
"""Ten places gained or lost at the start move the precision from 0.5 to an end of the scale."""


def form(lap_deltas: pl.LazyFrame, laps: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Measure every driver's form in every session.

    Args:
        lap_deltas: one row per clean lap, from `engine.v1.laps`.
        laps: `engine.tables.Laps`, for the position after lap 1.
        entries: `engine.tables.Entries`, for the grid.

    Returns:
        One row per entry: the key, `form_consistency_score`, `form_error_rate` and
        `form_start_precision_score`, each 0..1 or null without evidence.
    """
    own_level = pl.col("lap_delta_s").median().over(*ENTRY)
    residual = (pl.col("lap_delta_s") - own_level).round(DECIMALS + 1)
    spread = (
        lap_deltas.with_columns(residual_s=residual)
        .group_by(ENTRY)
        .agg(
            laps=pl.len(),
            spread_s=MAD_TO_SIGMA * pl.col("residual_s").abs().median(),
            error_rate=(pl.col("residual_s") > ERROR_LAP_S).mean(),
        )
        .filter(pl.col("laps") >= MIN_FORM_LAPS)
    )
    first_lap = laps.filter(pl.col("lap_number") == 1).select(*ENTRY, first_position="position")
    gained = pl.col("grid_position") - pl.col("first_position")
    return (
        entries.join(spread, on=ENTRY, how="left")
        .join(first_lap, on=ENTRY, how="left")
        .select(
            *ENTRY,
            form_consistency_score=clamp(1.0 - per(pl.col("spread_s"), FULL_SPREAD_S)),
            form_error_rate="error_rate",
            form_start_precision_score=clamp(0.5 + per(gained, START_PLACES)),
        )
    )
