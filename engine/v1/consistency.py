"""Consistency: how closely a driver's clean laps follow what car and form let one expect.

    e     = base + adjustment + 0.2 (fc − 0.5) + 0.05 (fs − 0.5) − 0.15 fe
    base  = clamp(1 − mean|x − e| / τ)
    pace  = 1 + min(max(−e − pm, 0) / ps, pc)
    stint = 1 + min((s − t) / t, sc)  if s > t > 0, else 1
    C_raw = clamp(base · pace · stint);  0.5 without a lap

x are the lap deltas and e the expected one, in s. s is the average stint in laps: with T laps,
P the distinct pit laps from lap 2 on, k = |P| and M = max P it is 0 when T = 0, T when k = 0,
T/(k+1) when M ≤ T, else (M − 1)/k.

Form has the predecessor's signs, kept so that model v1 reproduces it: a driver in better form is
expected to be *slower*. A missing form value is neutral (0.5, for errors 0), a missing pace 0.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.v1.component import Component, clamp

CONSISTENCY_EFFECT_S: Final = 0.2
START_EFFECT_S: Final = 0.05
ERROR_EFFECT_S: Final = -0.15
"""Seconds by which the three form values move the expected delta over their whole range."""

NEUTRAL: Final = 0.5
"""Form that moves nothing, and the consistency of a driver without laps."""

FIRST_PIT_LAP: Final = 2
"""A stop on lap 1 ends no stint."""


def expected_delta_s() -> pl.Expr:
    """Lap delta expected of car and form, in s."""
    return (
        pl.col("car_base_delta_s").fill_null(0.0)
        + pl.col("car_track_adjustment_s").fill_null(0.0)
        + CONSISTENCY_EFFECT_S * (pl.col("form_consistency_score").fill_null(NEUTRAL) - NEUTRAL)
        + START_EFFECT_S * (pl.col("form_start_precision_score").fill_null(NEUTRAL) - NEUTRAL)
        + ERROR_EFFECT_S * pl.col("form_error_rate").fill_null(0.0)
    )


def mean_deviation_s() -> pl.Expr:
    """Mean absolute distance of the laps from the expected delta, in s; null without laps."""
    deviations = pl.col("lap_deltas_s") - pl.col("expected_delta_s")
    return deviations.list.eval(pl.element().abs()).list.mean()


def average_stint_laps() -> pl.Expr:
    """Average stint length, in laps; reads `stops` and `last_stop_lap`."""
    laps = pl.col("lap_deltas_s").list.len().cast(pl.Float64)
    stops, last_stop = pl.col("stops"), pl.col("last_stop_lap")
    return (
        pl.when((laps == 0) | (stops == 0))
        .then(laps)
        .when(last_stop <= laps)
        .then(laps / (stops + 1.0))
        .otherwise((last_stop - 1.0) / stops)
    )


def evidence(driver_inputs: pl.LazyFrame, _overtakes: pl.LazyFrame) -> pl.LazyFrame:
    """Reduce each driver's laps to what consistency needs.

    Returns:
        The rows of `driver_inputs` with `expected_delta_s` (s), `mean_deviation_s` (s, null
        without laps) and `average_stint_laps`.
    """
    ending = pl.col("actual_pit_laps").list.filter(pl.element() >= FIRST_PIT_LAP)
    return (
        driver_inputs.with_columns(ending.alias("ending_pit_laps"))
        .with_columns(
            expected_delta_s=expected_delta_s(),
            stops=pl.col("ending_pit_laps").list.n_unique().cast(pl.Float64),
            last_stop_lap=pl.col("ending_pit_laps").list.max(),
        )
        .with_columns(mean_deviation_s=mean_deviation_s(), average_stint_laps=average_stint_laps())
        .drop("ending_pit_laps", "stops", "last_stop_lap")
    )


def raw() -> pl.Expr:
    """Consistency before normalisation, 0..1."""
    base = clamp(1.0 - pl.col("mean_deviation_s") / pl.col("consistency_tolerance"))
    advantage_s = (-pl.col("expected_delta_s") - pl.col("pace_min_advantage")).clip(lower_bound=0.0)
    pace = 1.0 + pl.min_horizontal(
        advantage_s / pl.col("pace_advantage_scale"), pl.col("pace_boost_cap")
    )
    target, stint_laps = pl.col("stint_target_laps"), pl.col("average_stint_laps")
    stint = (
        pl.when((target > 0) & (stint_laps > target))
        .then(1.0 + pl.min_horizontal((stint_laps - target) / target, pl.col("stint_boost_cap")))
        .otherwise(1.0)
    )
    return clamp(base * pace * stint).fill_null(NEUTRAL)


def has_evidence() -> pl.Expr:
    """Whether the driver has a clean lap."""
    return pl.col("lap_deltas_s").list.len() > 0


OUTPUTS: Final[dict[str, pl.DataType]] = {
    "expected_delta_s": pl.Float64(),
    "mean_deviation_s": pl.Float64(),
    "average_stint_laps": pl.Float64(),
}

CONSISTENCY: Final = Component(
    "consistency_raw", "consistency_score", evidence, OUTPUTS, raw, has_evidence
)
