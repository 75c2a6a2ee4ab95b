"""The command line as a person, or a script, meets it."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.tables import SessionKey
from loaders.display import load_sentence, show_comparison
from loaders.jobs import IngestReport
from loaders.postgres import LoadReport
from tests.profiles import BASELINE_PROFILE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.loaders.conftest import Run

WEEKEND = {
    "season": 2000,
    "round": 1,
    "drivers": [
        {
            "driver": "second",
            "car_pace": {"base_delta": 0.0},
            "form": {"consistency": 0.5, "error_rate": 0.0, "start_precision": 0.5},
            "lap_deltas": [0.82, None, -0.82],
            "overtakes": [{"exposure_time": 2, "context": {}}, {"event_type": "defence"}],
        },
        {"driver": "first"},
    ],
}


def test_demo_prints_the_grades_of_every_bundled_weekend(run: Run) -> None:
    """Names, places, and the mark that they are simulated."""
    code, out, _ = run("demo", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {(row["season"], row["round"], row["session_kind"]) for row in rows} == {
        (2099, 1, "race"),
        (2099, 2, "race"),
        (2099, 2, "sprint"),
        (2099, 3, "race"),
    }
    assert all(row["event_name"].startswith("Simulated") for row in rows)
    code, out, _ = run("grades", "2099", "2", "--session", "sprint")
    assert code == 0
    assert "Simulated" in out


def test_ingest_says_that_nothing_changed(run: Run) -> None:
    """The second time no row is written."""
    sprint = ("ingest", "2099", "2", "--session", "sprint", "--provider", "simulated")
    run(*sprint)
    code, out, _ = run(*sprint)
    assert code == 0
    assert "unchanged" in out
    code, out, _ = run(*sprint, "--json")
    assert json.loads(out)["changed_rows"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("ingest", "2098", "1", "--provider", "simulated"), 3, "2099-1"),
        (("ingest", "2025", "1", "--provider", "nobody"), 3, "fastf1"),
        (("grades", "1955"), 1, "drivegrade ingest"),
        (("profile", "show", "nobody"), 5, "baseline 1"),
        (("profile", "activate", "nobody"), 5, "baseline 1"),
        (("ingest", "2025", "1", "--session", "practice"), 2, "race, sprint"),
        (("ingest", "1949", "1"), 2, "1950"),
        (("ingest", "2025", "1", "--provider", "openf1", "--fill"), 2, "leave one out"),
    ],
)
def test_a_mistake_ends_with_its_message(
    run: Run, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """A remedy, an exit code of its own, and no traceback."""
    found, out, err = run(*arguments)
    assert found == code
    assert said in err
    assert "Traceback" not in out + err


def test_ingest_tells_who_was_asked_before(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jolpica's answers are not in the cache, so the next provider in the order is taken."""
    monkeypatch.setenv("DRIVEGRADE_PROVIDERS", "jolpica, simulated")
    monkeypatch.setenv("DRIVEGRADE_OFFLINE", "1")
    code, out, _ = run("ingest", "2099", "2", "--session", "sprint")
    assert code == 0
    assert out.startswith("2099-2-sprint from simulated: ")
    assert "not from jolpica: jolpica: no answer from " in out


def test_an_ingest_says_what_was_filled() -> None:
    """One line for each source and table, with the rows of each column."""
    load = LoadReport("2025-1", "loaded")
    marks = (
        {"table_name": "laps", "column_name": "compound", "data_source": "b", "filled_rows": 2},
        {"table_name": "laps", "column_name": "position", "data_source": "b", "filled_rows": 9},
        {"table_name": "laps", "column_name": "position", "data_source": "c", "filled_rows": 1},
    )
    report = IngestReport(SessionKey(2025, 1), "a", BASELINE_PROFILE, 20, load, filled=marks)
    assert load_sentence(report).splitlines()[1:] == [
        "  filled from b: laps (compound 2, position 9)",
        "  filled from c: laps (position 1)",
    ]
    assert report.as_row()["filled"] == list(marks)


def test_a_comparison_is_a_line_for_each_column(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that only one has are said once a table; what does not differ is not shown."""
    row = {
        "table": "laps",
        "rows_in_both": 970,
        "rows_only_first": 1,
        "rows_only_second": 0,
        "compared": 946,
        "largest_difference": -17.0,
    }
    rows = [
        {**row, "column": "position", "differing": 54, "example": "2023-10 gasly 4: 3 / 2"},
        {**row, "column": "compound", "differing": 0, "example": None},
    ]
    show_comparison(rows, "2023-10", "fastf1", "openf1")
    out = capsys.readouterr().out
    assert "laps: 970 rows from both, 1 only from fastf1\n" in out
    assert out.count("only from") == 1
    assert [line.split()[1::2] for line in out.splitlines() if "laps.position" in line] == [
        ["laps.position", "946", "54", "-17.000", "gasly", "3", "2"]
    ]
    assert "compound" not in out


def test_compare_shows_only_what_differs(run: Run) -> None:
    """A source agrees with itself; with --all every column is listed."""
    same = ("2099", "2", "--session", "sprint", "--first", "simulated", "--second", "simulated")
    assert run("compare", *same)[1].endswith("Every value that both know is equal.\n")
    pair = (*same, "--json")
    assert run("compare", *pair) == (0, "", "")
    _, out, _ = run("compare", *pair, "--all")
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["table"] for row in rows} == {"entries", "laps", "pit_stops", "driver_metrics"}
    assert all(row["differing"] == 0 for row in rows)


def test_doctor_tries_everything(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finding has a state; a provider that does not exist is a failure with a remedy."""
    monkeypatch.setenv("DRIVEGRADE_PROVIDERS", "simulated")
    code, out, _ = run("doctor", "--json")
    states = {row["subject"]: row["state"] for row in map(json.loads, out.splitlines())}
    assert (code, states["PostgreSQL"], states["lake"]) == (0, "ok", "ok")
    monkeypatch.setenv("DRIVEGRADE_PROVIDERS", "nobody")
    code, out, _ = run("doctor")
    assert code == 1
    assert "failed" in out


def test_profiles_are_imported_versioned_and_activated(run: Run, tmp_path: Path) -> None:
    """A changed profile of the same name is its next version; one is active."""
    path = tmp_path / "mine.json"
    body = BASELINE_PROFILE.model_dump() | {"name": "mine"}
    path.write_text(json.dumps(body), encoding="utf-8")
    assert run("profile", "import", str(path))[1] == "mine version 1 stored\n"
    assert run("profile", "import", str(path))[1] == "mine version 1 was stored already\n"
    path.write_text(json.dumps(body | {"penalty_normalizer": 20.0}), encoding="utf-8")
    assert run("profile", "import", str(path))[1] == "mine version 2 stored\n"
    assert run("profile", "activate", "mine")[0] == 0
    listed = [json.loads(line) for line in run("profile", "list", "--json")[1].splitlines()]
    active = [(row["profile_name"], row["profile_version"]) for row in listed if row["is_active"]]
    assert active == [("mine", 2)]
    assert json.loads(run("profile", "show")[1])["penalty_normalizer"] == 20.0
    run("profile", "activate", "baseline")


def test_a_profile_with_a_zero_divisor_is_refused(run: Run, tmp_path: Path) -> None:
    """And nothing of it is stored."""
    path = tmp_path / "zero.json"
    body = BASELINE_PROFILE.model_dump() | {"name": "zero", "penalty_normalizer": 0.0}
    path.write_text(json.dumps(body), encoding="utf-8")
    code, _, err = run("profile", "import", str(path))
    assert code == 5
    assert "penalty_normalizer" in err
    assert "zero" not in run("profile", "list", "--json")[1]


def test_score_prints_a_line_for_each_profile_and_driver(run: Run, tmp_path: Path) -> None:
    """In the order of the file, with raw and normalized components, counters and total."""
    path = tmp_path / "weekends.jsonl"
    path.write_text(json.dumps(WEEKEND) + "\n", encoding="utf-8")
    code, out, _ = run("score", str(path), "--profile", "baseline")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(row["profile"], row["round"], row["driver"]) for row in rows] == [
        ("baseline", 1, "second"),
        ("baseline", 1, "first"),
    ]
    assert rows[0]["consistency_raw"] == pytest.approx(0.8)
    assert rows[0]["racecraft_raw"] == pytest.approx(0.24101535854799097)
    assert (rows[0]["on_track_events"], rows[0]["pit_cycle_events"]) == (1, 1)
    assert rows[1]["total_grade"] == pytest.approx(0.275)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1"),
        (
            '{"season": 2000, "round": 1, "drivers": [{"driver": "a", "lap_deltas": [NaN]}]}',
            "line 1",
        ),
        (
            '{"season": 2000, "round": 1, "drivers": [{"driver": "a", "lap_deltas": ["1"]}]}',
            "lap_deltas",
        ),
        (
            '{"season": 2000, "round": 1, "drivers": [{"driver": "a"}, {"driver": "a"}]}',
            "primary_key",
        ),
    ],
)
def test_a_bad_weekend_is_refused(run: Run, tmp_path: Path, line: str, said: str) -> None:
    """NaN, text for numbers, and a driver listed twice; no line is printed."""
    path = tmp_path / "weekends.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    code, out, err = run("score", str(path))
    assert code == 4
    assert out == ""
    assert said in err


@pytest.mark.realdata
def test_score_reproduces_the_vectors(run: Run, realdata: Path, tmp_path: Path) -> None:
    """All rows of the compatibility vectors, four profiles, to 1e-9."""
    vectors = realdata.parent / "vectors" / "compat"
    if not vectors.is_dir():
        pytest.skip("the compatibility vectors are not beside the real data")
    weekends = tmp_path / "weekends.jsonl"
    weekends.write_bytes(gzip.decompress((vectors / "weekends.jsonl.gz").read_bytes()))
    profiles = [f"--profile={path}" for path in sorted(vectors.glob("profile_*.json"))]
    code, out, _ = run("score", str(weekends), *profiles)
    assert code == 0
    expected = pl.read_ndjson(gzip.decompress((vectors / "expected.jsonl.gz").read_bytes()))
    key = ["profile", "season", "round", "driver"]
    assert expected.n_unique(key) == expected.height == 8112
    found = pl.read_ndjson(out.encode()).sort(key)
    assert_frame_equal(found, expected.sort(key), check_column_order=False, rel_tol=0, abs_tol=1e-9)
