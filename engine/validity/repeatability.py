"""Validity: does a metric repeat, is it free of the car, do teams act as if it were true?

Season means need `MIN_RACES` races of a driver, or of both team-mates.

    reliability   of the season mean of g_i − g_j of team-mates, odd against even rounds: the
                  correlation through the origin r, stepped up to the whole season, 2 r / (1 + r)
    car leak      variance of team-seasons over that of team-seasons and drivers within them
    elasticity    standard deviations of the season mean a grade moves when the same driver's car
                  moves by one; the car is how his team-mates qualified. 0 is fair, raw pace has 0.7
    hiring        of two team-mates of whom one drives the next season, how often it was the better

Grades are taken against the mean of their race, so that a race in which all do well changes
nothing. A car of one driver only has no team-mate and does not count for the elasticity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from engine.tables import ENTRY, SESSION
from engine.validity.duels import PAIR_SEASON, differences
from engine.validity.estimates import Estimate, estimate, mean, ratio

if TYPE_CHECKING:
    from engine.validity.estimates import Floats

MIN_RACES: Final = 6
"""Races below which a season mean says little."""

DRIVE: Final = ("season", "team_id", "driver_id")
"""A driver's season in a team."""


def reliability(pairs: pl.DataFrame, values: pl.DataFrame) -> Estimate:
    """Correlate odd and even rounds of the difference between team-mates.

    Args:
        pairs: `engine.validity.duels.team_mates` of the seasons in question.
        values: the metric: the key and `value`.

    Returns:
        The stepped-up correlation, its interval over pair-seasons, and how many these are.
    """
    halves = (
        differences(pairs, values)
        .drop_nulls("difference")
        .group_by(PAIR_SEASON)
        .agg(
            races=pl.len(),
            odd=pl.col("difference").filter(pl.col("round") % 2 == 1).mean(),
            even=pl.col("difference").filter(pl.col("round") % 2 == 0).mean(),
        )
        .filter(pl.col("races") >= MIN_RACES)
        .drop_nulls()
        .sort(PAIR_SEASON)
    )
    odd, even = (halves[name].to_numpy() for name in ("odd", "even"))
    return estimate(np.stack([odd * odd, even * even, odd * even], axis=1), _stepped_up, len(odd))


def _stepped_up(sums: Floats) -> Floats:
    """Spearman and Brown's formula for a test of twice the length."""
    correlation = sums[..., 2] / np.sqrt(sums[..., 0] * sums[..., 1])
    stepped: Floats = 2.0 * correlation / (1.0 + correlation)
    return stepped


def car_leak(centred: pl.DataFrame) -> Estimate:
    """Tell how much of what lasts a season belongs to the team rather than to the driver.

    Args:
        centred: what `against_field` gave.

    Returns:
        Share of the variance, from a nested analysis of variance by moments, negative components
        taken as 0; its interval over team-seasons; null if neither has variance.
    """
    drives = (
        centred.group_by(DRIVE)
        .agg(
            races=pl.len(),
            mean=pl.col("value").mean(),
            within=((pl.col("value") - pl.col("value").mean()) ** 2).sum(),
        )
        .filter(pl.col("races") >= MIN_RACES)
    )
    races, squared = pl.col("races").sum(), (pl.col("races") ** 2).sum()
    mean = (pl.col("races") * pl.col("mean")).sum() / races
    teams = (
        drives.group_by("season", "team_id")
        .agg(
            teams=pl.lit(1),
            drives=pl.len(),
            races=races,
            within=pl.col("within").sum(),
            between=(pl.col("races") * (pl.col("mean") - mean) ** 2).sum(),
            total=races * mean,
            total_square=races * mean**2,
            squared_per_race=squared / races,
            squared=squared,
            races_squared=races**2,
        )
        .sort("season", "team_id")
    )
    sums = teams.drop("season", "team_id").cast(pl.Float64).to_numpy()
    return estimate(sums, _team_share, cases=teams.height)


def _team_share(sums: Floats) -> Floats:
    """Variance components of a nested, unbalanced design from its sums of squares."""
    teams, drives, races, within, between, total, total_square, per_race, squared, races_squared = (
        np.moveaxis(sums, -1, 0)
    )
    residual = within / (races - drives)
    driver_square = between / (drives - teams)
    team_square = (total_square - total**2 / races) / (teams - 1.0)
    driver_races = (races - per_race) / (drives - teams)
    driver = np.maximum(0.0, (driver_square - residual) / driver_races)
    driver_weight = (per_race - squared / races) / (teams - 1.0)
    team_races = (races - races_squared / races) / (teams - 1.0)
    team = np.maximum(0.0, (team_square - residual - driver_weight * driver) / team_races)
    share: Floats = team / (team + driver)
    return share


def car_levels(
    entries: pl.DataFrame, races: pl.DataFrame, qualifying: pl.DataFrame
) -> pl.DataFrame:
    """Tell how good each driver's car was, without him: by how his team-mates qualified.

    Args:
        entries: `engine.tables.Entries`.
        races: `engine.validity.duels.grands_prix` of the seasons in question.
        qualifying: one row per driver and race: the key and `position`.

    Returns:
        One row per `DRIVE` with a team-mate: `car`, minus the mean of the mates' places against
        the middle of the field; higher is a better car.
    """
    place = pl.col("position").cast(pl.Float64)
    level = pl.col("level").sum().over("season", "team_id")
    count = pl.col("count").sum().over("season", "team_id")
    return (
        entries.select(*ENTRY, "team_id")
        .join(races, on=SESSION)
        .join(qualifying.select(*ENTRY, "position"), on=ENTRY)
        .with_columns(level=place.median().over(*SESSION) - place)
        .group_by(DRIVE)
        .agg(level=pl.col("level").sum(), count=pl.len())
        .with_columns(of_mates=level - pl.col("level"), mates=count - pl.col("count"))
        .filter(pl.col("mates") > 0)
        .select(*DRIVE, car=pl.col("of_mates") / pl.col("mates"))
        .sort(DRIVE)
    )


def car_elasticity(centred: pl.DataFrame, cars: pl.DataFrame) -> Estimate:
    """Tell how much of a better car reaches the grade of the same driver.

    Args:
        centred: what `against_field` gave.
        cars: what `car_levels` gave.

    Returns:
        Slope of season means on cars within drivers, both in standard deviations over all drives;
        its interval over drivers; the number of drives.
    """
    drives = (
        centred.group_by(DRIVE)
        .agg(races=pl.len(), mean=pl.col("value").mean())
        .filter(pl.col("races") >= MIN_RACES)
        .join(cars, on=DRIVE)
        .with_columns(pl.col(name) / pl.col(name).std(ddof=0) for name in ("mean", "car"))
        .with_columns(
            pl.col(name) - pl.col(name).mean().over("driver_id") for name in ("mean", "car")
        )
    )
    by_driver = (
        drives.group_by("driver_id")
        .agg(square=(pl.col("car") ** 2).sum(), product=(pl.col("car") * pl.col("mean")).sum())
        .sort("driver_id")
    )
    return estimate(by_driver.drop("driver_id").to_numpy(), ratio, cases=drives.height)


def against_field(values: pl.DataFrame, entries: pl.DataFrame, races: pl.DataFrame) -> pl.DataFrame:
    """Take a metric against the mean of its race, with whom each driver drove for.

    Returns:
        One row per entry with a value: the key, `season`, `team_id` and `value`.
    """
    return (
        values.drop_nulls("value")
        .join(entries.select(*ENTRY, "team_id"), on=ENTRY)
        .join(races, on=SESSION)
        .select(
            *ENTRY,
            "season",
            "team_id",
            value=pl.col("value") - pl.col("value").mean().over(*SESSION),
        )
        .sort(ENTRY)
    )


def hiring(
    pairs: pl.DataFrame, values: pl.DataFrame, entries: pl.DataFrame, races: pl.DataFrame
) -> Estimate:
    """Tell how often the team-mate who was kept in the sport had been the better.

    Args:
        pairs: `engine.validity.duels.team_mates` of the seasons in question; of the last one
            nothing is told, because who is kept is not yet known.
        values: the metric: the key and `value`.
        entries: `engine.tables.Entries`.
        races: `engine.validity.duels.grands_prix` of the seasons in question.

    Returns:
        Share of the pair-seasons with one of two kept, equal means counting as half; its interval
        over pair-seasons.
    """
    drove = entries.join(races, on=SESSION).select("season", "driver_id").unique()
    season = pl.col("season") - 1
    kept = drove.select(season=season, driver_id="driver_id", is_kept=pl.lit(value=True))
    mate_kept = drove.select(season=season, mate_id="driver_id", mate_is_kept=pl.lit(value=True))
    better = (pl.col("mean").sign() + 1.0) / 2.0
    decided = (
        differences(pairs, values)
        .drop_nulls("difference")
        .filter(pl.col("season") < races["season"].max())
        .group_by(PAIR_SEASON)
        .agg(races=pl.len(), mean=pl.col("difference").mean())
        .filter(pl.col("races") >= MIN_RACES)
        .join(kept, on=["season", "driver_id"], how="left")
        .join(mate_kept, on=["season", "mate_id"], how="left")
        .with_columns(pl.col("is_kept", "mate_is_kept").fill_null(value=False))
        .filter(pl.col("is_kept") != pl.col("mate_is_kept"))
        .sort(PAIR_SEASON)
        .select(pl.when("is_kept").then(better).otherwise(1.0 - better))
    )
    return mean(decided.to_series().to_numpy())
