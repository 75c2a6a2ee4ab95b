"""The notebook runs as a program, offline, and shows what the library gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from loaders import lake

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTEBOOK: Final = Path(__file__).parent.parent / "docs" / "notebooks" / "first_race.py"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the notebook defines after a run, in a folder of its own."""
    spec = importlib.util.spec_from_file_location("first_race", NOTEBOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("notebook")))
        _, defined = module.app.run()
    found: Mapping[str, Any] = defined
    return found


def test_it_shows_the_grades_of_the_race(shown: Mapping[str, Any]) -> None:
    """Gone on from the first weekend, and stored."""
    grades = shown["grades"]
    assert grades["rating_state"].unique().to_list() == ["2099-1"]
    stored = lake.scan(shown["settings"].lake, "driver_metrics").filter(session_id="2099-2")
    assert_frame_equal(
        grades.select("driver_id", "grade", "total_grade").sort("driver_id"),
        stored.select("driver_id", "grade", "total_grade").sort("driver_id").collect(),
        check_exact=True,
    )
    assert shown["driver"].value == grades["driver_id"][0]


def test_it_shows_what_the_best_grade_rests_on(shown: Mapping[str, Any]) -> None:
    """One row of that driver, and as many passes as it counts."""
    measured, best = shown["measured"], shown["grades"]["driver_id"][0]
    assert measured["driver_id"].to_list() == [best]
    assert shown["passes"].height == measured["passes_made"].item()


def test_the_slider_stands_on_the_bundled_weight(shown: Mapping[str, Any]) -> None:
    """Untouched it moves nobody, to the last bit."""
    moved = shown["moved"]
    assert moved.height > 10
    assert moved["places"].abs().sum() == 0
    assert (moved["total_grade"] == moved["total_grade_changed"]).all()


def test_the_lake_answers_with_the_mean_of_both_races(shown: Mapping[str, Any]) -> None:
    """The same number as from the library's frames."""
    row = shown["answer"].row(0, named=True)
    who = shown["grades"].filter(driver_name=row["driver_name"])["driver_id"].item()
    stored = lake.scan(shown["settings"].lake, "driver_metrics").filter(driver_id=who).collect()
    assert row["races"] == stored.height == 2
    assert round(stored.select(pl.col("grade").mean()).item(), 1) == row["mean_grade"]
