"""Fitting a profile on a lake: a simulated season, from its tables to the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from benchmarks.world_tables import FIRST_SEASON, world_tables
from benchmarks.worlds import RACES, Field, make_world
from engine.tables import ENTRY, SessionKey
from engine.v2.calibration import CalibrationProfileV2
from loaders import lake
from loaders.fitting import bundled_profile, changes
from loaders.profiles import read_profile
from loaders.settings import Settings
from tests.profiles_v2 import V2_PROFILE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.loaders.conftest import Run

SEED = 3


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home without a server: a fit reads the lake only."""
    return Settings(home=tmp_path_factory.mktemp("home"), database_url=None)


@pytest.fixture(scope="module", autouse=True)
def world(settings: Settings) -> dict[str, pl.DataFrame]:
    """Drive one season into the lake."""
    made = make_world(1, SEED)
    tables = world_tables(made, Field(made, SEED).drive())
    keys = [SessionKey(FIRST_SEASON, number) for number in range(1, RACES + 1)]
    filled = {name: table for name, table in tables.items() if not table.is_empty()}
    lake.write(settings.lake, keys, filled)
    return filled


def test_a_season_is_fitted_into_a_file(
    run: Run, tmp_path: Path, world: dict[str, pl.DataFrame]
) -> None:
    """Pole's usual start is the mean of its places lost; what is set by hand is carried over."""
    file = tmp_path / "mine.json"
    arguments = ("--train", str(FIRST_SEASON), "--name", "mine", "--output", str(file))
    code, shown, said = run("calibrate", "fit", *arguments, "--json")
    assert code == 0, said
    made = read_profile(file)
    assert isinstance(made, CalibrationProfileV2)
    first = world["laps"].filter(lap_number=1).select(*ENTRY, "position")
    poles = world["entries"].filter(grid_position=1).select(ENTRY).join(first, on=ENTRY)
    lost = 1.0 - poles["position"].cast(pl.Float64).mean()  # type: ignore[operator]
    assert made.start.usual_gain_places[0] == pytest.approx(lost, abs=1e-9)
    assert (made.provenance.first_season, made.provenance.sessions) == (FIRST_SEASON, RACES)
    assert made.provenance.command.endswith(f"calibrate fit --train {FIRST_SEASON} --name mine")
    by_hand = ("pace", "rating", "weights", "mistakes", "clean_laps")
    assert all(getattr(made, part) == getattr(V2_PROFILE, part) for part in by_hand)
    told = [json.loads(line) for line in shown.splitlines()]
    assert told == changes(bundled_profile(), made)
    named = {row["constant"].partition("[")[0] for row in told}
    assert {"passes.intercept", "start.usual_gain_places", "total_quantiles"} <= named


def test_a_season_without_laps_is_not_trained_on(run: Run) -> None:
    """The refusal names it, and how to bring it in."""
    code, _, said = run("calibrate", "fit", "--train", f"{FIRST_SEASON - 1}-{FIRST_SEASON}")
    assert code == 5
    assert f"no laps of {FIRST_SEASON - 1}; 1 seasons have some" in said
    assert "drivegrade history import" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--train", "2015-2014"], "no season or span"),
        (["--train", "2014", "--name", "My"], "like"),
    ],
)
def test_arguments_are_checked(run: Run, arguments: list[str], says: str) -> None:
    """Before anything is read."""
    code, _, said = run("calibrate", "fit", *arguments)
    assert code == 2
    assert says in said


def test_what_moved_is_told() -> None:
    """One constant, and of a list the one that moved most; names and provenance do not count."""
    quantiles = [*V2_PROFILE.total_quantiles[:-1], V2_PROFILE.total_quantiles[-1] + 0.5]
    made = V2_PROFILE.model_copy(
        update={
            "name": "other",
            "weights": V2_PROFILE.weights.model_copy(update={"penalty": 0.2}),
            "start": V2_PROFILE.start.model_copy(update={"usual_gain_places": (-3.0, -1.0)}),
            "total_quantiles": tuple(quantiles),
        }
    )
    slots = len(V2_PROFILE.start.usual_gain_places)
    assert changes(V2_PROFILE, made) == [
        {
            "constant": f"start.usual_gain_places[0], {slots} → 2 of them",
            "carried": str(V2_PROFILE.start.usual_gain_places[0]),
            "fitted": "-3.0",
        },
        {"constant": "weights.penalty", "carried": "0.1", "fitted": "0.2"},
        {
            "constant": "total_quantiles[100]",
            "carried": str(V2_PROFILE.total_quantiles[100]),
            "fitted": str(quantiles[-1]),
        },
    ]
