"""What all tests share: the real races, golden files, and sessions made by hand."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from filelock import FileLock
from polars.testing import assert_frame_equal

from engine.tables import NORMALIZED
from loaders.embedded import embedded_postgres
from loaders.history import import_history
from loaders.postgres import connect
from loaders.profiles import read_profile
from loaders.providers import fastf1
from loaders.regrade import regrade
from loaders.settings import Settings
from tests.real_races import FOLDERS, copy_cache
from tests.soak import IS_SOAK, SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.tables import SessionKey
    from loaders.providers import SessionTables
    from tests.soak import Figure

    RealRace = Callable[[SessionKey], SessionTables]

GOLDEN = Path(__file__).parent / "golden"

LONGEST = (
    "calendar",
    "fastf1",
    "jolpica",
    "regrade",
    "load",
    "jobs",
    "one_file",
    "fallback",
    "fastf1_faults",
    "command_line",
    "postgres",
    "openf1_faults",
    "explore",
    "fastf1_frames",
    "history",
    "real_ingest",
    "revisions",
    "validity",
    "regrade_v2",
    "openf1_races",
    "attempts",
)
"""Files of `tests/loaders` by how long they take, the longest first."""


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
def real_race(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> RealRace:
    """Fetch a real race from FastF1's recorded cache, each once, whichever process asks first.

    FastF1's debug switch is on all the while: it must not reach the child process.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    shared = tmp_path_factory.getbasetemp().parent / f"real-races-{run}"
    settings = copy_cache(realdata, tmp_path_factory.mktemp("fastf1"), *FOLDERS)

    def get(session: SessionKey) -> SessionTables:
        folder = shared / session.session_id
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if not (folder / "whole").exists():
                with pytest.MonkeyPatch.context() as patch:
                    patch.setenv("FASTF1_DEBUG", "1")
                    for name, frame in fastf1.fetch(session, settings).items():
                        frame.write_ipc(folder / f"{name}.arrow")
                (folder / "whole").touch()
        files = {name: folder / f"{name}.arrow" for name in NORMALIZED}
        return {name: pl.read_ipc(path.read_bytes()) for name, path in files.items()}

    return get


@pytest.fixture(scope="session")
def history_lake(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of all of history, graded; made once, whichever process asks first. Do not write."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    home = tmp_path_factory.getbasetemp().parent / f"history-{run}"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "lock"):
        made = Settings(home=home)
        if not (home / "whole").exists():
            import_history(realdata / "history", made)
            regrade(made.lake, [read_profile("baseline")])
            (home / "whole").touch()
    return made.lake


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
