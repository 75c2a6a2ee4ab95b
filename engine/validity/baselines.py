"""Baselines: what anybody could grade drivers by, for a grade to be measured against.

Of a race (a grade, averaged over the last races before it predicts):

    finishing position     − place in the official order
    points                 25-18-15-12-10-8-6-4-2-1 by that place, in every season
    grid                   − place on the grid; from the pit lane, behind the last
    team-mate lap gap      − median gap on the laps clean for both, five at least, in %
    team-mate qualifying   − gap in the last part both set a time in, at most 2 % either way
    random                 a number that says nothing

Before a race (a state, used as it is): Elo on each outcome of the duels,

    R_i += K (won − 1 / (1 + exp(R_j − R_i))),   R = 0 for a new driver

with K fitted on the seasons up to 2014 (`ELO_STEPS`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from engine.tables import ENTRY, SESSION
from engine.validity.duels import PAIR, both_ways, qualifying_gaps

if TYPE_CHECKING:
    from collections.abc import Mapping

POINTS: Final = (25.0, 18.0, 15.0, 12.0, 10.0, 8.0, 6.0, 4.0, 2.0, 1.0)
"""For the first ten places; the scale of today, so that seasons compare."""

MIN_GAP_LAPS: Final = 5
"""Laps clean for both that a team-mate gap needs, as many as a driver's own pace."""

LARGEST_QUALIFYING_GAP_PCT: Final = 2.0
"""A larger gap in qualifying is a mishap, and counts as this much."""

ELO_STEPS: Final[Mapping[str, float]] = {"pace": 0.2, "finish": 0.3, "qualifying": 0.3}
"""K by outcome: the best of 0.05, 0.1, 0.15, 0.2, 0.3 and 0.4 by log loss on that outcome up to
2014."""

SEED: Final = 1950
"""Of the random metric."""


def results(entries: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Grade by what the official classification says.

    Args:
        entries: `engine.tables.Entries`.

    Returns:
        Name → `session_id`, `driver_id`, `value`: higher is better, null where unknown.
    """
    points = pl.col("position").replace_strict(
        dict(enumerate(POINTS, start=1)),
        default=pl.when(pl.col("position").is_not_null()).then(0.0),
        return_dtype=pl.Float64,
    )
    grid = pl.col("grid_position").fill_null(pl.len().over(*SESSION).cast(pl.Int16))
    in_order = entries.sort(ENTRY)
    noise = np.random.default_rng(SEED).random(in_order.height)
    return {
        "finishing position": _metric(entries, -pl.col("position")),
        "points": _metric(entries, points),
        "grid": _metric(entries, -grid),
        "random": in_order.select(*ENTRY, value=pl.Series(noise)),
    }


def mate_gaps(
    pairs: pl.DataFrame, qualifying: pl.DataFrame, gaps: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Grade by the gap to the team-mate.

    Args:
        pairs: what `engine.validity.duels.team_mates` gave.
        qualifying: as in `engine.validity.duels.qualifying_gaps`.
        gaps: what `engine.validity.duels.lap_gaps` gave.

    Returns:
        As `results`; in %, positive is faster than the team-mate.
    """
    most = LARGEST_QUALIFYING_GAP_PCT
    long_enough = gaps.filter(pl.col("common_laps") >= MIN_GAP_LAPS)
    return {
        "team-mate lap gap": both_ways(long_enough, pl.col("lap_gap_pct")),
        "team-mate qualifying gap": both_ways(
            qualifying_gaps(pairs, qualifying), pl.col("qualifying_gap_pct").clip(-most, most)
        ),
    }


def elo(
    duels: pl.DataFrame, entries: pl.DataFrame, races: pl.DataFrame, step: float
) -> pl.DataFrame:
    """Rate drivers by the duels of one outcome, in the order of the races.

    Args:
        duels: rows of one outcome: `PAIR`, `race_number` and `is_won`; also those that are not
            eligible for prediction.
        entries: `engine.tables.Entries`.
        races: what `engine.validity.duels.grands_prix` gave.
        step: K, in log-odds.

    Returns:
        One row per entry: the key and `value`, the rating in log-odds before the race.
    """
    entered = entries.select(ENTRY).join(races, on=SESSION).sort("race_number", "driver_id")
    drivers = entered["driver_id"].unique().sort()
    index = {driver: number for number, driver in enumerate(drivers)}
    fought = duels.sort("race_number", *PAIR)
    own, mate = (
        fought[name].replace_strict(index, return_dtype=pl.Int64).to_numpy()
        for name in ("driver_id", "mate_id")
    )
    who = entered["driver_id"].replace_strict(index, return_dtype=pl.Int64).to_numpy()
    won = fought["is_won"].to_numpy().astype(np.float64)
    numbers = np.arange(1, races.height + 2)
    starts = np.searchsorted(fought["race_number"].to_numpy(), numbers)
    entry_starts = np.searchsorted(entered["race_number"].to_numpy(), numbers)
    rating, before = np.zeros(len(index)), np.zeros(len(who))
    for race in range(len(numbers) - 1):
        rows = slice(entry_starts[race], entry_starts[race + 1])
        before[rows] = rating[who[rows]]
        these = slice(starts[race], starts[race + 1])
        i, j = own[these], mate[these]
        surprise = step * (won[these] - 1.0 / (1.0 + np.exp(rating[j] - rating[i])))
        np.add.at(rating, i, surprise)
        np.add.at(rating, j, -surprise)
    return entered.select(*ENTRY, value=pl.Series(before))


def _metric(entries: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    return entries.select(*ENTRY, value=value.cast(pl.Float64))
