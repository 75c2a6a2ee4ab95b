"""`drivegrade regrade` and `drivegrade lake`, as a person or a script meets them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import polars as pl
import pytest

from loaders import lake
from loaders.providers import simulated

if TYPE_CHECKING:
    from pathlib import Path

    from loaders.settings import Settings
    from tests.loaders.conftest import Run


@pytest.fixture(scope="module")
def bundled(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a lake of the bundled sessions, ungraded. Do not write."""
    folder = tmp_path_factory.mktemp("bundled")
    for session in simulated.sessions():
        lake.write_session(folder, session, simulated.fetch(session, settings))
    return folder


@pytest.fixture(autouse=True)
def filled(settings: Settings, bundled: Path) -> None:
    """Put the bundled sessions into the lake, and nothing else."""
    shutil.rmtree(settings.lake, ignore_errors=True)
    shutil.copytree(bundled, settings.lake)


def test_regrade_says_what_it_did(run: Run) -> None:
    """Rows by table; the second time one season is unchanged and none is graded."""
    code, out, err = run("regrade", "--all", "--force")
    assert (code, err) == (0, "")
    assert "graded with v2: 1 seasons" in out
    assert "driver_metrics: 79 rows" in out
    code, out, _ = run("regrade", "--all", "--json")
    told = json.loads(out)
    assert (code, told["graded_seasons"], told["unchanged_seasons"]) == (0, [], [2099])


def test_one_round_under_a_profile_of_a_file(run: Run, settings: Settings, tmp_path: Path) -> None:
    """Race and sprint of the round; the warehouse need not know the profile."""
    code, out, _ = run("profile", "show", "baseline")
    body = {**json.loads(out), "name": "mine", "penalty_normalizer": 3.0}
    (tmp_path / "mine.json").write_text(json.dumps(body))
    arguments = ("--season", "2099", "--round", "2", "--profile", str(tmp_path / "mine.json"))
    code, _, err = run("regrade", *arguments)
    assert (code, err) == (0, "")
    metrics = lake.scan(settings.lake, "driver_metrics").filter(pl.col("profile_name") == "mine")
    sessions = metrics.select("session_id").unique().collect().to_series()
    assert sorted(sessions) == ["2099-2", "2099-2-sprint"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name seasons with --season, or all of them with --all"),
        (("--all", "--season", "2099"), "name seasons with --season"),
        (("--all", "--round", "1"), "--round needs just one --season"),
        (("--season", "1950"), "seasons with laps: 2099"),
        (("--all", "--profile", "absent"), "no calibration profile 'absent' is stored"),
    ],
)
def test_what_cannot_be_meant_is_told(run: Run, arguments: tuple[str, ...], said: str) -> None:
    """No traceback, and what to say instead."""
    code, _, err = run("regrade", *arguments)
    assert code != 0
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def test_a_sweep_writes_one_file(run: Run, tmp_path: Path) -> None:
    """Two by two profiles, one season: four rows."""
    grid, output = tmp_path / "grid.json", tmp_path / "out.parquet"
    grid.write_text('{"grid": {"consistency_tolerance": [1, 4], "pace_boost_cap": [0, 0.25]}}')
    code, out, err = run("regrade", "--all", "--sweep", str(grid), "--output", str(output))
    assert (code, err) == (0, "")
    assert "4 profiles, 4 rows" in out
    assert pl.read_parquet(output)["consistency_tolerance"].to_list() == [1.0, 1.0, 4.0, 4.0]


def test_verify_finds_a_flipped_bit_and_forgets_it(run: Run, settings: Settings) -> None:
    """Exit 8 until the file is forgotten; then the season can be written again."""
    code, out, _ = run("lake", "verify")
    assert code == 0
    assert "are what was written" in out
    path = lake.snapshot(settings.lake).files("laps")[2099]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    code, out, _ = run("lake", "verify", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 8
    assert [row["state"] for row in rows if row["file"] == str(path)] == ["damaged"]
    code, _, err = run("regrade", "--all", "--force")
    assert code == 8
    assert f"{path} is damaged" in err
    assert run("lake", "verify", "--forget")[0] == 0
    assert run("lake", "verify")[0] == 0


def test_garbage_is_left_until_nobody_reads_it(run: Run) -> None:
    """Files are younger than the grace, so none goes."""
    code, out, _ = run("lake", "gc", "--json")
    assert (code, json.loads(out)) == (0, {"removed": 0, "bytes": 0})


def test_ingest_into_a_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One season's row tells what the file has; another kind of URL is told what there is."""
    monkeypatch.setenv("DRIVEGRADE_HOME", str(tmp_path))
    target = f"sqlite:///{tmp_path}/grades.db"
    code, out, err = run("ingest", "2099", "1", "--provider", "simulated", "--to", target, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["loaded"] >= 1
    assert (tmp_path / "grades.db").stat().st_size > 0
    code, _, err = run("ingest", "2099", "1", "--to", "postgresql://x/y")
    assert code != 0
    assert "neither sqlite:///FILE nor duckdb:///FILE" in " ".join(err.split())
