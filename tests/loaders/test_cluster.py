"""Grading on a cluster: the same files as here, also when a process dies over it."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sys
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from engine.errors import ContractError
from engine.tables import NORMALIZED, TABLES, SessionKey
from loaders import lake, regrade
from loaders.cluster import ClusterError, cluster, from_arrow, grade_piece, to_arrow
from loaders.providers import simulated
from loaders.regrade import LocalGrader, Piece
from loaders.settings import Settings
from tests.frames import frame
from tests.loaders.test_regrade import moved
from tests.profiles import ALL_PROFILES, BASELINE_PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.v1.calibration import CalibrationProfile
    from loaders.cluster import RayGrader
    from loaders.regrade import Frames

RACE = SessionKey(2099, 1)


def tables_of(session: SessionKey) -> Frames:
    """Fetch a bundled session."""
    return dict(simulated.fetch(session, Settings()))


def need_ray() -> None:
    """Skip without Ray; it is not imported, because it reads its environment then."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray, which is an extra, is not installed")


@pytest.fixture(scope="module")
def grader() -> Iterator[RayGrader]:
    """Two processes or more on this machine.

    A piece whose source is a file hangs over it: the process writes its id there, and waits to
    be killed if it is the first.
    """
    need_ray()

    def task(
        tables: Mapping[str, pa.Table],
        profiles: Sequence[CalibrationProfile],
        source: str,
        version: str,
    ) -> dict[str, pa.Table]:
        if source.startswith("/"):
            pids = Path(source)
            is_first = not pids.exists()
            with pids.open("a") as file:
                file.write(f"{os.getpid()}\n")
            if is_first:
                time.sleep(300)
        return grade_piece(tables, profiles, source, version)

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with cluster(task) as running:
            yield running


def test_a_cluster_writes_the_files_that_are_written_here(
    grader: RayGrader, tmp_path: Path
) -> None:
    """Two seasons under all profiles, a process each: not a byte differs; each is told of."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        for session in simulated.sessions():
            lake.write_session(folder, session, tables_of(session))
            elsewhere = SessionKey(2098, session.round, session.session_kind)
            lake.write_session(folder, elsewhere, moved(tables_of(session), elsewhere))
    told: list[tuple[int, int]] = []
    local = regrade.regrade(here, ALL_PROFILES)
    report = regrade.regrade(
        there, ALL_PROFILES, grader=grader, progress=lambda *done: told.append(done)
    )
    assert report == local
    assert report.rows["driver_metrics"] > 100
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert lake.snapshot(there).manifest == lake.snapshot(here).manifest


def test_what_a_killed_process_left_is_graded_by_another(grader: RayGrader, tmp_path: Path) -> None:
    """The process that works on it is killed by its id; the result is the same to the last bit."""
    pids = tmp_path / "pids"
    piece = Piece((RACE.season,), lambda: tables_of(RACE), str(pids))
    killer = Thread(target=kill_first, args=(pids,))
    killer.start()
    ((done, found),) = grader([piece], ALL_PROFILES)
    killer.join()
    killed, finished = pids.read_text().split()
    assert killed != finished
    assert done is piece
    ((_, expected),) = LocalGrader()([piece], ALL_PROFILES)
    for name, table in expected.items():
        key = TABLES[name].primary_key()
        assert_frame_equal(found[name].sort(key), table.sort(key), check_exact=True)


def kill_first(pids: Path) -> None:
    """Wait for a process to write its id, and kill it."""
    while not (pids.exists() and pids.read_text().endswith("\n")):
        time.sleep(0.05)
    os.kill(int(pids.read_text()), signal.SIGKILL)


def test_an_error_of_grading_arrives_as_it_was_raised(grader: RayGrader) -> None:
    """A penalty that no contract allows is refused there; the text names source and rule."""
    tables = tables_of(RACE)
    car = tables["entries"]["driver_number"][0]
    message = {
        "session_id": RACE.session_id,
        "message_number": 9001,
        "message": f"99999 SECOND TIME PENALTY FOR CAR {car} (ABC) - NEVER GIVEN",
    }
    control = pl.concat([tables["race_control"], frame("race_control", [message])])
    piece = Piece((RACE.season,), lambda: {**tables, "race_control": control}, "a test")
    with pytest.raises(ContractError, match=r"penalty_events: 1 row from a test .*\n.*time_loss_s"):
        list(grader([piece], [BASELINE_PROFILE]))


def test_processes_started_here_are_reached_from_here_only(grader: RayGrader) -> None:
    """The head answers at the loopback address it names, and at no other of this machine."""
    import ray  # noqa: PLC0415 - an extra; the fixture has skipped without it

    host, port = ray.get_runtime_context().gcs_address.split(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    with pytest.raises(OSError, match=r"refused|requested address"):
        socket.create_connection(("127.0.0.2", int(port)), timeout=5)


def test_a_process_with_another_engine_refuses() -> None:
    """Grades of two versions never stand in one lake as if they were of one."""
    with pytest.raises(ClusterError, match=r"there: engine 0000, Polars 1\n  here:  engine "):
        grade_piece({}, [BASELINE_PROFILE], "a test", "engine 0000, Polars 1")


def test_tables_survive_the_way() -> None:
    """Every table comes back as it was; on the way there is no dictionary, view or unsigned."""
    session = tables_of(RACE)
    ((_, graded),) = LocalGrader()([Piece((2099,), lambda: session, "a test")], ALL_PROFILES)
    for name, table in {**{name: session[name] for name in NORMALIZED}, **graded}.items():
        arrow = to_arrow(table)
        types = {
            field.type.value_type if pa.types.is_large_list(field.type) else field.type
            for field in arrow.schema
        }
        assert types <= {
            pa.large_string(), pa.int16(), pa.int32(), pa.float64(), pa.bool_(), pa.date32(),
            pa.timestamp("us", "UTC"),
        }  # fmt: skip
        assert_frame_equal(from_arrow(name, arrow), table, check_exact=True)


def test_a_missing_ray_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text says how to install it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install 'drive-grade\[ray\]'"), cluster():
        pass


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:9"])
def test_an_address_where_nothing_is_is_told(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """The text names the variable; no processes are started instead."""
    need_ray()
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError, match=rf"cluster at {address}: .*\n.*RAY_ADDRESS"), cluster():
        pass
