"""Regrading with model v2: from session to session, whatever the partition, whoever starts."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.errors import DriveGradeError
from engine.tables import EVIDENCE, TABLES, SessionKey
from loaders import lake, regrade
from loaders.grading import BY_PROFILE
from loaders.previous import NOTHING, in_order, previous
from loaders.providers import simulated
from loaders.settings import Settings
from tests.loaders.test_regrade import OTHER_SEASON, RACE, moved
from tests.profiles import BASELINE_PROFILE
from tests.profiles_v2 import V2_PROFILE
from tests.soak import some

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from loaders.profiles import Profile

LAST = SessionKey(2099, 3)
SPRINT = SessionKey(2099, 2, "sprint")
OTHER_WEIGHTS = V2_PROFILE.model_copy(
    update={
        "name": "pace-only",
        "weights": V2_PROFILE.weights.model_copy(update={"racecraft": 0.0}),
    }
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake of five sessions of two seasons, graded with model v2. Do not write."""
    folder = tmp_path_factory.mktemp("lake")
    for session in simulated.sessions():
        lake.write_session(folder, session, simulated.fetch(session, Settings()))
    race = simulated.fetch(RACE, Settings())
    lake.write_session(folder, OTHER_SEASON, moved(race, OTHER_SEASON))
    regrade.regrade(folder, [V2_PROFILE])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Give a lake like `made` that may be written."""
    return shutil.copytree(made, tmp_path / "lake")


def graded(folder: Path, sessions: Collection[SessionKey] | None = None) -> dict[str, pl.DataFrame]:
    """Read what depends on the profile, ordered by key."""
    seen = lake.snapshot(folder)
    return {
        name: seen.scan(name, sessions=sessions).collect().sort(TABLES[name].primary_key())
        for name in BY_PROFILE
    }


def assert_same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> None:
    """All tables are the same to 1e-9."""
    for name, frame in one.items():
        assert_frame_equal(other[name], frame, check_exact=False, rel_tol=0, abs_tol=1e-9)


def test_every_driver_who_started_has_a_grade_with_evidence(made: Path) -> None:
    """One row of evidence per grade; a grade lies within its interval, all within 0 to 100."""
    found = graded(made)
    metrics = found["driver_metrics"].filter(pl.col("total_grade").is_not_null())
    assert found["driver_metrics"].height == found["grade_evidence"].height == 99
    assert metrics.height == 97  # two stopped before their fifth clean lap
    ends = metrics.select("grade_low", "grade", "grade_high", bottom=0.0, top=100.0)
    order = ("bottom", "grade_low", "grade", "grade_high", "top")
    for low, high in pairwise(order):
        assert (ends[low] <= ends[high]).all()
    assert metrics["grade"].n_unique() > 80
    states = found["rating_states"]
    assert states.height == 2 * found["session_evidence"].height == 10


def test_each_session_names_the_state_it_went_on_from(made: Path) -> None:
    """The one before it in time, the sprint before its Grand Prix, over the winter, too."""
    evidence = graded(made)["grade_evidence"]
    pairs = evidence.select("session_id", "state_session_id").unique()
    assert dict(pairs.iter_rows()) == {
        "2098-1": None,
        "2099-1": "2098-1",
        "2099-2-sprint": "2099-1",
        "2099-2": "2099-2-sprint",
        "2099-3": "2099-2",
    }


@pytest.mark.parametrize("session", some([SPRINT, OTHER_SEASON, RACE, LAST], 2), ids=str)
def test_a_race_from_the_stored_state_is_that_of_a_full_regrade(
    folder: Path, session: SessionKey
) -> None:
    """Grades, evidence and the state after it; its own stored rows are not looked at."""
    whole = graded(folder)
    rows = lake.read_session(folder, session)
    emptied = {name: rows[name].clear() for name in BY_PROFILE}
    lake.write_session(folder, session, emptied)
    regrade.regrade(folder, [V2_PROFILE], sessions=[session])
    assert_same(graded(folder), whole)


def test_season_by_season_is_all_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block goes on from the state that the block before has written."""
    whole = graded(folder)
    monkeypatch.setattr(regrade, "BLOCK_LAPS", 1)
    regrade.regrade(folder, [V2_PROFILE], force=True)
    assert_same(graded(folder), whole)


def test_two_models_at_once_are_one_after_the_other(folder: Path) -> None:
    """Grades of the other model stay, with their evidence."""
    regrade.regrade(folder, [BASELINE_PROFILE])
    one_by_one = graded(folder)
    assert set(one_by_one["driver_metrics"]["model_version"]) == {"v1", "v2"}
    regrade.regrade(folder, [BASELINE_PROFILE, V2_PROFILE], force=True)
    assert_same(graded(folder), one_by_one)


def test_a_corrected_lap_outdates_the_grades_of_the_other_model(folder: Path) -> None:
    """And their evidence goes with them; those of other sessions stay."""
    laps = lake.read_session(folder, RACE)["laps"]
    is_corrected = pl.col("driver_id") == laps["driver_id"].min()
    time = pl.when(is_corrected).then(pl.col("lap_time_ms") + 500).otherwise("lap_time_ms")
    lake.write_session(folder, RACE, {"laps": laps.with_columns(lap_time_ms=time.cast(pl.Int32))})
    regrade.regrade(folder, [BASELINE_PROFILE])
    for name, frame in graded(folder).items():
        of_v2 = frame.filter(pl.col("model_version") == "v2")
        assert RACE.session_id not in of_v2["session_id"].to_list(), name
        assert LAST.session_id in of_v2["session_id"].to_list() or name == "slow_laps"


def test_a_season_is_due_again_when_one_before_it_is(folder: Path) -> None:
    """Its state came from there; a second regrade finds nothing to do."""
    assert regrade.regrade(folder, [V2_PROFILE]).graded_seasons == ()
    results = lake.read_session(folder, OTHER_SEASON)["entries"]
    lake.write_session(folder, OTHER_SEASON, {"entries": results.with_columns(points=pl.lit(1.0))})
    assert regrade.regrade(folder, [V2_PROFILE]).graded_seasons == (2098, 2099)
    assert regrade.regrade(folder, [V2_PROFILE]).graded_seasons == ()
    assert regrade.regrade(folder, [BASELINE_PROFILE]).graded_seasons == (2098, 2099)


def test_a_later_season_alone_stays_due(folder: Path) -> None:
    """Graded from a state that is itself due, it is not taken for done."""
    results = lake.read_session(folder, OTHER_SEASON)["entries"]
    lake.write_session(folder, OTHER_SEASON, {"entries": results.with_columns(points=pl.lit(1.0))})
    assert regrade.regrade(folder, [V2_PROFILE], seasons=[2099]).graded_seasons == (2099,)
    assert regrade.regrade(folder, [V2_PROFILE]).graded_seasons == (2098, 2099)


def test_profiles_that_share_raw_values_share_evidence(folder: Path) -> None:
    """Other weights make another grade of the same raw values, under a name of its own."""
    before = graded(folder)
    both: Sequence[Profile] = [V2_PROFILE, OTHER_WEIGHTS]
    regrade.regrade(folder, both)
    found = graded(folder)
    for name in EVIDENCE:
        one = found[name].filter(pl.col("profile_name") == "v2")
        other = found[name].filter(pl.col("profile_name") == "pace-only")
        assert_frame_equal(one.drop("profile_name"), other.drop("profile_name"))
        assert_frame_equal(one, before[name])
    totals = found["driver_metrics"].pivot(
        "profile_name", index=["session_id", "driver_id"], values="total_grade"
    )
    assert (totals["v2"] != totals["pace-only"]).sum() > 0.9 * totals.height


def test_a_profile_of_another_version_begins_anew(folder: Path) -> None:
    """A state belongs to the constants that it was computed with."""
    again = V2_PROFILE.model_copy(update={"version": V2_PROFILE.version + 1})
    seen = lake.snapshot(folder)
    assert previous(seen, RACE, [V2_PROFILE]).states.height == 2
    assert previous(seen, RACE, [again]).states.is_empty()
    assert previous(seen, OTHER_SEASON, [V2_PROFILE]).states.is_empty()
    assert NOTHING.states.is_empty()


def test_sessions_with_others_between_are_refused(folder: Path) -> None:
    """Nothing says what happened in between; nothing is graded."""
    before = graded(folder)
    with pytest.raises(DriveGradeError, match="between 2099-1, 2099-3 others were held"):
        regrade.regrade(folder, [V2_PROFILE], sessions=[RACE, LAST])
    assert_same(graded(folder), before)


class BySeason(regrade.LocalGrader):
    """Grades like others, but says that it takes seasons in any order."""

    is_by_season = True


def test_a_grader_that_keeps_no_order_is_refused(folder: Path) -> None:
    """Model v1 may be spread over machines, model v2 may not."""
    with pytest.raises(DriveGradeError, match="leave out --engine ray"):
        regrade.regrade(folder, [V2_PROFILE], grader=BySeason(), force=True)
    regrade.regrade(folder, [BASELINE_PROFILE], grader=BySeason())


@pytest.mark.realdata
def test_real_races_from_the_stored_state(history_lake: Path, tmp_path: Path) -> None:
    """Races of 2019 alone, each from the state before it, are those of two seasons."""
    folder = shutil.copytree(history_lake, tmp_path / "lake")
    regrade.regrade(folder, [V2_PROFILE], seasons=[2018, 2019])
    races = [key for key in in_order(lake.sessions(folder)) if key.season == 2019]
    whole = graded(folder, races)
    assert whole["driver_metrics"].filter(pl.col("model_version") == "v2").height > 400
    for race in some((races[0], races[10], races[-1]), 1):
        expected = graded(folder, [race])
        regrade.regrade(folder, [V2_PROFILE], sessions=[race])
        assert_same(graded(folder, [race]), expected)
    assert_same(graded(folder, races), whole)
