"""Regrading the lake: the same grades as race by race, whatever the partition; nothing twice."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.errors import DriveGradeError
from engine.tables import DERIVED, EVIDENCE, NORMALIZED, TABLES, SessionKey, empty
from engine.v1.calibration import MODEL_VERSION
from loaders import lake, regrade
from loaders.grading import grade_tables, with_kept
from loaders.providers import simulated
from loaders.settings import Settings
from tests.frames import frame
from tests.profiles import ALL_PROFILES, BASELINE_PROFILE
from tests.soak import runs

if TYPE_CHECKING:
    from collections.abc import Mapping

RACE = SessionKey(2099, 1)
OTHER_SEASON = SessionKey(2098, 1)
STRICT = next(profile for profile in ALL_PROFILES if profile.name == "strict")


def moved(tables: Mapping[str, pl.DataFrame], session: SessionKey) -> dict[str, pl.DataFrame]:
    """Give the same tables as those of a race of another season."""
    renamed = {
        name: table.with_columns(session_id=pl.lit(session.session_id))
        for name, table in tables.items()
    }
    place = {"season": pl.lit(session.season, pl.Int16), "round": pl.lit(session.round, pl.Int16)}
    return {**renamed, "sessions": renamed["sessions"].with_columns(**place)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake of five sessions of two seasons, ungraded. Do not write."""
    folder = tmp_path_factory.mktemp("lake")
    for session in simulated.sessions():
        lake.write_session(folder, session, simulated.fetch(session, Settings()))
    race = simulated.fetch(RACE, Settings())
    lake.write_session(folder, OTHER_SEASON, moved(race, OTHER_SEASON))
    return folder


@pytest.fixture(scope="module")
def made_graded(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the same lake graded with the baseline profile. Do not write."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("graded") / "lake")
    regrade.regrade(folder, [BASELINE_PROFILE])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Give a lake like `made` that may be written."""
    return shutil.copytree(made, tmp_path / "lake")


@pytest.fixture
def graded(made_graded: Path, tmp_path: Path) -> Path:
    """Give a lake like `made_graded` that may be written."""
    return shutil.copytree(made_graded, tmp_path / "graded")


def derived(folder: Path) -> dict[str, pl.DataFrame]:
    """Read all that was derived, ordered by key."""
    return {
        name: lake.scan(folder, name).collect().sort(TABLES[name].primary_key()) for name in DERIVED
    }


def alone(folder: Path, session: SessionKey) -> dict[str, pl.DataFrame]:
    """Grade one session by itself."""
    return grade_alone(lake.read_session(folder, session))


def grade_alone(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Grade the tables of one session by themselves."""
    lazy = {name: tables[name].lazy() for name in NORMALIZED}
    return grade_tables(lazy, [BASELINE_PROFILE], "test")


def assert_same_as_alone(folder: Path, session: SessionKey) -> None:
    """Every derived row of a session is bitwise what grading it alone gives."""
    for name, expected in alone(folder, session).items():
        stored = lake.snapshot(folder).scan(name, sessions=[session]).collect()
        key = TABLES[name].primary_key()
        assert_frame_equal(stored.sort(key), expected.sort(key), check_exact=True)


def test_a_race_graded_alone_is_the_same_in_a_regrade(folder: Path) -> None:
    """All tables of all sessions, to the last bit."""
    report = regrade.regrade(folder, [BASELINE_PROFILE])
    assert report.graded_seasons == (2098, 2099)
    for session in lake.sessions(folder):
        assert_same_as_alone(folder, session)
    rows = {name: table.height for name, table in derived(folder).items()}
    assert report.rows == rows
    assert rows["driver_metrics"] == rows["driver_inputs"] > 90


def test_one_block_is_the_same_as_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Season by season under a limit of one lap, the files are the same to the last byte."""
    told: list[tuple[int, int]] = []
    regrade.regrade(folder, ALL_PROFILES, progress=lambda *done: told.append(done))
    assert told == [(0, 2), (2, 2)]
    at_once = lake.snapshot(folder).manifest
    monkeypatch.setattr(regrade, "BLOCK_LAPS", 1)
    told.clear()
    regrade.regrade(folder, ALL_PROFILES, force=True, progress=lambda *done: told.append(done))
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert lake.snapshot(folder).manifest == at_once


TWO_THREADS = """
import sys
from pathlib import Path
import polars as pl
from loaders.regrade import regrade
from tests.profiles import ALL_PROFILES
assert pl.thread_pool_size() == 2
regrade(Path(sys.argv[1]), ALL_PROFILES, force=True)
"""


def test_two_threads_are_the_same_as_one(folder: Path) -> None:
    """The files of a process with two threads are those of this one, to the last byte."""
    regrade.regrade(folder, ALL_PROFILES)
    alone = lake.snapshot(folder).manifest
    environment = {**os.environ, "POLARS_MAX_THREADS": "2"}
    command = [sys.executable, "-c", TWO_THREADS, str(folder)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], env=environment)
    assert pl.thread_pool_size() == 1
    assert lake.snapshot(folder).manifest == alone


def test_a_second_regrade_has_nothing_to_do(graded: Path) -> None:
    """Not a file is touched; one changed lap makes its season due, and just that."""
    before = lake.snapshot(graded).manifest
    again = regrade.regrade(graded, [BASELINE_PROFILE])
    assert (again.graded_seasons, again.unchanged_seasons) == ((), (2098, 2099))
    assert lake.snapshot(graded).manifest == before
    laps = lake.read_session(graded, OTHER_SEASON)["laps"]
    lake.write_session(graded, OTHER_SEASON, {"laps": laps.head(400)})
    third = regrade.regrade(graded, [BASELINE_PROFILE])
    assert (third.graded_seasons, third.unchanged_seasons) == ((2098,), (2099,))
    assert_same_as_alone(graded, OTHER_SEASON)


def test_an_interrupted_regrade_goes_on_where_it_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two blocks the first is written when the second fails; the next call does the second."""
    monkeypatch.setattr(regrade, "BLOCK_LAPS", 1)

    def interrupt(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        regrade.regrade(folder, [BASELINE_PROFILE], progress=interrupt)
    assert sorted(lake.snapshot(folder).manifest.of("driver_metrics")) == [2098]
    report = regrade.regrade(folder, [BASELINE_PROFILE])
    assert (report.graded_seasons, report.unchanged_seasons) == ((2099,), (2098,))


def test_a_changed_profile_grades_again(graded: Path) -> None:
    """The same name with another constant is another profile; its old grades are replaced."""
    changed = BASELINE_PROFILE.model_copy(update={"version": 2, "penalty_normalizer": 3.0})
    assert regrade.regrade(graded, [changed]).graded_seasons == (2098, 2099)
    metrics = derived(graded)["driver_metrics"]
    assert metrics["profile_version"].unique().to_list() == [2]


def test_grades_under_other_profiles_stay(graded: Path) -> None:
    """Two profiles one after the other are the same as both at once."""
    regrade.regrade(graded, [STRICT])
    one_by_one = derived(graded)["driver_metrics"]
    regrade.regrade(graded, [BASELINE_PROFILE, STRICT], force=True)
    assert_frame_equal(derived(graded)["driver_metrics"], one_by_one, check_exact=True)
    assert set(one_by_one["profile_name"]) == {"baseline", "strict"}


def test_grades_of_other_inputs_do_not_stay() -> None:
    """A driver whose inputs changed loses the grade of the other profile; another keeps it."""
    row = {"profile_version": 1, "model_version": MODEL_VERSION, "data_source": "hand"}
    entry = {**row, "on_track_events": 0, "pit_cycle_events": 0}
    old = [
        {**entry, "driver_id": driver, "profile_name": name, "inputs_hash": "a" * 64}
        for driver in ("kept", "changed")
        for name in ("baseline", "strict")
    ]
    new = [
        {**entry, "driver_id": "kept", "profile_name": "baseline", "inputs_hash": "a" * 64},
        {**entry, "driver_id": "changed", "profile_name": "baseline", "inputs_hash": "b" * 64},
    ]
    assert kept(old, new) == [("kept", "strict")]


def kept(old: list[dict[str, object]], new: list[dict[str, object]]) -> list[tuple[str, str]]:
    """Whose grades under which profile of the old ones stay beside the new ones."""
    nothing = {name: empty(name) for name in EVIDENCE}
    stored = {**nothing, "driver_metrics": frame("driver_metrics", old)}
    computed = {**nothing, "driver_metrics": frame("driver_metrics", new)}
    whole = with_kept(computed, stored)["driver_metrics"][len(new) :]
    return whole.select("driver_id", "profile_name").rows()


def test_a_grade_of_model_v2_stays_while_the_whole_field_is_the_same() -> None:
    """It was computed from everybody's laps: another driver's correction outdates it, too."""
    row = {"profile_version": 1, "data_source": "hand", "session_id": "2099-1"}
    first = {**row, "model_version": MODEL_VERSION, "profile_name": "baseline"}
    second = {**row, "model_version": "v2", "profile_name": "v2"}

    def rows(grading: dict[str, object], hamilton: str, norris: str) -> list[dict[str, object]]:
        hashes = {"hamilton": hamilton * 64, "norris": norris * 64}
        return [{**grading, "driver_id": name, "inputs_hash": h} for name, h in hashes.items()]

    old = rows(second, "a", "b")
    assert kept(old, rows(first, "a", "b")) == [("hamilton", "v2"), ("norris", "v2")]
    assert kept(old, rows(first, "a", "c")) == []
    assert kept(old, rows(first, "a", "b")[:1]) == []


def test_one_session_can_be_regraded(folder: Path) -> None:
    """Only its rows are written; the season is not taken for done."""
    report = regrade.regrade(folder, [BASELINE_PROFILE], sessions=[RACE])
    metrics = derived(folder)["driver_metrics"]
    assert metrics["session_id"].unique().to_list() == [RACE.session_id]
    assert report.graded_seasons == (2099,)
    assert regrade.regrade(folder, [BASELINE_PROFILE]).graded_seasons == (2098, 2099)
    assert regrade.regrade(folder, [BASELINE_PROFILE], seasons=[2099]).unchanged_seasons == (2099,)


def test_nothing_to_grade_is_told(folder: Path, tmp_path: Path) -> None:
    """An empty lake, a season or session that is not there: the text says what is."""
    with pytest.raises(DriveGradeError, match=r"seasons with laps: none\. Bring them in"):
        regrade.regrade(tmp_path / "absent", [BASELINE_PROFILE])
    with pytest.raises(DriveGradeError, match="seasons with laps: 2098, 2099"):
        regrade.regrade(folder, [BASELINE_PROFILE], seasons=[1950])
    with pytest.raises(DriveGradeError, match="seasons with laps: 2098, 2099"):
        regrade.regrade(folder, [BASELINE_PROFILE], sessions=[SessionKey(2099, 30)])


def test_a_session_without_laps_is_not_graded(folder: Path) -> None:
    """It stays in the lake as it is; the others of its season are graded."""
    tables = simulated.fetch(RACE, Settings())
    bare = moved(tables, SessionKey(2098, 2))
    nothing = {
        name: bare[name].clear() for name in NORMALIZED if name not in {"sessions", "entries"}
    }
    lake.write_session(folder, SessionKey(2098, 2), {**bare, **nothing})
    regrade.regrade(folder, [BASELINE_PROFILE])
    metrics = derived(folder)["driver_metrics"]
    assert "2098-2" not in set(metrics["session_id"])
    assert "2098-1" in set(metrics["session_id"])
    assert lake.read_session(folder, SessionKey(2098, 2))["entries"].height == 20


@pytest.mark.realdata
def test_races_of_history_alone(history_lake: Path) -> None:
    """Races drawn from 1996 to 2023 are the same alone as in a regrade of everything."""
    timed = lake.scan(history_lake, "laps").select("session_id").unique().collect().to_series()
    drawn = random.Random(4).sample(sorted(timed), runs(5, 50))  # noqa: S311 - drawn, not secret
    keys = [SessionKey.parse(session_id) for session_id in drawn]
    seen, seasons = lake.snapshot(history_lake), {key.season for key in keys}
    stored = {name: seen.scan(name, seasons, keys).collect() for name in (*NORMALIZED, *DERIVED)}
    for session_id in drawn:
        own = {name: rows.filter(session_id=session_id) for name, rows in stored.items()}
        for name, expected in grade_alone(own).items():
            key = TABLES[name].primary_key()
            assert_frame_equal(own[name].sort(key), expected.sort(key), check_exact=True)
