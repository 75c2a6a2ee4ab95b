"""Pace: how fast each driver was in a race, with lap, tyres and traffic taken out.

    pace = a − the mean a of the race + the 35 % quantile of the driver's residuals

a and the residuals are those of `engine.v2.lap_fit`. The quantile is the level that the better
third of the laps reached; the slow tail does not move it. Percentages are 100 · ln(time): 1 is
about a hundredth of a lap time, negative is faster.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import ENTRY, LAP, SESSION
from engine.v2.clean_laps import clean_laps, is_clean, of_lap_before
from engine.v2.exact_sums import exact_sum
from engine.v2.lap_fit import BITS, DEFAULTS, PaceConstants, pace_fit

__all__ = ["PaceConstants", "clean_laps", "entry_pace", "pace_fit", "session_pace"]

QUANTILE_STEP: Final = 0.1
"""Half width, in shares of the laps, over which the density at the pace's quantile is taken."""

STEP_TO_SD: Final = 1.4826022185056018 / 2.0**0.5
"""Median size of the step between two laps of a normal scatter, as their standard deviation."""

MAX_CORRELATION: Final = 0.9
"""Most that successive laps are held to correlate; 19 laps then carry the news of one."""


def entry_pace(fitted: pl.LazyFrame, constants: PaceConstants = DEFAULTS) -> pl.LazyFrame:
    """Reduce the laps to each driver's pace.

    The standard error is that of a quantile q of n residuals, ``sqrt(q (1 - q) / n) / f(q)`` with
    f the density of the race's residuals (Siddiqui 1960), widened by ``(1 + r) / (1 - r)`` where
    successive laps correlate by r, and by N / (N - p) for the p terms fitted to the race's N laps.

    Args:
        fitted: result of `pace_fit`.
        constants: those of the fit.

    Returns:
        One row per driver with laps in a session: `clean_laps`, `pace_pct` (against the mean
        driver of the race), `pace_se_pct` (of this race alone), `effective_laps` (what the laps
        weigh against those of other races: less in a race of scattered laps) and `dispersion_pct`
        (robust standard deviation of a lap, from the median step between successive clean laps
        of a stint). All but the count are null below `min_laps`, the error also where laps are no
        more than terms, the dispersion also without such steps.
    """
    laps, has_laps = pl.col("clean_laps"), pl.col("clean_laps") > 0
    centre = exact_sum(pl.when(has_laps).then("driver_pct"), BITS) / has_laps.sum()
    spread = pl.max_horizontal("spread_pct", pl.lit(constants.smallest_spread_pct))
    weight = (constants.reference_spread_pct / spread).clip(upper_bound=constants.max_lap_weight)
    share = constants.quantile * (1.0 - constants.quantile)
    drivers = has_laps.sum().over("session_key").cast(pl.Int32)
    spare = pl.col("fitted_laps") - (drivers + pl.col("fitted_lap_numbers") + 1)
    correlated = (1.0 + pl.col("lap_correlation")) / (1.0 - pl.col("lap_correlation"))
    widened = pl.when(spare > 0).then(correlated * pl.col("fitted_laps") / spare)
    step = (pl.col("residual_pct") - pl.col("before_pct")).abs()
    return (
        _successive(fitted)
        .group_by("entry_key")
        .agg(
            pl.col(*ENTRY, "session_key", "driver_pct", "spread_pct").first(),
            dispersion_pct=step.median() * STEP_TO_SD,
            clean_laps=is_clean().sum().cast(pl.Int32),
            quantile_pct=pl.col("residual_pct").quantile(constants.quantile, "linear"),
        )
        .join(_precision(fitted, constants), on="session_key")
        .with_columns(
            pace_pct=pl.col("driver_pct") - centre.over("session_key") + pl.col("quantile_pct"),
            pace_se_pct=(share * widened / laps).sqrt() / pl.col("density"),
            effective_laps=laps * weight,
        )
        .select(
            *ENTRY,
            "clean_laps",
            *(
                pl.when(laps >= constants.min_laps).then(name).alias(name)
                for name in ("pace_pct", "pace_se_pct", "effective_laps", "dispersion_pct")
            ),
        )
    )


def _precision(fitted: pl.LazyFrame, used: PaceConstants) -> pl.LazyFrame:
    """What the standard errors of a session need: one row each."""
    limit = used.huber * pl.col("spread_pct").first()
    residual, before = (pl.col(name).clip(-limit, limit) for name in ("residual_pct", "before_pct"))
    products, squares = residual * before, 0.5 * (residual * residual + before * before)
    correlation = exact_sum(products, BITS) / exact_sum(
        squares.filter(products.is_not_null()), BITS
    )
    low, high = (
        pl.col("residual_pct").quantile(used.quantile + step, "linear")
        for step in (-QUANTILE_STEP, QUANTILE_STEP)
    )
    return (
        _successive(fitted)
        .group_by("session_key")
        .agg(
            lap_correlation=correlation.fill_nan(0.0).clip(0.0, MAX_CORRELATION),
            density=2.0 * QUANTILE_STEP / (high - low),
            fitted_laps=is_clean().sum().cast(pl.Int32),
            fitted_lap_numbers=pl.col("lap_number").filter(is_clean()).n_unique().cast(pl.Int32),
        )
    )


def _successive(fitted: pl.LazyFrame) -> pl.LazyFrame:
    """Add `before_pct`, the residual of the lap just before in the same stint, to every lap."""
    is_same_stint = pl.col("stint_number") == pl.col("stint_number").shift(1)
    return (
        fitted.select(
            *LAP,
            "session_key",
            "entry_key",
            "driver_pct",
            "spread_pct",
            "residual_pct",
            "stint_number",
            "refused_for",
        )
        .sort("entry_key", "lap_number")
        .with_columns(
            pl.col("session_key").set_sorted(),
            before_pct=pl.when(is_same_stint).then(of_lap_before("residual_pct")),
        )
    )


def session_pace(fitted: pl.LazyFrame, constants: PaceConstants = DEFAULTS) -> pl.LazyFrame:
    """Reduce the laps to what a race has in common.

    Returns:
        One row per session with laps: `level_pct`, `spread_pct`, `tyre_slope_pct_per_lap` and
        `traffic_pct` of `pace_fit`, `clean_laps` of all cars, and `lap_correlation`: of successive
        residuals of a stint, held to 0 to 0.9.
    """
    shared = ("level_pct", "spread_pct", "tyre_slope_pct_per_lap", "traffic_pct")
    return (
        fitted.group_by("session_key")
        .agg(pl.col(*SESSION, *shared).first())
        .join(_precision(fitted, constants), on="session_key")
        .select(*SESSION, *shared, "lap_correlation", clean_laps="fitted_laps")
    )
