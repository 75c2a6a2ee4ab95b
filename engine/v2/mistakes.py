"""Penalty burden of model v2: what a driver's own mistakes cost, and what the stewards took.

    slow lap  a lap at racing speed, clear of traffic, slower than expected by more than
              max(4 σ, 1.2 %), σ being the race's robust spread; not one that four or more cars
              were slow on, nor one of the last two of a car that retired
    mistakes  ln(1 + Σ min(shortfall, 12 %)) over the slow laps, minus the race's median
    crash     1.5 if the retirement was an accident, a collision or a spin
    stewards  min(Σ seconds of penalties, 30) / 10
    penalties_raw = mistakes + crash + stewards

A lap number on which many are slow is no mistake of theirs: a safety car, where the status of the
track is not known, a yellow flag, rain. Nor is it one to drive a failing car to the pits.

Numbers are those of the profile that comes with the project. A penalty that a driver serves in the
pits counts by the seconds that `engine.v1.penalties` gives it.

What a source does not know is not held against anybody, and is told apart by the `has_…` flags:
without three clean laps there are no mistakes to see, without a reason of retirement no crash,
without race control no penalty. Each then adds nothing. From 2025 on the classification says
"Retired" for every reason. Source: the study of model v2, section 4.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import ENTRY, LAP, NO_START, SESSION
from engine.v2.clean_laps import is_green
from engine.v2.exact_sums import exact_sum

if TYPE_CHECKING:
    from engine.v2.calibration import MistakeConstants

CRASHES: Final = ("accident", "collision", "collision damage", "spun off", "fatal accident")
"""Reasons of retirement, in small letters, that are a crash, a collision or a spin."""

NO_REASONS: Final = ("retired", "not classified", "unknown", "")
"""What sources say of a retirement whose reason they do not know, in small letters."""

MIN_CLEAN_LAPS: Final = 3
"""Clean laps below which no expectation tells a slow lap."""

MIN_FIELD_CARS: Final = 4
"""Clean laps of the field on a lap number that make its level an expectation."""

MIN_MEDIAN_DRIVERS: Final = 4
"""Drivers whose mistakes are known that make a race's median."""

MAX_SLOW_CARS: Final = 3
"""Cars that may be slow on a lap number for it to be a mistake of each."""

FAILING_LAPS: Final = 2
"""Last laps of a car that retired, on which it may have been failing already."""

SLOW_LAPS_SCHEMA: Final = pl.Schema(
    {
        "session_id": pl.String(),
        "driver_id": pl.String(),
        "lap_number": pl.Int16(),
        "shortfall_pct": pl.Float64(),
        "loss_pct": pl.Float64(),
    }
)
"""One row per isolated slow lap: how much slower than expected, and how much of that counts."""


def slow_laps(
    lap_fit: pl.LazyFrame, entries: pl.LazyFrame, constants: MistakeConstants
) -> pl.LazyFrame:
    """Find laps lost to a mistake.

    Args:
        lap_fit: `engine.v2.pace.pace_fit` of any number of sessions.
        entries: `engine.tables.Entries` of the same sessions: who retired.
        constants: limits.

    Returns:
        `SLOW_LAPS_SCHEMA`; never lap 1, an in- or out-lap or a neutralized one.
    """
    limit = pl.max_horizontal(
        constants.slow_spreads * pl.col("spread_pct"), pl.lit(constants.slow_min_pct)
    )
    retired = entries.filter(pl.col("status").cast(pl.String) == "retired").select(ENTRY)
    failing = (
        lap_fit.join(retired, on=ENTRY, how="semi")
        .group_by(ENTRY)
        .agg(failing_lap=pl.col("lap_number").max() - (FAILING_LAPS - 1))
    )
    is_clear = pl.col("gap_ahead_s").is_null() | (pl.col("gap_ahead_s") > constants.clear_gap_s)
    return (
        lap_fit.filter(is_green() & is_clear & (pl.col("field_cars") >= MIN_FIELD_CARS))
        .filter(pl.col("shortfall_pct") > limit)
        .filter(pl.len().over(*SESSION, "lap_number") <= MAX_SLOW_CARS)
        .join(failing, on=ENTRY, how="left")
        .filter((pl.col("lap_number") < pl.col("failing_lap")).fill_null(value=True))
        .select(
            *LAP,
            "shortfall_pct",
            loss_pct=pl.col("shortfall_pct").clip(upper_bound=constants.slow_max_pct),
        )
    )


def is_crash() -> pl.Expr:
    """Whether a retirement was a crash; null where its reason is not known.

    Expression over `engine.tables.Entries`; false for whoever did not retire.
    """
    reason = pl.col("status_text").str.to_lowercase().str.strip_chars()
    retired = pl.col("status").cast(pl.String) == "retired"
    is_unknown = reason.is_null() | reason.is_in(NO_REASONS)
    is_silent = pl.col("status").cast(pl.String) == "unknown"
    return (
        pl.when(is_silent | (retired & is_unknown))
        .then(None)
        .otherwise(retired & reason.is_in(CRASHES).fill_null(value=False))
    )


def penalty_burden(
    entries: pl.LazyFrame,
    entry_fit: pl.LazyFrame,
    slow_laps: pl.LazyFrame,
    penalty_events: pl.LazyFrame,
    race_control: pl.LazyFrame,
    *,
    constants: MistakeConstants,
) -> pl.LazyFrame:
    """Weigh each driver's mistakes and penalties.

    Args:
        entries: `engine.tables.Entries`.
        entry_fit: `engine.v2.pace.entry_pace` of the same sessions: `clean_laps`.
        slow_laps: what `slow_laps` gave for them.
        penalty_events: `engine.tables.PenaltyEvents` of them.
        race_control: rows of `engine.tables.RaceControl` of them; only tells where it is known.
        constants: weights.

    Returns:
        One row per entry that took part: the key, `slow_laps`, `mistake_loss_pct` (Σ of losses)
        and `mistake_burden`, null below three clean laps; `is_crash`, null where not known;
        `penalty_s`, null without race control; `penalties_raw`; `has_mistake_evidence`,
        `has_retirement_reason`, `has_race_control`; and `has_penalty_evidence`, whether any of
        the three is known. `penalties_raw` is null where none is.
    """
    lost = slow_laps.group_by(ENTRY).agg(
        slow_laps=pl.len().cast(pl.Int32), mistake_loss_pct=exact_sum(pl.col("loss_pct"))
    )
    took = penalty_events.group_by(ENTRY).agg(penalty_s=exact_sum(pl.col("time_loss_s")))
    known = race_control.select(SESSION).unique().with_columns(has_race_control=pl.lit(value=True))
    has_laps = pl.col("clean_laps").fill_null(0) >= MIN_CLEAN_LAPS
    return (
        entries.filter(~pl.col("status").is_in(NO_START))
        .select(*ENTRY, is_crash=is_crash())
        .join(entry_fit.select(*ENTRY, "clean_laps"), on=ENTRY, how="left")
        .join(lost, on=ENTRY, how="left")
        .join(took, on=ENTRY, how="left")
        .join(known, on=SESSION, how="left")
        .with_columns(
            pl.when(has_laps).then(pl.col("slow_laps", "mistake_loss_pct").fill_null(0)),
            pl.col("has_race_control").fill_null(value=False),
            has_mistake_evidence=has_laps,
            has_retirement_reason=pl.col("is_crash").is_not_null(),
        )
        .with_columns(
            mistake_burden=_against_the_race(pl.col("mistake_loss_pct").log1p()),
            penalty_s=pl.when("has_race_control").then(pl.col("penalty_s").fill_null(0.0)),
            has_penalty_evidence=pl.any_horizontal(
                "has_mistake_evidence", "has_retirement_reason", "has_race_control"
            ),
        )
        .with_columns(penalties_raw=pl.when("has_penalty_evidence").then(_burden(constants)))
        .drop("clean_laps")
    )


def _against_the_race(burden: pl.Expr) -> pl.Expr:
    """Subtract the race's median, where enough drivers make one."""
    median = burden.median().over(SESSION)
    is_enough = burden.count().over(SESSION) >= MIN_MEDIAN_DRIVERS
    return burden - pl.when(is_enough).then(median).otherwise(0.0)


def _burden(constants: MistakeConstants) -> pl.Expr:
    """Sum of the three parts; an unknown one adds nothing."""
    stewards = pl.col("penalty_s").clip(upper_bound=constants.max_penalty_s)
    return (
        pl.col("mistake_burden").fill_null(0.0)
        + constants.crash_burden * pl.col("is_crash").fill_null(value=False).cast(pl.Float64)
        + stewards.fill_null(0.0) * (1.0 / constants.seconds_per_burden)
    )
