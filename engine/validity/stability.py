"""Stability: how much a grade moves when one lap time of every driver is missing.

    rms           root mean square of the change over the standard deviation within races
    correlation   mean over races of Spearman's correlation of the grades before and after
    rank shift    mean over races of the most places that a driver moves

A grade that one lap turns over says more about that lap than about the driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from engine.tables import ENTRY, SESSION
from engine.validity.estimates import Estimate, estimate, mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.validity.estimates import Floats

    Grade = Callable[[Mapping[str, pl.DataFrame]], pl.DataFrame]
    """Tables by name → a metric: the key and `value`."""

SEED: Final = 1996
"""Of the laps that go missing."""


def stability(grade: Grade, tables: Mapping[str, pl.DataFrame]) -> dict[str, Estimate]:
    """Grade twice, with all laps and with one missing per driver.

    Args:
        grade: what is examined.
        tables: what it grades; `laps` among them.

    Returns:
        `missing lap rms`, `missing lap correlation` and `missing lap rank shift`, each with its
        interval over races; drivers graded only once are left out.
    """
    return change(grade(tables), grade({**tables, "laps": without_a_lap(tables["laps"])}))


def without_a_lap(laps: pl.DataFrame) -> pl.DataFrame:
    """Take one lap time from every driver, drawn by a seed; the lap itself stays.

    Args:
        laps: `engine.tables.Laps`.

    Returns:
        The same rows by key; `lap_time_ms` is null in one more of each driver's that had a time.
    """
    timed = (
        laps.filter(pl.col("lap_time_ms").is_not_null())
        .group_by(ENTRY)
        .agg(pl.col("lap_number").sort(), timed=pl.len())
        .sort(ENTRY)
    )
    drawn = pl.Series(np.random.default_rng(SEED).random(timed.height))
    missing = timed.select(
        *ENTRY,
        pl.col("lap_number").list.get((drawn * pl.col("timed")).floor().cast(pl.Int64)),
        is_missing=pl.lit(value=True),
    )
    return (
        laps.join(missing, on=[*ENTRY, "lap_number"], how="left")
        .with_columns(lap_time_ms=pl.when(pl.col("is_missing").is_null()).then("lap_time_ms"))
        .drop("is_missing")
        .sort(*ENTRY, "lap_number")
    )


def change(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, Estimate]:
    """Compare two metrics of the same drivers: see `stability`."""
    value, other = pl.col("value"), pl.col("other")
    rank_shift = (value.rank(descending=True) - other.rank(descending=True)).abs()
    races = (
        before.join(after.select(*ENTRY, other="value"), on=ENTRY)
        .drop_nulls(["value", "other"])
        .group_by(SESSION)
        .agg(
            square=((value - value.mean()) ** 2).sum(),
            change_square=((other - value) ** 2).sum(),
            correlation=pl.corr("value", "other", method="spearman"),
            rank_shift=rank_shift.max(),
        )
        .sort(SESSION)
    )
    sums = races.select("square", "change_square").to_numpy()
    known = races.filter(pl.col("correlation").is_finite())
    return {
        "missing lap rms": estimate(sums, _root_ratio, cases=races.height),
        "missing lap correlation": mean(known["correlation"].to_numpy()),
        "missing lap rank shift": mean(races["rank_shift"].to_numpy()),
    }


def _root_ratio(sums: Floats) -> Floats:
    root: Floats = np.sqrt(sums[..., 1] / sums[..., 0])
    return root
