"""A grid of profiles: every combination, and the same figures as grading with each alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from polars.testing import assert_frame_equal

from engine.errors import ProfileError
from loaders import lake, sweep
from loaders.providers import simulated
from loaders.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

GRID = '{"grid": {"consistency_tolerance": [0.5, 0.8], "stint_boost_cap": [0, 0.2, 0.35]}}'


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """Write a grid of two by three."""
    path = tmp_path / "grid.json"
    path.write_text(GRID)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a lake of the bundled sessions."""
    for session in simulated.sessions():
        lake.write_session(tmp_path / "lake", session, simulated.fetch(session, Settings()))
    return tmp_path / "lake"


def test_every_combination_is_a_profile(grid: Path) -> None:
    """Two by three are six, the last constant changes fastest, the others are the base's."""
    profiles = sweep.read_grid(grid)
    tried = [(p.consistency_tolerance, p.stint_boost_cap) for p in profiles]
    assert tried == [(0.5, 0), (0.5, 0.2), (0.5, 0.35), (0.8, 0), (0.8, 0.2), (0.8, 0.35)]
    assert [p.name for p in profiles] == [f"sweep-{n}" for n in range(1, 7)]
    assert {p.penalty_normalizer for p in profiles} == {12.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Invalid JSON"),
        ('{"grid": {}}', "grid: Dictionary should have at least 1 item"),
        ('{"grid": {"tau": [1]}}', "no constant tau; there are consistency_tolerance"),
        ('{"grid": {"name": [1]}}', "no constant name"),
        ('{"grid": {"consistency_tolerance": [0]}}', "combination .*consistency_tolerance"),
        ('{"grid": {"consistency_tolerance": ["4"]}}', "consistency_tolerance"),
        ('{"grid": {"consistency_tolerance": [NaN]}}', "consistency_tolerance|JSON"),
        ('{"base": "none", "grid": {"stint_boost_cap": [1]}}', "none cannot be read"),
    ],
)
def test_a_grid_that_is_none_is_told(tmp_path: Path, text: str, said: str) -> None:
    """The file, the constant, what there is."""
    path = tmp_path / "grid.json"
    path.write_text(text)
    with pytest.raises(ProfileError, match=said):
        sweep.read_grid(path)


def test_too_many_combinations_are_refused(tmp_path: Path) -> None:
    """A thousand times a thousand is not what anybody meant."""
    values = list(range(1, 1001))
    path = tmp_path / "grid.json"
    path.write_text(
        f'{{"grid": {{"consistency_tolerance": {values}, "strategy_lap_tolerance": {values}}}}}'
    )
    with pytest.raises(ProfileError, match="1000000 combinations; at most 100000"):
        sweep.read_grid(path)
    with pytest.raises(ProfileError, match=r"absent\.json cannot be read"):
        sweep.read_grid(tmp_path / "absent.json")


def test_all_at_once_is_the_same_as_one_by_one(
    grid: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in blocks of a single profile; the rows name the constants."""
    profiles = sweep.read_grid(grid)
    at_once = sweep.run_sweep(folder, profiles)
    assert at_once.select("profile_name", "season").rows() == [
        (f"sweep-{n}", 2099) for n in range(1, 7)
    ]
    assert at_once["stint_boost_cap"].to_list() == [0.0, 0.2, 0.35] * 2
    assert at_once["consistency_score_mean"].n_unique() > 3
    monkeypatch.setattr(sweep, "BLOCK_GRADES", 1)
    assert_frame_equal(sweep.run_sweep(folder, profiles), at_once, rel_tol=1e-12)
    assert sweep.run_sweep(folder, profiles, seasons=[1950]).is_empty()
