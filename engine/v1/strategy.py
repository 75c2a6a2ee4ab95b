"""Team strategy: when a car stopped, against when the field made the same stop.

Deriving the stops:

1. A visit to the pit lane is a stop if the car drove on with other tyres: another compound, or a
   tyre life that does not go on counting. Drive-throughs, safety-car detours and retirements in
   the pits are none. Where a source knows no compound or no tyre life, every visit that the car
   drove on from counts.
2. A stop whose in-lap saw a red flag is free: it is listed, and left out of all that follows.
3. ``optimal_lap`` of the i-th stop is the median lap of the i-th stop among the cars of the
   session that made the same number of stops; null when fewer than three cars did.
4. ``degradation_penalty_score`` = Σ max(0, late_laps − 4) / 10 laps; null without a reference.

Scoring, with the field's stops O and the driver's A:

    d = mean |O_i − A_i|, the shorter list padded with its own last element
    S_raw = clamp(clamp(1 − d / sl) − 0.5 clamp(g));  the first term is 0.5 if O or A is empty
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import ENTRY, LAP, SESSION
from engine.v1.component import Component, clamp, per

RED_FLAG: Final = "5"
"""Track status code of a red flag."""

MIN_CARS_PER_STOP_COUNT: Final = 3
"""Cars on the same number of stops that make a reference; one or two are their own."""

LATE_TOLERANCE_LAPS: Final = 4.0
"""Laps a stop may come after the field's before worn tyres are held against it."""

LATE_SCALE_LAPS: Final = 10.0
"""Laps beyond the tolerance that make the full degradation penalty."""

DEGRADATION_SHARE: Final = 0.5
"""What the full degradation penalty takes from the score."""

NO_EVIDENCE: Final = 0.5
"""Score of a driver without stops, or without a field to compare them with."""


def is_tyre_change() -> pl.Expr:
    """Whether the tyres after the visit are other tyres; true where that is not known."""
    same_compound = pl.col("compound_before") == pl.col("compound_after")
    same_set = pl.col("next_tyre_life_laps") == pl.col("tyre_life_laps") + 1
    return ~(same_compound & same_set).fill_null(value=False)


def strategy_events(laps: pl.LazyFrame, pit_stops: pl.LazyFrame) -> pl.LazyFrame:
    """List every tyre change with the field's lap for it.

    Args:
        laps: `engine.tables.Laps`.
        pit_stops: `engine.tables.PitStops`.

    Returns:
        `engine.tables.StrategyEvents`: one row per tyre change.
    """
    tyre = laps.select(*LAP, "compound", "tyre_life_laps", "track_status")
    next_tyre = tyre.select(
        *ENTRY,
        lap_number=pl.col("lap_number") - 1,
        compound_after="compound",
        next_tyre_life_laps="tyre_life_laps",
    )
    stops = (
        pit_stops.select(*LAP)
        .join(tyre.rename({"compound": "compound_before"}), on=LAP, how="left")
        .join(next_tyre, on=LAP)
        .filter(is_tyre_change())
        .with_columns(
            stop_number=pl.col("lap_number").rank("ordinal").over(*ENTRY).cast(pl.Int16),
            is_under_red_flag=pl.col("track_status").str.contains(RED_FLAG).fill_null(value=False),
        )
    )
    return stops.join(_field_stops(stops), on=[*ENTRY, "stop_number"], how="left").select(
        *ENTRY,
        "stop_number",
        actual_lap="lap_number",
        optimal_lap="optimal_lap",
        late_laps=pl.col("lap_number") - pl.col("optimal_lap"),
        compound_before="compound_before",
        compound_after="compound_after",
        tyre_life_laps="tyre_life_laps",
        is_under_red_flag="is_under_red_flag",
    )


def _field_stops(stops: pl.LazyFrame) -> pl.LazyFrame:
    """Give each counted stop its `optimal_lap`: one row per entry and `stop_number`."""
    group = (*SESSION, "stop_count", "counted_number")
    return (
        stops.filter(~pl.col("is_under_red_flag"))
        .with_columns(
            stop_count=pl.len().over(*ENTRY),
            counted_number=pl.col("lap_number").rank("ordinal").over(*ENTRY),
        )
        .filter(pl.len().over(*group) >= MIN_CARS_PER_STOP_COUNT)
        .select(*ENTRY, "stop_number", optimal_lap=pl.col("lap_number").median().over(*group))
    )


def pit_laps(strategy_events: pl.LazyFrame) -> pl.LazyFrame:
    """Collect what scoring reads of the stops.

    Args:
        strategy_events: `engine.tables.StrategyEvents`.

    Returns:
        One row per driver with a stop that counts: `actual_pit_laps` and `optimal_pit_laps`
        (lists in stop order) and `degradation_penalty_score`.
    """
    excess = (pl.col("late_laps") - LATE_TOLERANCE_LAPS).clip(lower_bound=0.0)
    return (
        strategy_events.filter(~pl.col("is_under_red_flag"))
        .group_by(ENTRY)
        .agg(
            actual_pit_laps=pl.col("actual_lap").cast(pl.Float64).sort_by("stop_number"),
            optimal_pit_laps=pl.col("optimal_lap").sort_by("stop_number").drop_nulls(),
            degradation_penalty_score=pl.when(excess.is_not_null().any()).then(
                per(excess.sort_by("stop_number").sum(), LATE_SCALE_LAPS)
            ),
        )
    )


def _padded(laps: str, stops: pl.Expr) -> pl.Expr:
    """Lengthen a list of laps with its own last element; an empty one with nulls."""
    listed = pl.col(laps).list.gather(pl.int_ranges(0, stops), null_on_oob=True)
    return listed.list.eval(pl.element().forward_fill())


def evidence(driver_inputs: pl.LazyFrame, _overtakes: pl.LazyFrame) -> pl.LazyFrame:
    """Measure each driver's distance from the field's stops.

    Returns:
        The rows of `driver_inputs` with `stop_distance_laps` (null if either list is empty) and
        `degradation` (0..1, 0 when not known).
    """
    stops = pl.max_horizontal(
        pl.col("optimal_pit_laps").list.len(), pl.col("actual_pit_laps").list.len()
    )
    distance = _padded("optimal_pit_laps", stops) - _padded("actual_pit_laps", stops)
    return driver_inputs.with_columns(
        stop_distance_laps=distance.list.eval(pl.element().abs()).list.mean(),
        degradation=clamp(pl.col("degradation_penalty_score").fill_null(0.0)),
    )


def raw() -> pl.Expr:
    """Team strategy before normalisation, 0..1."""
    base = clamp(1.0 - pl.col("stop_distance_laps") / pl.col("strategy_lap_tolerance"))
    return clamp(base.fill_null(NO_EVIDENCE) - DEGRADATION_SHARE * pl.col("degradation"))


def has_evidence() -> pl.Expr:
    """Whether the driver stopped and a field stopped to compare with."""
    return pl.all_horizontal(
        pl.col(stops).list.len() > 0 for stops in ("optimal_pit_laps", "actual_pit_laps")
    )


OUTPUTS: Final[dict[str, pl.DataType]] = {
    "stop_distance_laps": pl.Float64(),
    "degradation": pl.Float64(),
}

TEAM_STRATEGY: Final = Component(
    "team_strategy_raw", "team_strategy_score", evidence, OUTPUTS, raw, has_evidence
)
