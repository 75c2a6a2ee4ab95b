"""Clean laps: which laps show what car and driver can do, and why the others do not.

1. The field's lap is the 20th percentile of the lap times on a lap number, without lap 1, in- and
   out-laps. The level there is the 25th percentile of the field's laps within 12 laps of it.
2. A lap is refused for the first reason that holds: it is untimed (or made up by the source), the
   first, an in- or out-lap, neutralized (safety car, virtual or red flag, where track status is
   known), of a slow field (whose lap is more than 6 % above the level: it finds the safety car
   where track status is not known, and rain), or off the pace (more than 7 % above the level).
3. Tyre age is the source's, else laps since the last stop, the first of them 1.
4. The gap ahead is counted at the line where the lap begins, to the last car that crossed it, on
   whichever lap that was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from engine.tables import LAP, SESSION

REFUSALS: Final = (
    "untimed",
    "first_lap",
    "in_lap",
    "out_lap",
    "neutralized",
    "slow_field",
    "off_pace",
)
"""Reasons to leave a lap out, in the order in which they are asked."""

NOT_RACING: Final = "[4567]"
"""Track status codes of safety car, red flag and virtual safety car."""

MS_PER_S: Final = 1000.0


@dataclass(frozen=True)
class CleanLapConstants:
    """Constants of the choice of clean laps.

    Attributes:
        field_quantile: share of the field's lap times below "the field's lap".
        level_quantile: share of the field's laps around a lap number below the level there.
        level_laps: laps on either side that count as around.
        slow_field_limit: the field's lap over the level, above which the field is not racing.
        off_pace_limit: a lap time over the level, above which a car is not.
        traffic_gap_s: gap ahead, in s, below which a lap begins in traffic.
    """

    field_quantile: float = 0.2
    level_quantile: float = 0.25
    level_laps: int = 12
    slow_field_limit: float = 1.06
    off_pace_limit: float = 1.07
    traffic_gap_s: float = 1.5


def is_clean() -> pl.Expr:
    """Whether nothing speaks against the lap."""
    return pl.col("refused_for").is_null()


def is_green() -> pl.Expr:
    """Whether the lap was driven at racing speed by the field, if not by the car."""
    return is_clean() | (pl.col("refused_for") == "off_pace")


def clean_laps(laps: pl.LazyFrame, constants: CleanLapConstants | None = None) -> pl.LazyFrame:
    """Say of every lap whether it is clean, how old its tyres were and who was ahead.

    Args:
        laps: `engine.tables.Laps`, any number of sessions, any order.
        constants: the defaults if None.

    Returns:
        One row per lap, sorted by session, driver and lap number: the key, `lap_time_ms` (null
        where it does not count as timed), `compound`, `stint_number` (by stops, 1 is the first),
        `tyre_age_laps` (1 is the first lap), `gap_ahead_s` (s, null where a clock is missing or
        the lap before is), `is_in_traffic`, `level_ms` (null on a lap number without a field) and
        `refused_for` (null for a clean lap, else one of `REFUSALS`).
    """
    used = constants or CleanLapConstants()
    is_timed = ~pl.col("is_generated").fill_null(value=False)
    known = laps.select(
        *LAP,
        "compound",
        "tyre_life_laps",
        "position",
        "lap_end_ms",
        lap_time_ms=pl.when(is_timed).then("lap_time_ms"),
        is_in_lap=pl.col("is_in_lap").fill_null(value=False),
        is_out_lap=pl.col("is_out_lap").fill_null(value=False),
        is_neutral=pl.col("track_status").str.contains(NOT_RACING).fill_null(value=False),
    )
    return (
        _with_stints(keyed(known))
        .with_columns(crossing_gap_s=_crossing_gap_s())
        .with_columns(gap_ahead_s=of_lap_before("crossing_gap_s"))
        .join(_levels(known, used), on=[*SESSION, "lap_number"], how="left", maintain_order="left")
        .select(
            *LAP,
            "lap_time_ms",
            "compound",
            "stint_number",
            "tyre_age_laps",
            "gap_ahead_s",
            is_in_traffic=(pl.col("gap_ahead_s") < used.traffic_gap_s).fill_null(value=False),
            level_ms="level_ms",
            refused_for=_refusal(used),
        )
    )


def keyed(laps: pl.LazyFrame) -> pl.LazyFrame:
    """Sort rows by `LAP` and number sessions and entries: `session_key`, `entry_key`, from 1.

    One integer stands for two strings wherever rows are grouped.
    """
    is_new_session = pl.col("session_id").ne_missing(pl.col("session_id").shift(1))
    is_new_entry = is_new_session | pl.col("driver_id").ne_missing(pl.col("driver_id").shift(1))
    return laps.sort(LAP).with_columns(
        session_key=is_new_session.cast(pl.Int32).cum_sum().set_sorted(),
        entry_key=is_new_entry.cast(pl.Int32).cum_sum().set_sorted(),
    )


def of_lap_before(column: str) -> pl.Expr:
    """The value of the driver's lap just before; null where that lap has no row."""
    follows = pl.col("lap_number").shift(1) == pl.col("lap_number") - 1
    is_same = pl.col("entry_key").shift(1) == pl.col("entry_key")
    return pl.when(follows & is_same).then(pl.col(column).shift(1))


def _with_stints(laps: pl.LazyFrame) -> pl.LazyFrame:
    """Count stints by stops, and laps within them; rows must be `keyed`."""
    is_first = pl.col("entry_key").ne_missing(pl.col("entry_key").shift(1))
    begins = is_first | pl.col("is_out_lap") | of_lap_before("is_in_lap").fill_null(value=False)
    stints = begins.cast(pl.Int32).cum_sum()
    earlier_stints = pl.when(is_first).then(stints - 1).forward_fill()
    laps_run = pl.col("lap_number") - pl.when(begins).then("lap_number").forward_fill() + 1
    return laps.with_columns(
        stint_number=stints - earlier_stints,
        tyre_age_laps=pl.coalesce("tyre_life_laps", laps_run).cast(pl.Int32),
    )


def _crossing_gap_s() -> pl.Expr:
    """Seconds, at the end of the lap, to the last car that crossed the line before.

    Of two cars on the same ms, the one with the better position was ahead.
    """
    gap_ms = pl.col("lap_end_ms").diff().over("session_key", order_by=["lap_end_ms", "position"])
    return gap_ms * (1.0 / MS_PER_S)


def _levels(laps: pl.LazyFrame, used: CleanLapConstants) -> pl.LazyFrame:
    """The field's lap and the level: one row per session and lap number with a field."""
    reach = 2 * used.level_laps + 1
    level = pl.col("field_lap_ms").rolling_quantile(
        used.level_quantile, interpolation="linear", window_size=reach, min_samples=1, center=True
    )
    is_candidate = (pl.col("lap_number") > 1) & ~pl.col("is_in_lap") & ~pl.col("is_out_lap")
    return (
        laps.filter(is_candidate & pl.col("lap_time_ms").is_not_null())
        .group_by(*SESSION, "lap_number")
        .agg(field_lap_ms=pl.col("lap_time_ms").quantile(used.field_quantile, "nearest"))
        .with_columns(level_ms=level.over(*SESSION, order_by="lap_number"))
    )


def _refusal(used: CleanLapConstants) -> pl.Expr:
    """Name the first reason to leave the lap out; null if there is none."""
    level = pl.col("level_ms")
    reasons = {
        "untimed": pl.col("lap_time_ms").is_null(),
        "first_lap": pl.col("lap_number") == 1,
        "in_lap": pl.col("is_in_lap"),
        "out_lap": pl.col("is_out_lap"),
        "neutralized": pl.col("is_neutral"),
        "slow_field": pl.col("field_lap_ms") > used.slow_field_limit * level,
        "off_pace": pl.col("lap_time_ms") > used.off_pace_limit * level,
    }
    refusals = pl.Enum(REFUSALS)
    return pl.coalesce(
        pl.when(holds).then(pl.lit(reason, dtype=refusals)) for reason, holds in reasons.items()
    )
