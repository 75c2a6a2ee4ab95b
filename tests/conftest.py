"""What all tests share: the real races, golden files, and sessions made by hand."""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, cast

import polars as pl
import pytest
from filelock import FileLock
from polars.testing import assert_frame_equal

from loaders.embedded import embedded_postgres
from loaders.history import import_history
from loaders.postgres import connect
from loaders.profiles import read_profile
from loaders.providers import fastf1
from loaders.providers.fastf1_process import ask_child
from loaders.regrade import regrade
from loaders.settings import Settings
from tests.real_races import FOLDERS, RACES, copy_cache
from tests.soak import IS_SOAK, SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.tables import SessionKey
    from loaders.history import HistoryReport
    from loaders.providers import SessionTables
    from tests.soak import Figure

    RawRace = Callable[[SessionKey], dict[str, pl.DataFrame]]
    RealRace = Callable[[SessionKey], SessionTables]

GOLDEN = Path(__file__).parent / "golden"

LONGEST = (
    "docs_commands",
    "end_to_end",
    "crashes",
    "properties",
    "regrade",
    "calendar",
    "history",
    "fastf1",
    "command_line",
    "jobs",
    "one_file",
    "regrade_v2",
    "queue",
    "jolpica",
    "load",
    "fallback",
    "lake",
    "library",
    "explore",
    "postgres",
    "fastf1_frames",
    "docs_notebook",
    "docs_site",
    "scheduling",
    "pictures",
    "server_faults",
    "regrade_beside_ingest",
    "commands_lake",
    "report",
    "attempts",
    "openf1_faults",
    "fastf1_faults",
    "pace",
    "cache",
    "driver_contract",
    "golden",
    "revisions",
    "description",
)
"""Files of tests by how long they take, the longest first."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer `--update-golden`."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite golden files; review the diff and say in CHANGELOG.md what moved and why",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of a soak, and the seed that replays it."""
    if not IS_SOAK:
        return
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    found = sorted(
        str(value) for each in reports for name, value in each.user_properties if name == "figure"
    )
    terminalreporter.section(f"figures, DRIVEGRADE_SEED={SEED}")
    for line in found:
        terminalreporter.line(line)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Record what a reliability test counted: its number in the plan, and the figures."""

    def record(name: str, counted: object) -> None:
        record_property("figure", f"{name}: {counted}")

    return record


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left with one at the end."""
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of the real races; skips, and says so, when DRIVEGRADE_REALDATA is not set."""
    named = os.environ.get("DRIVEGRADE_REALDATA")
    if not named:
        pytest.skip("DRIVEGRADE_REALDATA is not set: tests on real races are left out")
    folder = Path(named)
    assert folder.is_dir(), f"DRIVEGRADE_REALDATA names no folder: {folder}"
    return folder


@pytest.fixture(scope="session")
def real_race_raw(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> RawRace:
    """Take FastF1's frames of a real race from its recorded cache, each once for all processes.

    FastF1's debug switch is on all the while: it must not reach the child process. A race that is
    for a soak skips the test that asks for it.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    shared = tmp_path_factory.getbasetemp().parent / f"real-races-{run}"
    settings = copy_cache(realdata, tmp_path_factory.mktemp("fastf1"), *RACES)

    def get(session: SessionKey) -> dict[str, pl.DataFrame]:
        if session in FOLDERS and session not in RACES:
            pytest.skip(f"{session.session_id} is for a soak")
        folder = shared / session.session_id
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if not (folder / "whole").exists():
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("FASTF1_DEBUG", "1")
                    ask_child(session, settings, folder)
                (folder / "whole").touch()
        return {path.stem: pl.read_ipc(path.read_bytes()) for path in folder.glob("*.arrow")}

    return get


@pytest.fixture(scope="session")
def real_race(real_race_raw: RawRace) -> RealRace:
    """Fetch a real race through FastF1, each once a process."""
    made: dict[SessionKey, SessionTables] = {}

    def get(session: SessionKey) -> SessionTables:
        if session not in made:
            made[session] = fastf1.parse(session, real_race_raw(session))
        return made[session]

    return get


@pytest.fixture(scope="session")
def history_lake(imported_history: tuple[Settings, HistoryReport]) -> Path:
    """A lake of all of history, graded. Do not write."""
    return imported_history[0].lake


@pytest.fixture(scope="session")
def imported_history(
    realdata: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, HistoryReport]:
    """Settings whose lake has all of history, graded, and the report on how it came there.

    Made once, whichever process asks first. Do not write what would change the lake.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    home = tmp_path_factory.getbasetemp().parent / f"history-{run}"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "lock"):
        made, kept = Settings(home=home), home / "report"
        if not kept.exists():
            report = import_history(realdata / "history", made)
            regrade(made.lake, [read_profile("baseline")])
            kept.write_bytes(pickle.dumps(report))
        return made, cast("HistoryReport", pickle.loads(kept.read_bytes()))  # noqa: S301 -- ours


@pytest.fixture(scope="session")
def server_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a server with all migrations, stopped; made once, whichever process asks first."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    home = tmp_path_factory.getbasetemp().parent / f"server-{run}"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "lock"):
        if not (home / "whole").exists():
            with embedded_postgres(home / "pg"), connect(Settings(home=home, database_url=None)):
                (home / "whole").touch()
    return home / "pg"


@pytest.fixture(scope="module")
def settings(server_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings with a home of their own, whose embedded PostgreSQL runs as long as the module."""
    made = Settings(home=tmp_path_factory.mktemp("home"), database_url=None)
    subprocess.run(["cp", "-a", server_files, made.home / "pg"], check=True)
    with embedded_postgres(made.home / "pg"):
        yield made


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, pl.DataFrame], None]:
    """Compare a frame with tests/golden/NAME.csv, or rewrite the file with --update-golden.

    Floats are compared, and written, to nine decimals.
    """

    def compare(name: str, frame: pl.DataFrame) -> None:
        path = GOLDEN / f"{name}.csv"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            frame.write_csv(path, float_precision=9)
            return
        assert path.exists(), f"{path.name} is missing: run pytest --update-golden and review it"
        expected = pl.read_csv(path, schema=frame.schema)
        assert_frame_equal(frame, expected, check_exact=False, rel_tol=0, abs_tol=1e-9)

    return compare
