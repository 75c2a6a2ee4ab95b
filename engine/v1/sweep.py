"""Sweep: what a calibration profile does to the grades, in a few figures per season.

For each profile and season, over the driver-races that have the number in question:

    mean and standard deviation of the total; means of the scores
    share of consistency, racecraft and penalty scores at an end of the scale, where a score can
    no longer tell drivers apart
    order: mean over the sessions of Spearman's correlation between the total and the finishing
    order of the classified, 1 if the better grade always finished ahead
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import ENTRY, SESSION

SCORES: Final = ("consistency_score", "racecraft_score", "penalty_score", "team_strategy_score")

BOUNDED: Final = ("consistency_score", "racecraft_score", "penalty_score")
"""Scores that enter the total."""

MIN_ORDERED: Final = 5
"""Classified drivers with a total that a session needs before its order means anything."""

SWEEP_SCHEMA: Final = pl.Schema(
    {
        "profile_name": pl.String(),
        "season": pl.Int16(),
        "driver_races": pl.Int64(),
        "total_grade_mean": pl.Float64(),
        "total_grade_deviation": pl.Float64(),
        **{f"{score}_mean": pl.Float64() for score in SCORES},
        **{f"{score}_share_at_end": pl.Float64() for score in BOUNDED},
        "order_correlation": pl.Float64(),
    }
)
"""One row per profile and season; `driver_races` have a total. Null where nothing was measured."""


def sweep(metrics: pl.LazyFrame, entries: pl.LazyFrame, sessions: pl.LazyFrame) -> pl.LazyFrame:
    """Sum up grades by profile and season.

    Args:
        metrics: what `engine.v1.grade.published` gave, under any number of profiles.
        entries: `engine.tables.Entries` of the same sessions.
        sessions: `engine.tables.Sessions` of the same sessions.

    Returns:
        `SWEEP_SCHEMA`, unordered.
    """
    by_session = (
        metrics.join(entries.select(*ENTRY, "position", "is_classified"), on=ENTRY)
        .group_by("profile_name", *SESSION)
        .agg(
            driver_races=pl.col("total_grade").count().cast(pl.Int64),
            total=pl.col("total_grade").sum(),
            total_squared=(pl.col("total_grade") ** 2).sum(),
            order_correlation=_order_correlation(),
            **{f"{score}_sum": pl.col(score).sum() for score in SCORES},
            **{f"{score}_count": pl.col(score).count() for score in SCORES},
            **{f"{score}_at_end": pl.col(score).is_in([0.0, 1.0]).sum() for score in BOUNDED},
        )
    )
    races, total = pl.col("driver_races").sum(), pl.col("total").sum()
    mean = total / races
    spread = pl.col("total_squared").sum() / races - mean**2
    return (
        by_session.join(sessions.select(*SESSION, "season"), on=SESSION)
        .group_by("profile_name", "season")
        .agg(
            driver_races=races,
            total_grade_mean=pl.when(races > 0).then(mean),
            total_grade_deviation=pl.when(races > 0).then(spread.clip(lower_bound=0.0).sqrt()),
            **{f"{score}_mean": _share(score, "sum") for score in SCORES},
            **{f"{score}_share_at_end": _share(score, "at_end") for score in BOUNDED},
            order_correlation=pl.col("order_correlation").mean(),
        )
        .select(SWEEP_SCHEMA.names())
    )


def _share(score: str, of: str) -> pl.Expr:
    """Divide a sum over all sessions by the number of scores; null without any."""
    count = pl.col(f"{score}_count").sum()
    return pl.when(count > 0).then(pl.col(f"{score}_{of}").sum() / count)


def _order_correlation() -> pl.Expr:
    """Rank correlation of total and finish over the classified of one session and profile."""
    is_ordered = pl.col("is_classified") & pl.col("total_grade").is_not_null()
    total, position = (pl.col(name).filter(is_ordered) for name in ("total_grade", "position"))
    correlation = pl.corr(total.rank(), -position.cast(pl.Float64).rank())
    return pl.when(is_ordered.sum() >= MIN_ORDERED).then(correlation.fill_nan(None))
