"""Worlds of whole seasons with a known truth, and how well it is found again."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from benchmarks.truth import compare, hold, model_v2, recentred, recovery, results
from benchmarks.world_tables import FIRST_SEASON, world_tables
from benchmarks.worlds import CARS, LAPS, RACES, Driven, Field, World, make_world
from engine.tables import ENTRY
from tests.profiles_v2 import V2_PROFILE

if TYPE_CHECKING:
    from collections.abc import Mapping

SEED = 1


@cache
def isolated() -> tuple[World, Driven, dict[str, pl.DataFrame]]:
    """Drive one season on its own."""
    world = make_world(1, SEED)
    driven = Field(world, SEED).drive()
    return world, driven, world_tables(world, driven)


def graded(by: np.ndarray) -> pl.DataFrame:
    """Give every driver the same number in every race: the driver's own of an array."""
    entries = isolated()[2]["entries"]
    number = pl.col("driver_id").str.strip_prefix("driver_").cast(pl.Int64)
    return entries.select(*ENTRY, value=number.replace_strict(dict(enumerate(by.tolist()))))


def test_a_seed_is_a_world() -> None:
    """Driven again, its tables and its recovery are the same; another seed draws another race."""
    world, _, tables = isolated()
    again: list[Mapping[str, pl.DataFrame]] = []

    def grader(given: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        again.append(given)
        return {"place": results(given)["finishing position"]}

    row = compare([grader], 1, 1).row(0, named=True)
    for name, table in again[0].items():
        assert table.equals(tables[name]), name
    places = results(tables)["finishing position"]
    assert row == {"grader": "place", **recovery(world, places)._asdict()}
    assert not np.array_equal(Field(world, SEED + 1).stops, Field(world, SEED).stops)


def test_a_season_is_whole() -> None:
    """Twenty races of twenty cars; the winner drives all laps, and no two cars share a place."""
    _, _, tables = isolated()
    assert tables["entries"].height == RACES * CARS
    assert tables["entries"].filter(position=1)["completed_laps"].unique().to_list() == [LAPS]
    places = (
        tables["laps"]
        .group_by("session_id", "lap_number")
        .agg(apart=pl.col("position").n_unique() == pl.len())
    )
    assert places["apart"].all()


def test_lap_times_add_up_to_the_clock() -> None:
    """From lights out to the end of every driver's last lap, to the ms."""
    by_driver = (
        isolated()[2]["laps"]
        .group_by(ENTRY)
        .agg(driven=pl.col("lap_time_ms").sum(), clock=pl.col("lap_end_ms").max())
    )
    assert by_driver.filter(pl.col("driven") != pl.col("clock")).is_empty()


def test_nobody_passes_under_the_safety_car() -> None:
    """Of cars that do not stop, the order at the end of a neutral lap is that of its beginning."""
    _, driven, _ = isolated()
    for race in range(RACES):
        for lap in np.flatnonzero(driven.is_neutral[race, 0]):
            stops = driven.is_in_lap[race, :, lap] | driven.is_in_lap[race, :, lap - 1]
            cars = np.flatnonzero(driven.is_driven[race, :, lap] & ~stops)
            before = cars[driven.clock_s[race, cars, lap - 1].argsort()]
            after = cars[driven.clock_s[race, cars, lap].argsort()]
            assert before.tolist() == after.tolist()
    assert driven.is_neutral.any()


def test_drivers_change_teams_and_nobody_has_two_cars() -> None:
    """Every winter eight drivers swap seats and two newcomers replace others."""
    world = make_world(6, SEED)
    for before, after in zip(world.seats, world.seats[1:], strict=False):
        assert len(set(after.tolist())) == CARS
        assert len(set(after.tolist()) - set(before.tolist())) == 2
        assert (before != after).sum() == 10


def test_the_truth_recovers_itself() -> None:
    """True pace: 1 and all pairs right; reversed: −1 and none; the car knows no team-mates."""
    world, _, _ = isolated()
    true = recovery(world, graded(-world.skill_pct))
    assert true.pace == pytest.approx(1.0)
    assert true.team_mates == 1.0
    wrong = recovery(world, graded(world.skill_pct))
    assert wrong.pace == pytest.approx(-1.0)
    assert wrong.team_mates == 0.0
    car = recovery(world, graded(-np.repeat(world.car_pct[0], 2)))
    assert car.car == pytest.approx(1.0)
    assert car.team_mates == 0.5


def test_only_the_last_season_counts() -> None:
    """A grader that is right in the last season only is right."""
    world = make_world(2, SEED)
    seats = world.seats[-1]
    values = pl.DataFrame(
        [
            (f"{season}-1", f"driver_{driver}", sign * float(world.skill_pct[driver]))
            for season, sign in ((FIRST_SEASON, 1.0), (FIRST_SEASON + 1, -1.0))
            for driver in seats
        ],
        schema=[*ENTRY, "value"],
        orient="row",
    )
    assert recovery(world, values).pace == pytest.approx(1.0)


def test_results_follow_the_car() -> None:
    """The finishing position knows the car better than the driver."""
    world, _, tables = isolated()
    found = recovery(world, results(tables)["finishing position"])
    assert found.car > 0.7
    assert found.car > found.pace > 0.3


def test_model_v2_grades_a_world() -> None:
    """Four races: a grade where there is a pace, one rating a driver, after his last race."""
    tables = {
        name: table.filter(pl.col("session_id").is_in([f"{FIRST_SEASON}-{n}" for n in range(1, 5)]))
        for name, table in isolated()[2].items()
    }
    found = model_v2(tables)
    timed = tables["laps"].group_by(ENTRY).len().filter(pl.col("len") > 20).select(ENTRY)
    graded = timed.join(found["v2 grade"], on=ENTRY).drop_nulls()
    assert graded.height == timed.height > 60
    last = tables["entries"].filter(session_id=f"{FIRST_SEASON}-4").select(ENTRY)
    assert found["v2 rating"].select(ENTRY).sort(ENTRY).equals(last.sort(ENTRY))
    assert found["v2 rating"]["value"].n_unique() == CARS


def test_a_world_is_its_own_training() -> None:
    """With a car of 2 % at every driver, its share moves the mean; 1 to 3 have the deviation 1."""
    parts = pl.DataFrame(
        {
            "car_pct": [2.0, 2.0, 2.0],
            "pace_against_car_pct": [1.0, 2.0, 3.0],
            "racecraft_raw": [-5.0, 0.0, 5.0],
            "penalties_raw": [0.0, 1.0, None],
        }
    )
    found = recentred(V2_PROFILE, parts)
    share = V2_PROFILE.consistency.car_share
    assert (found.consistency.mean, found.consistency.sd) == pytest.approx((2.0 + 2.0 * share, 1.0))
    assert found.consistency.car_share == share
    assert found.racecraft.sd == pytest.approx(5.0)
    assert found.penalty.mean == pytest.approx(0.5 + 2.0 * V2_PROFILE.penalty.car_share)
    assert found.passes == V2_PROFILE.passes


def test_targets_are_met_at_their_value() -> None:
    """The grade of model v2 is held against them, and nothing else."""
    found = pl.DataFrame(
        {"grader": ["v2 grade", "points"], "pace": [0.82, 0.9], "team_mates": [0.8, 0.9]}
    )
    assert hold(found, {"pace": 0.82, "team_mates": 0.83}) == [
        "v2 grade, pace: 0.820, to be at least 0.82: met",
        "v2 grade, team mates: 0.800, to be at least 0.83: missed",
    ]
