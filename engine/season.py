"""A season's standing: what the grades of its races come to, by driver and by team.

    counts     completed_laps ≥ ¼ · completed_laps of the winner
    mean x     = Σ x / n over the driver-races that count and have x
    sum x      = Σ x     over all driver-races that have x
    rank       by the mean total, best first, of those with half of the season's graded races

Source: model v1's season aggregation, mended where two laps weighed as much as a full race. Model
v1's own figures come out with `min_distance_share=0` on what `engine.v1.grade.grade` gives (it has
no nulls): sums and means of every driver-race, to be ordered by `total_grade_mean`.

Races and sprints have standings of their own: a sprint is a third of the distance without stops.
"""

from __future__ import annotations

from typing import Final

import dataframely as dy
import polars as pl

from engine.tables import ENTRY, ID_PATTERN, SESSION_KINDS, SLUG_PATTERN

MIN_DISTANCE_SHARE: Final = 0.25
"""Share of the winner's laps from which a driver-race counts in means.

A quarter is a step of the sport's own points for shortened races, and about one stint. Below it
consistency scatters nearly twice as much as over the whole distance (standard deviation 0.23
against 0.12 in 1996–2023), and the total is lower for want of laps on which to pass; one
driver-race in twenty falls below. The measure is the winner's distance, so a race that was cut
short counts in full for those who finished it.
"""

MIN_RANKED_SHARE: Final = 0.5
"""Share of the season's graded races that must count for a rank.

A mean over fewer is a mean over other circuits and weather than that of those it is compared with.
"""

RANK_DECIMALS: Final = 9
"""Decimals of the mean that decide on a rank: equal means share one, however they were summed."""

SERIES: Final = ("season", "session_kind", "profile_name", "model_version")
"""What a standing is of; races of different series are never added up."""

SUMMED: Final = ("total_grade", "on_track_events", "pit_cycle_events")
"""Columns of a grade that are summed over a season; events are counted as far as known."""

AVERAGED: Final = (
    "total_grade",
    "consistency_score",
    "team_strategy_score",
    "racecraft_score",
    "penalty_score",
    "on_track_events",
    "pit_cycle_events",
)
"""Columns of a grade that are averaged over the driver-races that count."""


def _count(description: str) -> dy.Int32:
    return dy.Int32(min=0, description=description)


def _mean(of: str, low: float = 0.0, high: float = 1.0) -> dy.Float64:
    return dy.Float64(nullable=True, min=low, max=high, description=f"mean {of}")


class Standings(dy.Schema):
    """Columns that both standings share; a driver-race is one driver in one race or sprint.

    A mean is null if no driver-race that counts has the value, a sum if none at all has it.
    """

    season = dy.Int16(primary_key=True, min=1950, max=2100, description="championship year")
    session_kind = dy.Enum(SESSION_KINDS, primary_key=True, description="races or sprints")
    profile_name = dy.String(
        primary_key=True, regex=SLUG_PATTERN, description="calibration profile"
    )
    model_version = dy.String(primary_key=True, regex=SLUG_PATTERN, description="grading model")
    profile_version = dy.Int32(
        nullable=True, min=1, description="version of the profile; null if there are several"
    )
    rank = dy.Int32(
        nullable=True, min=1, description="place by mean total; null with too few races that count"
    )
    races_entered = _count("driver-races entered, started or not")
    races_graded = _count("driver-races with a total")
    races_counted = _count("driver-races with a total and enough distance for the means")
    points = dy.Float64(nullable=True, min=0.0, description="championship points of the sessions")
    total_grade_sum = dy.Float64(nullable=True, description="sum of all totals")
    total_grade_mean = _mean("total", low=-0.1)
    total_grade_best = _mean("of one: the best total that counts", low=-0.1)
    total_grade_worst = _mean("of one: the worst total that counts", low=-0.1)
    consistency_score_mean = _mean("consistency")
    team_strategy_score_mean = _mean("team strategy")
    racecraft_score_mean = _mean("racecraft")
    penalty_score_mean = _mean("penalty burden")
    on_track_events_sum = dy.Int32(nullable=True, min=0, description="overtakes on track")
    on_track_events_mean = _mean("number of overtakes on track", high=1e6)
    pit_cycle_events_sum = dy.Int32(
        nullable=True, min=0, description="places gained in any other way"
    )
    pit_cycle_events_mean = _mean("number of places gained in any other way", high=1e6)


class DriverStandings(Standings):
    """One row per driver, season, kind of session, profile and model."""

    driver_id = dy.String(
        primary_key=True, regex=ID_PATTERN, description="Jolpica's stable id of the driver"
    )


class TeamStandings(Standings):
    """One row per team; every driver-race counts for the team of that day's entry."""

    team_id = dy.String(
        primary_key=True, regex=ID_PATTERN, description="Jolpica's stable id of the constructor"
    )


def driver_standings(
    metrics: pl.LazyFrame,
    entries: pl.LazyFrame,
    sessions: pl.LazyFrame,
    min_distance_share: float = MIN_DISTANCE_SHARE,
) -> pl.LazyFrame:
    """Aggregate grades by driver, over any seasons, profiles and models at once.

    Args:
        metrics: `engine.tables.DriverMetrics`, or `Grades`; of drivers with an entry.
        entries: `engine.tables.Entries` of the same sessions.
        sessions: `engine.tables.Sessions` of the same sessions.
        min_distance_share: share of the winner's laps from which a driver-race counts. It also
            counts if either distance is unknown: a null is no sign of an early end.

    Returns:
        `DriverStandings`, unordered: everyone entered in a season that has grades. Those who
        were never graded have counts of 0 and nulls.
    """
    return _standings(metrics, entries, sessions, "driver_id", min_distance_share).select(
        DriverStandings.column_names()
    )


def team_standings(
    metrics: pl.LazyFrame,
    entries: pl.LazyFrame,
    sessions: pl.LazyFrame,
    min_distance_share: float = MIN_DISTANCE_SHARE,
) -> pl.LazyFrame:
    """Aggregate grades by team: as `driver_standings`.

    Two cars in a race are two driver-races; for the rank such a race is one.

    Returns:
        `TeamStandings`, unordered.
    """
    return _standings(metrics, entries, sessions, "team_id", min_distance_share).select(
        TeamStandings.column_names()
    )


def _standings(
    metrics: pl.LazyFrame,
    entries: pl.LazyFrame,
    sessions: pl.LazyFrame,
    subject: str,
    min_distance_share: float,
) -> pl.LazyFrame:
    """Aggregate by `subject`, a column of entries; what no profile changes comes first."""
    held = ("season", "session_kind")
    runs = _runs(entries, sessions, min_distance_share)
    entered = runs.group_by(*held, subject).agg(
        races_entered=pl.len().cast(pl.Int32), points=_sum("points")
    )
    graded = metrics.join(runs, on=ENTRY)
    series = graded.group_by(SERIES).agg(
        _sessions_graded=_sessions(pl.col("total_grade").is_not_null())
    )
    return (
        entered.join(series, on=held)
        .join(graded.group_by(*SERIES, subject).agg(*_figures()), on=[*SERIES, subject], how="left")
        .with_columns(
            pl.col("races_graded", "races_counted", "_sessions_counted").fill_null(0),
        )
        .with_columns(rank=_rank())
    )


def _runs(entries: pl.LazyFrame, sessions: pl.LazyFrame, min_distance_share: float) -> pl.LazyFrame:
    """Say of every entry which season it is of and whether it went far enough to count."""
    winner = (
        entries.filter(pl.col("position") == 1)
        .group_by("session_id")
        .agg(_winner_laps=pl.col("completed_laps").max())
    )
    far = pl.col("completed_laps") >= min_distance_share * pl.col("_winner_laps")
    return (
        entries.join(sessions.select("session_id", "season", "session_kind"), on="session_id")
        .join(winner, on="session_id", how="left")
        .select(
            *ENTRY, "team_id", "season", "session_kind", "points", _far=far.fill_null(value=True)
        )
    )


def _figures() -> list[pl.Expr]:
    """Figures of one standing's row, over its graded driver-races."""
    total, version = pl.col("total_grade"), pl.col("profile_version")
    counts = pl.col("_far") & total.is_not_null()
    counted = total.filter("_far")
    return [
        pl.when(version.n_unique() == 1).then(version.first()).alias("profile_version"),
        total.count().cast(pl.Int32).alias("races_graded"),
        counts.sum().cast(pl.Int32).alias("races_counted"),
        _sessions(counts).alias("_sessions_counted"),
        *(_sum(name).alias(f"{name}_sum") for name in SUMMED),
        *(_mean_of(name).alias(f"{name}_mean") for name in AVERAGED),
        counted.max().alias("total_grade_best"),
        counted.min().alias("total_grade_worst"),
    ]


def _sessions(which: pl.Expr) -> pl.Expr:
    return pl.col("session_id").filter(which).n_unique().cast(pl.Int32)


def _sum(name: str) -> pl.Expr:
    """Sum what is known, null if nothing is."""
    known = pl.col(name).is_not_null()
    return pl.when(known.any()).then(_in_order(name, known).sum())


def _mean_of(name: str) -> pl.Expr:
    """Average what counts and is known."""
    return _in_order(name, pl.col("_far")).mean()


def _in_order(name: str, which: pl.Expr) -> pl.Expr:
    """Take values in order of key, so that sums do not show in which order rows came.

    The filter comes first: Polars leaves out a sort of whole columns before a sum.
    """
    return pl.col(name).filter(which).sort_by([pl.col(key).filter(which) for key in ENTRY])


def _rank() -> pl.Expr:
    """Place by mean total within the series; equals share a place, the next one is left out."""
    enough = pl.col("_sessions_counted") >= MIN_RANKED_SHARE * pl.col("_sessions_graded")
    mean = pl.when(enough).then(pl.col("total_grade_mean").round(RANK_DECIMALS))
    return mean.rank("min", descending=True).over(SERIES).cast(pl.Int32)
