"""Drive Grade as a library: five lines grade a race, and the numbers are those of an ingest."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.errors import ProfileError
from engine.tables import DERIVED, STORED, SessionKey, empty
from engine.v2.calibration import CalibrationProfileV2
from loaders import jobs, lake
from loaders import library as dg
from loaders.one_file import Target
from loaders.providers import ProviderError
from loaders.settings import Settings
from tests.real_races import copy_cache

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RealRace

MELBOURNE = SessionKey(2025, 1)
WEIGHTS = {"consistency": 0.3, "racecraft": 0.7}

NOTEBOOK = """
import fastf1
from loaders import library as dg

fastf1.Cache.enable_cache({cache!r})
fastf1.Cache.offline_mode(True)
session = fastf1.get_session(2025, 1, "R")
try:
    dg.from_fastf1(session)
except dg.DriveGradeError as error:
    print("refused:", error)
session.load(telemetry=False)
race = dg.from_fastf1(session)
print(race)
for name, frame in dg.evidence(race).items():
    frame.write_ipc({folder!r} + "/" + name + ".arrow")
try:
    dg.from_fastf1(fastf1.get_session(2025, 1, "Q"))
except dg.DriveGradeError as error:
    print("refused:", error)
"""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose only source is the bundled weekends."""
    home = tmp_path_factory.mktemp("simulated")
    return Settings(home=home, database_url=None, providers="simulated")


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Another."""
    home = tmp_path_factory.mktemp("empty")
    return Settings(home=home, database_url=None, providers="simulated")


def test_grades_are_what_an_ingest_stores(simulated: Settings) -> None:
    """To the last bit, from the state that the last ingest left."""
    target = Target("sqlite", simulated.home / "grades.db")
    jobs.ingest_file(SessionKey(2099, 1), simulated, target)
    race = dg.load_race(2099, 2, settings=simulated)
    computed = dg.evidence(race, settings=simulated)
    assert computed["grade_evidence"]["state_session_id"].unique().to_list() == ["2099-1"]
    jobs.ingest_file(race.session, simulated, target)
    stored = lake.read_session(simulated.lake, race.session)
    for name in DERIVED:
        assert_frame_equal(computed[name], stored[name], check_exact=True)


def test_the_best_come_first_and_who_has_no_grade_last(empty_home: Settings) -> None:
    """With names, and an interval around every grade."""
    race = dg.load_race(2099, 3, settings=empty_home)
    with pytest.warns(dg.NothingKnownWarning):
        grades = dg.grade(race, settings=empty_home)
    assert grades.columns == list(dg.SHOWN)
    totals = grades["total_grade"].to_list()
    known = [total for total in totals if total is not None]
    assert known == sorted(known, reverse=True) == totals[: len(known)]
    interval = grades.drop_nulls("grade").select(
        is_inside=pl.col("grade").is_between("grade_low", "grade_high")
    )
    assert interval["is_inside"].all()
    assert repr(race).startswith("<2099-3 Simulated ")
    assert race["laps"].height > 0


def test_a_changed_weight_moves_the_total_and_nothing_below_it(simulated: Settings) -> None:
    """Scores and rating state are the bundled profile's: the lake need not know the new one."""
    race = dg.load_race(2099, 3, settings=simulated)
    changed = dg.profile("v2", weights=WEIGHTS)
    assert isinstance(changed, CalibrationProfileV2)
    assert changed.weights.model_dump() == {**WEIGHTS, "penalty": 0.1}
    before = dg.grade(race, settings=simulated).sort("driver_id")
    after = dg.grade(race, changed, settings=simulated).sort("driver_id")
    scores = ("driver_id", "consistency_score", "racecraft_score", "penalty_score", "rating_state")
    assert_frame_equal(before.select(scores), after.select(scores), check_exact=True)
    known = after.drop_nulls(["consistency_score", "racecraft_score", "penalty_score"])
    total = known.select(
        pl.col("consistency_score") * 0.3
        + pl.col("racecraft_score") * 0.7
        - pl.col("penalty_score") * 0.1
    ).to_series()
    assert (total - known["total_grade"]).abs().max() < 1e-12  # type: ignore[operator]
    assert (before["total_grade"] - after["total_grade"]).abs().max() > 0.05  # type: ignore[operator]


def test_other_constants_begin_anew(simulated: Settings) -> None:
    """A rating is gone on from only by the constants that it was made with."""
    race = dg.load_race(2099, 3, settings=simulated)
    changed = dg.profile("v2", rating={"car_carry_over": 0.5})
    with pytest.warns(dg.NothingKnownWarning, match="profile changed"):
        dg.grade(race, changed, settings=simulated)


def test_what_is_kept_can_be_asked_and_regraded(empty_home: Settings) -> None:
    """Keeping races one by one leaves the lake that regrading it makes."""
    with pytest.warns(dg.NothingKnownWarning, match="2099-1: .*history import"):
        dg.keep(dg.load_race(2099, 1, settings=empty_home), settings=empty_home)
    race = dg.load_race(2099, 2, settings=empty_home)
    grades = dg.keep(race, settings=empty_home)
    kept = lake.read_session(empty_home.lake, race.session)
    assert set(kept) == set(STORED)
    asked = dg.sql(
        "select driver_name, total_grade from grades where session_id = '2099-2' "
        "order by total_grade desc nulls last, driver_id",
        settings=empty_home,
    )
    assert_frame_equal(asked, grades.select(asked.columns), check_exact=True)

    both = dg.regrade("v2", "baseline", seasons=[2099], settings=empty_home)

    assert both["profile_name"].unique().sort().to_list() == ["baseline", "v2"]
    again = both.filter(session_id="2099-2", profile_name="v2")
    assert_frame_equal(again, grades, check_exact=True)
    in_order = both["session_id"].unique(maintain_order=True).to_list()
    assert in_order == ["2099-1", "2099-2"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": {"consistency": 3}}, "weights.consistency"),
        ({"nonsense": 1}, "nonsense"),
        ({"name": "no spaces"}, "name"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(changes: dict[str, object], said: str) -> None:
    """The constant is named."""
    with pytest.raises(ProfileError, match=said):
        dg.profile("v2", **changes)  # type: ignore[arg-type]


def test_a_session_of_another_kind_is_refused(empty_home: Settings) -> None:
    """With the kinds that there are."""
    with pytest.raises(ProviderError, match="race, sprint"):
        dg.load_race(2099, 1, "qualifying", settings=empty_home)


@pytest.mark.realdata
def test_a_session_that_fastf1_has_loaded(
    realdata: Path, real_race: RealRace, tmp_path: Path
) -> None:
    """A notebook's session gives what the provider's tables do, bit for bit."""
    copy_cache(realdata, tmp_path, MELBOURNE)
    folder = tmp_path / "found"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK.format(cache=str(tmp_path), folder=str(folder))],
        env={"DRIVEGRADE_HOME": str(tmp_path), "HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("refused: fastf1 2025-1: ") for line in lines)
    assert "Call the session's load() first" in done.stdout
    shown = "<2025-1 Australian Grand Prix from fastf1: 20 drivers, 927 laps, 0 gaps>"
    assert shown in lines
    assert "refused: fastf1: Qualifying of Australian Grand Prix is not graded" in done.stdout
    home = Settings(home=tmp_path, database_url=None)
    tables = {**real_race(MELBOURNE), "qualifying": empty("qualifying")}
    with pytest.warns(dg.NothingKnownWarning):
        expected = dg.evidence(dg.Race(MELBOURNE, tables), settings=home)
    assert expected["driver_metrics"].height == 20
    for name in DERIVED:
        found = pl.read_ipc((folder / f"{name}.arrow").read_bytes())
        assert_frame_equal(found, expected[name], check_exact=True)
