"""How well grades recover the truth of simulated worlds (`benchmarks.worlds`).

    python -m benchmarks.truth [--isolated 30] [--transfers 16]

A grader turns the tables of a world into metrics, a number per driver and race. Of the means of
their last season, averaged over the worlds:

    pace         Spearman's correlation with the drivers' true pace
    given car    the same, the true car held fixed (partial)
    car          with the true car
    team-mates   share of pairs put in the true order

The worlds are seasons on their own, in which only priors compare drivers of different teams, and
six seasons with transfers, in which drivers who changed teams connect them.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from benchmarks.world_tables import FIRST_SEASON, world_tables
from benchmarks.worlds import RACES, TEAMS, Field, World, make_world
from engine.tables import ENTRY
from engine.v2.calibration import profile_frame_v2
from engine.v2.grade import COMPONENTS_V2_SCHEMA, SCORED, grade_v2
from loaders.fitting import bundled_profile
from loaders.grading import grade_session
from loaders.profiles import read_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.v2.calibration import CalibrationProfileV2, Normalization

    Tables = Mapping[str, pl.DataFrame]
    Grader = Callable[[Tables], Mapping[str, pl.DataFrame]]
    """Normalized tables by name → metrics by name: `session_id`, `driver_id`, `value`."""

ISOLATED: Final = 30
TRANSFERS: Final = 16
TRANSFER_SEASONS: Final = 6
"""Worlds of either kind, and seasons of the second."""

TARGETS: Final[Mapping[int, Mapping[str, float]]] = {
    1: {"given_car": 0.60, "team_mates": 0.83},
    TRANSFER_SEASONS: {"pace": 0.82},
}
"""Seasons of a world → what the grade of model v2 is to reach."""


class Recovery(NamedTuple):
    """How well the truth was found again; not a number where that has no meaning."""

    pace: float
    given_car: float
    car: float
    team_mates: float


def recovery(world: World, values: pl.DataFrame) -> Recovery:
    """Compare the means of the last season with the truth.

    Args:
        world: whose truth it is.
        values: what a grader gave for it.
    """
    season = f"{FIRST_SEASON + len(world.seats) - 1}-"
    means = (
        values.filter(pl.col("session_id").str.starts_with(season))
        .group_by("driver_id")
        .agg(pl.col("value").mean())
    )
    seats = world.seats[-1]
    truth = pl.DataFrame(
        {
            "driver_id": [f"driver_{driver}" for driver in seats],
            "team": np.arange(len(seats)) // 2,
            "pace": -world.skill_pct[seats],
            "car": -np.repeat(world.car_pct[-1], 2),
        }
    )
    rows = truth.join(means, on="driver_id").drop_nulls("value")
    pace, car, pace_car = (
        float(rows.select(pl.corr(one, other, method="spearman")).item())
        for one, other in (("value", "pace"), ("value", "car"), ("pace", "car"))
    )
    left = (1.0 - car**2) * (1.0 - pace_car**2)
    given_car = (pace - car * pace_car) / np.sqrt(left) if left > 1e-12 else np.nan
    pairs = rows.join(rows, on="team", suffix="_mate").filter(
        pl.col("driver_id") < pl.col("driver_id_mate")
    )
    product = (pl.col("value") - pl.col("value_mate")) * (pl.col("pace") - pl.col("pace_mate"))
    right = pairs.select(((product.sign() + 1.0) / 2.0).mean()).item()
    return Recovery(pace, float(given_car), car, float(right))


def results(tables: Tables) -> dict[str, pl.DataFrame]:
    """Grade by the place in the official order and by championship points."""
    entries = tables["entries"]
    return {
        "finishing position": entries.select(*ENTRY, value=-pl.col("position").cast(pl.Float64)),
        "points": entries.select(*ENTRY, value=pl.col("points")),
    }


def model_v1(tables: Tables) -> dict[str, pl.DataFrame]:
    """Grade with model v1 under its bundled profile."""
    graded = grade_session(tables, read_profile("baseline"), "a simulated world")
    return {"v1": graded["driver_metrics"].select(*ENTRY, value="total_grade")}


def model_v2(tables: Tables) -> dict[str, pl.DataFrame]:
    """Grade with model v2 under its bundled profile, re-centred, and rate.

    A world has no training years: what is fitted on them to make raw values scores is the world's
    own mean and standard deviation. The rating is that after each driver's last race.
    """
    profile = bundled_profile()
    evidence = grade_session(tables, profile, "a simulated world")["grade_evidence"]
    parts = evidence.rename({"car_pct": "with_qualifying", "scored_car_pct": "car_pct"}).select(
        COMPONENTS_V2_SCHEMA.names()
    )
    grades = grade_v2(parts, profile_frame_v2([recentred(profile, parts)]))
    season = pl.col("session_id").str.split("-").list.to_struct(fields=["season", "round"])
    rated = (
        evidence.with_columns(season.struct.field("season", "round").cast(pl.Int32))
        .sort("season", "round")
        .group_by("driver_id", maintain_order=True)
        .agg(pl.col("session_id").last(), value=pl.col("rating_pct").last())
    )
    return {
        "v2 grade": grades.select(*ENTRY, value="total_grade"),
        "v2 rating": rated.select(*ENTRY, "value"),
    }


def recentred(profile: CalibrationProfileV2, parts: pl.DataFrame) -> CalibrationProfileV2:
    """Give a profile the mean and standard deviation that components have in a world.

    Args:
        profile: whose shares of the car and spreads stay.
        parts: `engine.v2.grade.COMPONENTS_V2_SCHEMA`.
    """
    changed = {}
    for name, raw in SCORED.items():
        used: Normalization = getattr(profile, name)
        neutral = parts.select(pl.col(raw) + used.car_share * pl.col("car_pct")).to_series()
        measured = {"mean": neutral.mean(), "sd": neutral.std()}
        changed[name] = used.model_copy(update=measured)
    return profile.model_copy(update=changed)


GRADERS: Final[Sequence[Grader]] = (model_v2, model_v1, results)
"""What is compared."""


def worlds(seasons: int, count: int) -> Iterator[tuple[World, dict[str, pl.DataFrame]]]:
    """Make and drive worlds, one a seed from 1 on."""
    for seed in range(1, count + 1):
        world = make_world(seasons, seed)
        yield world, world_tables(world, Field(world, seed).drive())


def compare(graders: Sequence[Grader], seasons: int, count: int) -> pl.DataFrame:
    """Average the recovery of every metric over worlds: one row per metric, `Recovery`."""
    found = [
        {"grader": name, **recovery(world, values)._asdict()}
        for world, tables in worlds(seasons, count)
        for grader in graders
        for name, values in grader(tables).items()
    ]
    return (
        pl.DataFrame(found).group_by("grader", maintain_order=True).agg(pl.exclude("grader").mean())
    )


def hold(found: pl.DataFrame, targets: Mapping[str, float]) -> list[str]:
    """Hold the grade of model v2 against targets.

    Args:
        found: what `compare` gave.
        targets: least value by column.

    Returns:
        One sentence each.
    """
    (row,) = found.filter(grader="v2 grade").to_dicts()
    return [
        f"v2 grade, {name.replace('_', ' ')}: {row[name]:.3f}, to be at least {bound}: "
        + ("met" if row[name] >= bound else "missed")
        for name, bound in targets.items()
    ]


def main() -> None:
    """Print how well each grader recovers either kind of world, and whether that is enough."""
    parser = argparse.ArgumentParser(description="recovery of the truth of simulated worlds")
    parser.add_argument("--isolated", type=int, default=ISOLATED, help="seasons on their own")
    parser.add_argument("--transfers", type=int, default=TRANSFERS, help="worlds with transfers")
    chosen = parser.parse_args()
    kinds = (
        (chosen.isolated, 1, f"seasons of {2 * TEAMS} cars and {RACES} races on their own"),
        (chosen.transfers, TRANSFER_SEASONS, f"worlds of {TRANSFER_SEASONS} seasons, the last one"),
    )
    for count, seasons, what in kinds:
        if not count:
            continue
        found = compare(GRADERS, seasons, count)
        with pl.Config(
            float_precision=3, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True
        ):
            print(f"{count} {what}\n{found}")
        print("\n".join(hold(found, TARGETS[seasons])))


if __name__ == "__main__":
    main()
