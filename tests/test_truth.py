"""Worlds of whole seasons with a known truth, and how well it is found again."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest

from benchmarks.truth import FIRST_SEASON, compare, finishing_position, recovery, world_tables
from benchmarks.worlds import CARS, LAPS, RACES, Driven, Field, World, make_world
from engine.tables import ENTRY

SEED = 7


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
    """The same seed gives the same tables, another one another race."""
    _, driven, tables = isolated()
    for name, table in world_tables(
        make_world(1, SEED), Field(make_world(1, SEED), SEED).drive()
    ).items():
        assert table.equals(tables[name]), name
    other = Field(make_world(1, SEED), SEED + 1).drive()
    assert not np.array_equal(other.clock_s, driven.clock_s)


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
    """Over two seasons the finishing position knows the car better than the driver."""
    found = compare({"finishing position": finishing_position}, 1, 2).row(0, named=True)
    assert found["car"] > 0.7
    assert found["car"] > found["pace"] > 0.3
