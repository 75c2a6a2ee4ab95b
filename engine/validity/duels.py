"""Duels: two team-mates in one Grand Prix, the one comparison in which the car is the same.

Three outcomes, each won by one of the two or not there:

    pace         who is faster by the median gap over the laps clean for both, ten at least
    finish       who is ahead, if both are classified
    qualifying   who is placed better, if both set a time and took the start

A metric predicts a duel from what was known before the race: of a grade, the mean of the driver's
last grades (`recent_mean`); of a state, such as a rating, its value before the race. The set of
duels is the same for every metric: both drivers were entered in three earlier races. Sprints are
left out.

The frames are small, a few thousand rows: they are taken and given in memory.
"""

from __future__ import annotations

from typing import Final, Literal

import polars as pl

from engine.tables import ENTRY, NO_START, SESSION

OUTCOMES: Final = ("pace", "finish", "qualifying")

PAIR: Final = ("session_id", "driver_id", "mate_id")
"""Key of two team-mates in a race; `driver_id` is the earlier in the alphabet."""

PAIR_SEASON: Final = ("season", "driver_id", "mate_id")
"""Key of two team-mates in a season: what intervals are drawn over."""

MIN_COMMON_LAPS: Final = 10
"""Laps clean for both that an outcome of pace needs."""

MIN_EARLIER_RACES: Final = 3
"""Races either driver must have been entered in before a duel counts."""

MIN_GRADES: Final = 3
"""Earlier grades below which a driver has no recent mean."""


def grands_prix(sessions: pl.DataFrame) -> pl.DataFrame:
    """Number the Grands Prix in the order they were held.

    Args:
        sessions: `engine.tables.Sessions`; sprints are left out.

    Returns:
        One row per Grand Prix: `session_id`, `season`, `round`, and `race_number`, 1 for the first.
    """
    return (
        sessions.filter(pl.col("session_kind") == "race")
        .select("session_id", "season", "round")
        .sort("season", "round")
        .with_row_index("race_number", offset=1)
        .with_columns(pl.col("race_number").cast(pl.Int32))
    )


def team_mates(entries: pl.DataFrame, races: pl.DataFrame) -> pl.DataFrame:
    """Pair the team-mates of every Grand Prix.

    Args:
        entries: `engine.tables.Entries`.
        races: what `grands_prix` gave.

    Returns:
        One row per pair and race: `PAIR`, `team_id`, the columns of `races`, and `is_eligible`:
        both were entered in `MIN_EARLIER_RACES` earlier ones.
    """
    earlier = pl.int_range(pl.len()).over("driver_id", order_by="race_number")
    entered = entries.join(races, on=SESSION).with_columns(earlier_races=earlier)
    other = entered.select(
        *SESSION, "team_id", mate_id="driver_id", mate_earlier_races="earlier_races"
    )
    is_eligible = pl.min_horizontal("earlier_races", "mate_earlier_races") >= MIN_EARLIER_RACES
    return (
        entered.join(other, on=[*SESSION, "team_id"])
        .filter(pl.col("driver_id") < pl.col("mate_id"))
        .select(*PAIR, "team_id", *races.drop(*SESSION).columns, is_eligible=is_eligible)
        .sort("race_number", "driver_id", "mate_id")
    )


def lap_gaps(pairs: pl.DataFrame, clean_laps: pl.DataFrame) -> pl.DataFrame:
    """Measure team-mates on the laps that were clean for both.

    Args:
        pairs: what `team_mates` gave.
        clean_laps: laps at racing speed: the key and `lap_time_ms`.

    Returns:
        One row per pair with such laps: `PAIR`, `common_laps`, and `lap_gap_pct`, the median of
        100 · ln(own time / mate's) on the same lap number; negative is faster than the mate.
    """
    own = pairs.select(PAIR).join(clean_laps, on=ENTRY)
    of_mate = clean_laps.select(
        *SESSION, "lap_number", mate_id="driver_id", mate_time_ms="lap_time_ms"
    )
    return (
        own.join(of_mate, on=[*SESSION, "mate_id", "lap_number"])
        .group_by(PAIR)
        .agg(common_laps=pl.len(), lap_gap_pct=_gap_pct("lap_time_ms", "mate_time_ms").median())
        .sort(PAIR)
    )


def qualifying_gaps(pairs: pl.DataFrame, qualifying: pl.DataFrame) -> pl.DataFrame:
    """Measure team-mates in the last part of qualifying that both set a time in.

    Args:
        pairs: what `team_mates` gave.
        qualifying: one row per driver and race: `position`, `q1_ms`, `q2_ms`, `q3_ms`.

    Returns:
        One row per pair with such a part: `PAIR` and `qualifying_gap_pct`, 100 · ln(own / mate's).
    """
    parts = ("q3_ms", "q2_ms", "q1_ms")
    gap = pl.coalesce(_gap_pct(part, f"mate_{part}") for part in parts)
    return (
        _beside(pairs.select(PAIR), qualifying.select(*ENTRY, *parts))
        .select(*PAIR, qualifying_gap_pct=gap)
        .drop_nulls()
    )


def duels(
    pairs: pl.DataFrame, entries: pl.DataFrame, qualifying: pl.DataFrame, gaps: pl.DataFrame
) -> pl.DataFrame:
    """Decide the duels, also those that do not count (`is_eligible`).

    Args:
        pairs: what `team_mates` gave.
        entries: `engine.tables.Entries`.
        qualifying: as in `qualifying_gaps`.
        gaps: what `lap_gaps` gave.

    Returns:
        One row per pair, race and `outcome`: the columns of `pairs` and `is_won`: whether
        `driver_id` beat `mate_id`. Equal gaps decide nothing and have no row.
    """
    results = entries.select(
        *ENTRY,
        "is_classified",
        finish="position",
        is_starter=~pl.col("status").is_in(NO_START),
    )
    placed = qualifying.select(*ENTRY, "q1_ms", place="position")
    joined = _beside(_beside(pairs, results, how="left"), placed, how="left").join(
        gaps, on=PAIR, how="left"
    )
    both_started = pl.col("is_starter") & pl.col("mate_is_starter")
    both_timed = pl.col("q1_ms").is_not_null() & pl.col("mate_q1_ms").is_not_null()
    is_long_enough = pl.col("common_laps") >= MIN_COMMON_LAPS
    margin = {
        "pace": pl.when(is_long_enough).then(pl.col("lap_gap_pct")),
        "finish": pl.when(pl.col("is_classified") & pl.col("mate_is_classified")).then(
            pl.col("finish") - pl.col("mate_finish")
        ),
        "qualifying": pl.when(both_started & both_timed).then(
            pl.col("place") - pl.col("mate_place")
        ),
    }
    return (
        joined.with_columns(margin[name].cast(pl.Float64).alias(name) for name in OUTCOMES)
        .unpivot(OUTCOMES, index=pairs.columns, variable_name="outcome", value_name="margin")
        .filter(pl.col("margin") != 0)
        .select(*pairs.columns, "outcome", is_won=pl.col("margin") < 0)
        .sort("outcome", "race_number", "driver_id", "mate_id")
    )


def recent_mean(
    values: pl.DataFrame, entries: pl.DataFrame, races: pl.DataFrame, window_races: int
) -> pl.DataFrame:
    """Give what a grade had said of every driver before each race.

    Args:
        values: a metric: `session_id`, `driver_id`, `value`, null where there is none.
        entries: `engine.tables.Entries`.
        races: what `grands_prix` gave.
        window_races: how many of the driver's last grades are averaged, for any team.

    Returns:
        One row per entry: the key and `value`, null below `MIN_GRADES` earlier grades.
    """
    graded = (
        values.join(races, on=SESSION)
        .filter(pl.col("value").is_not_null())
        .select(
            *ENTRY,
            mean=pl.col("value")
            .rolling_mean(window_races, min_samples=MIN_GRADES)
            .over("driver_id", order_by="race_number"),
        )
    )
    before = pl.col("mean").forward_fill().shift(1).over("driver_id", order_by="race_number")
    return (
        entries.select(ENTRY)
        .join(races, on=SESSION)
        .join(graded, on=ENTRY, how="left")
        .select(*ENTRY, value=before)
    )


def both_ways(gaps: pl.DataFrame, gap: pl.Expr) -> pl.DataFrame:
    """Turn gaps of pairs into a metric of drivers, higher is better.

    Args:
        gaps: one row per pair: `PAIR` and what `gap` needs.
        gap: how far behind the mate the driver was.

    Returns:
        One row per driver and race: the key and `value`, the mean over his mates if he had several.
    """
    return (
        pl.concat(
            [
                gaps.select(*ENTRY, value=-gap),
                gaps.select(*SESSION, driver_id="mate_id", value=gap),
            ]
        )
        .group_by(ENTRY)
        .agg(pl.col("value").mean())
        .sort(ENTRY)
    )


def differences(pairs: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """Subtract the mate's value from the driver's.

    Returns:
        One row per pair: the columns of `pairs` and `difference`, null if either has no value.
    """
    return _beside(pairs, values.select(*ENTRY, "value"), how="left").select(
        *pairs.columns, difference=pl.col("value") - pl.col("mate_value")
    )


def _beside(
    pairs: pl.DataFrame, rows: pl.DataFrame, how: Literal["inner", "left"] = "inner"
) -> pl.DataFrame:
    """Add what is known of both drivers of a pair, the mate's columns under `mate_…`."""
    of_mate = rows.rename({name: f"mate_{name}" for name in rows.columns if name not in ENTRY})
    return pairs.join(rows, on=ENTRY, how=how).join(
        of_mate.rename({"driver_id": "mate_id"}), on=[*SESSION, "mate_id"], how=how
    )


def _gap_pct(own: str, of_mate: str) -> pl.Expr:
    """100 · ln of two times; null if either is."""
    return 100.0 * (pl.col(own) / pl.col(of_mate)).log()
