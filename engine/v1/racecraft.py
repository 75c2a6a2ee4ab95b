"""Racecraft: places gained on track, each weighed by how hard it was to gain.

    z = −1.2 d − 0.05 w − 0.15 q − 0.01 h + 1.5 k + 0.5 u
    D = 1 / (1 + e^−z), limited to 0.05..0.95
    m = D (1 − e^(−y / 5 s)) · (0.2 if penalized)
    R_raw = clamp(Σ over on-track events of (m if success else −0.5 m))

d car pace difference (s), w tyre-age, q compound, h battery difference, k track difficulty, u race
phase, y exposure (s). A null is what model v1 takes for a missing field: 0 for d, w, q, h; 0.5 for
k, u; 5 s for y; not penalized. The sign of d is the predecessor's: passing with the faster car
counts more.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import ENTRY
from engine.v1.component import Component, clamp, per

WEIGHTS: Final[dict[str, tuple[float, float]]] = {
    "car_pace_difference_s": (-1.2, 0.0),
    "tyre_age_difference_laps": (-0.05, 0.0),
    "compound_difference": (-0.15, 0.0),
    "ers_difference": (-0.01, 0.0),
    "track_difficulty": (1.5, 0.5),
    "race_phase_pressure": (0.5, 0.5),
}
"""Weight of each circumstance in the logit, and what a null stands for."""

DIFFICULTY_RANGE: Final = (0.05, 0.95)
"""No pass is worth nothing, none is worth all."""

EXPOSURE_SCALE_S: Final = 5.0
"""Time constant of the exposure, in s; also what an unknown exposure is taken for."""

PENALIZED_SHARE: Final = 0.2
"""What is left of a move the stewards punished."""

FAILURE_SHARE: Final = -0.5
"""What a failed attempt costs of the move's worth."""


def difficulty() -> pl.Expr:
    """How hard the move was, 0.05..0.95."""
    logit = pl.sum_horizontal(
        weight * pl.col(name).fill_null(null) for name, (weight, null) in WEIGHTS.items()
    )
    return (1.0 / (1.0 + (-logit).exp())).clip(*DIFFICULTY_RANGE)


def event_value() -> pl.Expr:
    """What one event adds to the raw score."""
    exposure = pl.col("exposure_time_s").fill_null(EXPOSURE_SCALE_S)
    penalized = pl.col("is_penalized").fill_null(value=False)
    move = (
        difficulty()
        * (1.0 - per(-exposure, EXPOSURE_SCALE_S).exp())
        * pl.when(penalized).then(PENALIZED_SHARE).otherwise(1.0)
    )
    return move * pl.when(pl.col("is_success")).then(1.0).otherwise(FAILURE_SHARE)


def evidence(driver_inputs: pl.LazyFrame, overtakes: pl.LazyFrame) -> pl.LazyFrame:
    """Sum each driver's events.

    Returns:
        The rows of `driver_inputs` with `racecraft_sum` (unbounded), `on_track_events` and
        `pit_cycle_events` (all events that are not on track); zeros without events.
    """
    on_track = pl.col("kind") == "on_track"
    counts = overtakes.group_by(ENTRY).agg(
        on_track_events=on_track.sum().cast(pl.Int32),
        pit_cycle_events=(~on_track).sum().cast(pl.Int32),
    )
    # Few events are on track: the others are left out before the costly part. They are left out
    # within the groups again because a filtered group is summed alike however rows are chunked.
    value, order = event_value().filter(on_track), pl.col("overtake_number").filter(on_track)
    sums = overtakes.filter(on_track).group_by(ENTRY).agg(racecraft_sum=value.sort_by(order).sum())
    return (
        driver_inputs.join(counts, on=ENTRY, how="left")
        .join(sums, on=ENTRY, how="left")
        .with_columns(pl.col(name).fill_null(0) for name in OUTPUTS)
    )


def raw() -> pl.Expr:
    """Racecraft before normalisation, 0..1; no profile field enters it."""
    return clamp(pl.col("racecraft_sum"))


def has_evidence() -> pl.Expr:
    """Whether the driver's crossings of the line are known, so that passes would show."""
    return pl.col("has_lap_clocks")


OUTPUTS: Final[dict[str, pl.DataType]] = {
    "racecraft_sum": pl.Float64(),
    "on_track_events": pl.Int32(),
    "pit_cycle_events": pl.Int32(),
}

RACECRAFT: Final = Component(
    "racecraft_raw", "racecraft_score", evidence, OUTPUTS, raw, has_evidence
)
