"""Explanations: they add up, name rows that exist, and refuse what they cannot explain."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from typer.testing import CliRunner

from engine.tables import SessionKey
from engine.v2.rating import STATE_SCHEMA
from engine.v2.rating_state import Member, read_state
from loaders import lake
from loaders.__main__ import app
from loaders.display_explain import ranges
from loaders.explain_grade import ExplainError, explain
from loaders.profiles import read_profile
from loaders.providers import simulated
from loaders.regrade import regrade
from loaders.settings import Settings
from tests.frames import frame
from tests.profiles_v2 import V2_PROFILE
from tests.soak import runs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from loaders.explain_drive import Line
    from loaders.explain_sections import Sections
    from tests.conftest import RealRace

RACE = SessionKey(2099, 2)
SPRINT = SessionKey(2099, 2, "sprint")
CANADA = SessionKey(2024, 9)
Z = 1.6448536269514722

LAKE_TABLES = {
    "core.driver_metrics": "driver_metrics",
    "core.grade_evidence": "grade_evidence",
    "core.pass_events": "pass_events",
    "core.slow_laps": "slow_laps",
    "core.pit_cycles": "pit_cycles",
    "core.penalty_events": "penalty_events",
    "core.strategy_events": "strategy_events",
    "core.entries": "entries",
    "public.lap_times": "laps",
}
"""Table of the warehouse → table of the lake."""

SUMS = {
    "racecraft": ("counted", "racecraft_raw"),
    "burden": ("counted", "penalties_raw"),
    "stops": ("lost_s", "pit_cycle_lost_s"),
}
"""Section → what its lines add up, and to which column of the evidence."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Make a lake of two bundled weekends, graded with both models."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    for session in simulated.sessions()[:3]:
        lake.write_session(settings.lake, session, simulated.fetch(session, settings))
    regrade(settings.lake, [read_profile("baseline"), V2_PROFILE])
    return settings


def row_of(settings: Settings, table: str, session: SessionKey, driver: str) -> Line:
    """Read a driver's row of model v2."""
    rows = lake.snapshot(settings.lake).scan(table, sessions=[session])
    return rows.filter(driver_id=driver, model_version="v2").collect().to_dicts()[0]


def drivers(settings: Settings, session: SessionKey) -> list[str]:
    """List the graded drivers."""
    rows = lake.snapshot(settings.lake).scan("grade_evidence", sessions=[session]).collect()
    return sorted(rows["driver_id"])


def added(lines: Iterable[Line], name: str, total: str) -> float:
    """Add up what the lines count, without the sums among them."""
    sums = {total, "driver", "team"}
    return math.fsum(line.get(name) or 0.0 for line in lines if line["name"] not in sums)


def assert_adds_up(settings: Settings, session: SessionKey, driver: str) -> Sections:
    """See that what is shown adds up to what is stored."""
    _, sections = explain(settings, session, driver)
    grades = row_of(settings, "driver_metrics", session, driver)
    evidence = row_of(settings, "grade_evidence", session, driver)
    whole = math.fsum(line["contribution"] or 0.0 for line in sections["components"])
    if grades["total_grade"] is not None:
        assert whole == pytest.approx(grades["total_grade"], rel=0, abs=1e-12)
    for section, (name, column) in SUMS.items():
        if evidence[column] is not None:
            found = added(sections[section], name, column)
            assert found == pytest.approx(evidence[column], rel=0, abs=1e-9), section
    used, *refused = (line["laps"] for line in sections["laps"])
    assert (used, sum(refused)) == (evidence["clean_laps"], evidence["refused_laps"])
    at_risk = sum(line.get("laps", 0) for line in sections["racecraft"])
    assert at_risk == evidence["attack_laps"] + evidence["defence_laps"]
    return sections


def rows_of(settings: Settings, session: SessionKey) -> dict[str, pl.DataFrame]:
    """Read a session's rows by table of the warehouse."""
    seen = lake.snapshot(settings.lake)
    return {
        name: seen.scan(table, sessions=[session]).collect() for name, table in LAKE_TABLES.items()
    }


def assert_rows_exist(stored: dict[str, pl.DataFrame], sections: Sections) -> None:
    """See that each line's key finds rows, all of them where it lists them."""
    for line in (line for lines in sections.values() for line in lines):
        rows = stored[line["table"]]
        for column, value in line["key"].items():
            listed = value if isinstance(value, list) else [value]
            rows = rows.filter(pl.col(column).is_in(listed))
        laps = line["key"].get("lap_number")
        if isinstance(laps, list):
            assert rows.height == len(laps), line
        elif line["name"] != "place_after_lap_1":
            assert not rows.is_empty(), line
        if line["table"] == "core.pass_events":
            assert rows.height == line["laps"]
            assert rows["expectation"].sum() == pytest.approx(line["expected_passes"])


def test_a_simulated_race_adds_up_and_names_its_rows(home: Settings) -> None:
    """Some drivers, down to the last lap at risk; nothing is told twice or left out."""
    told, stored = set[str](), rows_of(home, RACE)
    for driver in drivers(home, RACE)[:: runs(5, 3)]:
        sections = assert_adds_up(home, RACE, driver)
        assert_rows_exist(stored, sections)
        told |= {line.get("name", "laps") for lines in sections.values() for line in lines}
    assert told >= {"pass_made", "pass_suffered", "not_passed", "slow_lap", "stop", "team_mate"}


@pytest.mark.realdata
def test_a_real_race_adds_up_and_names_its_rows(real_race: RealRace, tmp_path: Path) -> None:
    """Canada 2024: rain, safety cars, retirements and penalties."""
    settings = Settings(home=tmp_path)
    lake.write_session(settings.lake, CANADA, real_race(CANADA))
    regrade(settings.lake, [V2_PROFILE])
    told, stored = set[str](), rows_of(settings, CANADA)
    for driver in drivers(settings, CANADA)[:: runs(5, 2)]:
        sections = assert_adds_up(settings, CANADA, driver)
        assert_rows_exist(stored, sections)
        told |= {line.get("refused_for") or line["name"] for line in sections["mistakes"]}
        told |= {line["refused_for"] or "" for line in sections["laps"]}
    assert told >= {"slow_lap", "neutralized", "in_lap"}


def line_of(sections: Sections, section: str, **about: object) -> Line:
    """Find one line."""
    (found,) = [
        line
        for line in sections[section]
        if all(line.get(name) == value for name, value in about.items())
    ]
    return found


def test_pace_against_the_team_mate(home: Settings) -> None:
    """The difference of two paces; its error is the root of the sum of both squares."""
    first = drivers(home, RACE)[0]
    mate = line_of(explain(home, RACE, first)[1], "pace", name="team_mate")
    own, other = (
        row_of(home, "grade_evidence", RACE, driver) for driver in mate["key"]["driver_id"]
    )
    gap = other["pace_pct"] - own["pace_pct"]
    reach = Z * (own["pace_se_pct"] ** 2 + other["pace_se_pct"] ** 2) ** 0.5
    assert mate["faster_pct"] == pytest.approx(gap)
    assert (mate["low_pct"], mate["high_pct"]) == pytest.approx((gap - reach, gap + reach))


def test_the_rating_before_is_the_state_gone_on_from(home: Settings) -> None:
    """A new round leaves a driver's rating and adds 0.015² to its variance."""
    driver = drivers(home, SPRINT)[0]
    head, sections = explain(home, SPRINT, driver)
    assert head["state_session_id"] == "2099-1"
    rows = lake.snapshot(home.lake).scan("rating_states", sessions=[SessionKey(2099, 1)])
    kept = rows.filter(pl.col("has_qualifying")).select(STATE_SCHEMA.names()).collect()
    state = read_state(kept)
    place = state.members.index(Member(is_driver=True, member_id=driver))
    before = line_of(sections, "rating", name="rating", when="before")
    reach = Z * (state.covariance[place, place] + 0.015**2) ** 0.5
    assert before["faster_pct"] == pytest.approx(-state.mean[place])
    assert before["high_pct"] - before["faster_pct"] == pytest.approx(reach)


def test_the_first_race_of_all_goes_on_from_nothing(home: Settings) -> None:
    """There is no state, so what was expected has no interval."""
    first = SessionKey(2099, 1)
    head, sections = explain(home, first, drivers(home, first)[0])
    assert head["state_session_id"] is None
    assert line_of(sections, "rating", name="car", when="before")["low_pct"] is None


def test_rows_that_do_not_add_up_are_refused(home: Settings, tmp_path: Path) -> None:
    """A profile of the same name with other weights did not make the grades that are stored."""
    weights = V2_PROFILE.weights.model_copy(update={"racecraft": 0.4})
    other = V2_PROFILE.model_copy(update={"weights": weights})
    (tmp_path / "other.json").write_text(other.model_dump_json())
    with pytest.raises(ExplainError, match=r"the contributions add up to .* is stored.*--force"):
        explain(home, RACE, drivers(home, RACE)[0], str(tmp_path / "other.json"))


ENTERED = (
    ("ann_black", "BLA", "Ann Black", "finished"),
    ("raikkonen", "RAI", "Kimi Räikkönen", "finished"),
    ("tim_black", "TBL", "Tim Black", "finished"),
    ("absent", None, "Lee de Wit", "did_not_start"),
)


@pytest.fixture(scope="module")
def ungraded(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Make a lake of one race with four entries and a lap, not graded."""
    settings = Settings(home=tmp_path_factory.mktemp("ungraded"))
    names = ("driver_id", "driver_code", "driver_name", "status")
    rows = [{**dict(zip(names, row, strict=True)), "team_id": "one"} for row in ENTERED]
    driven: dict[str, Any] = {"driver_id": "raikkonen", "lap_number": 1, "lap_time_ms": 90_000}
    tables = {
        "sessions": frame("sessions", [{}]),
        "entries": frame("entries", rows),
        "laps": frame("laps", [driven]),
    }
    lake.write_session(settings.lake, SessionKey(2025, 1), tables)
    return settings


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        ("raikkonen", r"of 2025-1\. Make them with: drivegrade regrade --season 2025 --model v2"),
        ("rai", "regrade --season 2025"),
        ("RÄIKKÖNEN", "regrade --season 2025"),
        ("ann black", "regrade --season 2025"),
        ("De Wit", "Lee de Wit, who did not start"),
        ("black", r"may be ann_black \(BLA Ann Black\), tim_black \(TBL Tim Black\) in 2025-1"),
        ("konen", r"no driver 'konen' in 2025-1\. There drove absent \(Lee de Wit\), ann_black"),
        ("", "no driver ''"),
    ],
)
def test_a_driver_is_found_by_any_of_his_names(ungraded: Settings, driver: str, says: str) -> None:
    """Id, code, family or full name; else the refusal lists who there is."""
    with pytest.raises(ExplainError, match=says):
        explain(ungraded, SessionKey(2025, 1), driver)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("2025", "2", "x", "--session", "sprint"), 1, "ingest 2025 2 --session sprint"),
        (("2025", "1", "rai", "--profile", "baseline"), 1, "profile baseline is of model v1"),
        (("2025", "1", "rai", "--profile", "none"), 5, "none cannot be read"),
        (("2025", "1", "rai", "--session", "test"), 2, "is none of race, sprint"),
    ],
)
def test_the_command_says_what_it_cannot_explain(
    ungraded: Settings, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """With the exit code of the error."""
    environment = {"DRIVEGRADE_HOME": str(ungraded.home)}
    shown = CliRunner().invoke(app, ["explain", *arguments], env=environment)
    told = f"{shown.exception} {shown.output}".replace("│", " ")
    assert says in " ".join(told.split())
    assert getattr(shown.exception, "exit_code", shown.exit_code) == code


def test_the_command_prints_tables_for_people_and_lines_for_machines(home: Settings) -> None:
    """All of it in 100 columns; JSON has the same grade, and a row for every number."""
    driver = drivers(home, RACE)[0]
    environment = {"DRIVEGRADE_HOME": str(home.home), "COLUMNS": "100"}
    shown = CliRunner().invoke(app, ["explain", "2099", "2", driver], env=environment)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 100
    grade = row_of(home, "driver_metrics", RACE, driver)["grade"]
    assert f"Grade {grade:.1f} of 100 (90 % interval" in shown.output
    for text in ("core.grade_evidence", "core.pass_events", "into the pits", "no part of the"):
        assert text in shown.output
    told = CliRunner().invoke(app, ["explain", "2099", "2", driver, "--json"], env=environment)
    head, *lines = map(json.loads, told.output.splitlines())
    assert (head["section"], head["driver_id"]) == ("head", driver)
    assert [line["value"] for line in lines if line.get("name") == "grade"] == [grade]
    assert all(line["table"] in LAKE_TABLES and line["key"] for line in lines)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([4], "4"), ([2, 3, 4, 7, 9, 10], "2–4, 7, 9–10"), ([1, 3], "1, 3")],
)
def test_laps_are_written_as_ranges(numbers: list[int], text: str) -> None:
    """From the first to the last of each run."""
    assert ranges(numbers) == text
