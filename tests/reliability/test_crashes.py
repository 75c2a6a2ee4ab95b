"""A load that is killed, or one of whose operations fails, leaves the old rows or the new ones.

A killed load is run again by the next one, which starts from what the killed one left. Whatever
was killed before, what a whole load leaves has the hash that undisturbed loads gave.
"""

from __future__ import annotations

import os
import pathlib
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

import adbc_driver_manager.dbapi as adbc
import pytest
import stamina
from adbc_driver_manager import AdbcStatusCode

from engine.errors import DriveGradeError
from loaders import durable, lake
from loaders.connection import open_connection, warehouse_address
from loaders.errors import WarehouseError
from loaders.postgres import connect
from loaders.retrying import retried
from loaders.sweeping import sweep
from tests.reliability.chains import PHASES, POINTS, Chain, kill_often, killed, lasting, moments
from tests.reliability.crashing import forker
from tests.reliability.versions import (
    SESSIONS,
    VERSIONS,
    Story,
    dump_hash,
    load_version,
    version_tables,
)
from tests.soak import IS_SOAK, chance, runs
from tests.warehouse import MELBOURNE, ask, snapshot, start_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from loaders.connection import Connection
    from loaders.database_url import Address
    from loaders.settings import Settings
    from tests.reliability.crashing import Forker
    from tests.soak import Figure

LONG_RACE = {"lap_count": 240, "driver_count": 170}
"""Of more drivers than there ever were, each with as many laps as a race may have."""


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[Connection]:
    """One connection that looks at what the others left."""
    with connect(settings, "looking on") as opened:
        yield opened


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[Address]:
    """Where the server is."""
    with warehouse_address(settings) as found:
        yield found


@pytest.fixture(scope="module")
def children(address: Address, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    """The process whose children are killed."""
    with forker(address.uri, tmp_path_factory.mktemp("pipes")) as running:
        yield running


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Two sessions in four versions."""
    tables = {version: version_tables(version) for version in VERSIONS}
    return Story(tmp_path_factory.mktemp("story"), SESSIONS, tables)


@pytest.fixture(scope="module")
def hashes(connection: Connection, story: Story) -> list[str]:
    """What undisturbed loads leave: the hash before them, and after each version."""
    return story.undisturbed(connection)


@pytest.fixture
def chain(connection: Connection, story: Story, hashes: list[str]) -> Chain:
    """Start with an empty warehouse."""
    return Chain(connection, story, hashes)


@pytest.fixture(scope="module")
def lasts(
    children: Forker, connection: Connection, story: Story, hashes: list[str]
) -> dict[str, float]:
    """How long each phase of a load of two sessions lasts, s."""
    return lasting(children, Chain(connection, story, hashes))


def test_a_load_killed_at_any_moment_is_old_or_new(
    children: Forker, chain: Chain, lasts: dict[str, float], figure: Figure
) -> None:
    """A01: two sessions in one load, killed at random moments and run again; P1 and P2."""
    drawn = list(moments(chance("A01"), lasts, runs(40, 200)))
    hit, found = kill_often(children, chain, drawn)
    figure("A01", found)
    assert hit >= 8


@pytest.mark.soak
def test_a_long_race_killed_at_any_moment_is_old_or_new(
    children: Forker, connection: Connection, tmp_path: Path, figure: Figure
) -> None:
    """A02: the same with a race of 40,000 laps and more."""
    if not IS_SOAK:
        pytest.skip("60 kills of a long race take minutes: make soak")
    tables = {version: version_tables(version, [MELBOURNE], **LONG_RACE) for version in (1, 2)}
    assert min(rows["laps"].height for rows in tables.values()) >= 40_000
    story = Story(tmp_path / "story", [MELBOURNE], tables)
    hashes = story.undisturbed(connection)
    lasts = lasting(children, Chain(connection, story, hashes))
    drawn = list(moments(chance("A02"), lasts, 60))
    hit, found = kill_often(children, Chain(connection, story, hashes), drawn)
    figure("A02", found)
    assert hit >= 8


@pytest.mark.parametrize("point", POINTS)
def test_a_load_killed_at_a_fault_point_is_old_or_new(
    children: Forker, chain: Chain, point: str, figure: Figure
) -> None:
    """A03: old before the commit, new after it; the next load gives the one right dump."""
    for _ in range(runs(1, 5)):
        said = children.load(chain.order, point, "kill").join()
        assert said[-1] == point
        assert chain.look() == ("new" if point == "committed" else "old")
        if IS_SOAK:
            chain.load()
    figure("A03", f"{point}: {chain.seen.total()} kills, {chain.seen['mixed']} mixed")


def test_a_control_without_a_transaction_is_caught(
    children: Forker, chain: Chain, lasts: dict[str, float], figure: Figure
) -> None:
    """A05: the same load with autocommit, killed the same way, leaves mixed states."""
    rng = chance("A05")
    at_work = {name: lasts[name] for name in PHASES if name not in {"connected", "prepared"}}
    tries = 0
    for phase, after_s in moments(rng, at_work, runs(20, 80)):
        tries += 1
        killed(children, chain, phase, after_s, "autocommit")
        chain.look()
        chain.stored = len(VERSIONS)  # what it left is no start for the next one
        if chain.seen["mixed"] and not IS_SOAK:
            break
    figure("A05", f"{tries} kills of a load with autocommit, {chain.seen['mixed']} mixed")
    assert chain.seen["mixed"] >= runs(1, 5)


@pytest.mark.parametrize("point", ["locked", "copy", "laps", "verified"])
def test_a_frozen_loader_is_freed_by_the_sweeper(
    children: Forker, chain: Chain, settings: Settings, point: str, figure: Figure
) -> None:
    """C05: others are told it is busy at once; the sweeper frees the session, and they load."""
    version = chain.due
    child = children.load(chain.order, point, "stop")
    try:
        child.wait_for(point)
        started = time.monotonic()
        with pytest.raises(WarehouseError, match="is being loaded by a child to be killed"):
            load_version(chain.connection, version)
        refused_s = time.monotonic() - started
        listed = sweep(settings, older_than_s=0)
        assert listed["sessions"].to_list() == ["2025-1 2025-2"]
        assert listed["is_terminated"].to_list() == [False]
        assert sweep(settings, older_than_s=3600).is_empty()
        ended = sweep(settings, older_than_s=0, is_terminating=True)
        assert ended["is_terminated"].to_list() == [True]
        freed_s = time.monotonic() - started - refused_s
        assert chain.look() == "old"
    finally:
        child.signal(signal.SIGCONT)
    assert child.join()[-1].startswith("error WarehouseError loading 2 sessions")
    load_version(chain.connection, version)
    assert chain.look() == "new"
    figure("C05", f"{point}: refused in {refused_s:.2f} s, freed in {freed_s:.2f} s")
    assert refused_s < 1


class FailingNth:
    """Counts operations, and fails the n-th, or the n-th and all after it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fails_at = 0
        self.is_once = True
        for name in ("execute", "adbc_ingest"):
            self._break(patch, adbc.Cursor, name, is_disk=False)
        self._break(patch, adbc.Connection, "commit", is_disk=False)
        self._break(patch, os, "fsync", is_disk=True)
        self._break(patch, pathlib.Path, "replace", is_disk=True)
        self._break(patch, durable, "make_folder", is_disk=True)

    def start(self, fails_at: int, *, is_once: bool) -> None:
        """Count from 1 again; 0 fails nothing."""
        self.count, self.fails_at, self.is_once = 0, fails_at, is_once

    @property
    def has_failed(self) -> bool:
        """The operation that was to fail was come to."""
        return 0 < self.fails_at <= self.count

    def _break(self, patch: pytest.MonkeyPatch, where: object, name: str, *, is_disk: bool) -> None:
        whole: Callable[..., Any] = getattr(where, name)

        def counting(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.fails_at or (self.has_failed and not self.is_once):
                if is_disk:
                    raise OSError(5, "an injected error of the disk")
                raise adbc.OperationalError("injected", status_code=AdbcStatusCode.IO)
            return whole(*arguments, **options)

        patch.setattr(where, name, counting)


@pytest.mark.parametrize("is_once", [True, False], ids=["once", "from then on"])
def test_any_operation_may_fail(
    chain: Chain,
    address: Address,
    tmp_path: Path,
    figure: Figure,
    *,
    is_once: bool,
) -> None:
    """A04: statement, copy, commit, fsync or rename no. 1, 2, 3 … until a load passes.

    Database and lake are old or new each time, and the error is ours. A connection that failed
    once is made up for by the load's own second try; a disk that failed is not tried again.
    """
    tables = version_tables(VERSIONS[0])
    old = chain.hashes[0]

    def work() -> None:
        with open_connection(address) as own:
            load_version(own, VERSIONS[0], tables)

    kept = {name: tables[name] for name in ("sessions", "laps", "driver_metrics")}
    numbers: list[int] = []
    outcomes: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch, stamina.set_testing(True, attempts=3, cap=True):
        failing = FailingNth(patch)
        fails_at, step = (1, 1) if IS_SOAK else (chance(f"A04 {is_once}").randint(1, 24), 24)
        while True:
            failing.start(0, is_once=True)
            start_over(chain.connection)
            folder = tmp_path / f"lake-{fails_at}"
            failing.start(fails_at, is_once=is_once)
            try:
                retried(work)
                lake.write(folder, SESSIONS, kept)
                outcome = "passed"
            except DriveGradeError as error:
                outcome = type(error).__name__
            has_failed = failing.has_failed
            failing.start(0, is_once=True)
            found = dump_hash(chain.connection)
            is_new = found == chain.hashes[1]
            assert is_new or found == old
            assert lake.sessions(folder) in ([], list(SESSIONS))
            assert is_new or outcome != "passed"
            if not has_failed:
                break
            assert not is_once or outcome in {"passed", "LakeError"}
            outcomes[outcome] += 1
            numbers.append(fails_at)
            fails_at += step
    chain.stored = len(VERSIONS)
    said = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    figure("A04", f"{len(numbers)} operations failed ({'once' if is_once else 'ever'}): {said}")
    assert outcome == "passed"
    assert outcomes["LakeError"] > 0
    assert outcomes["passed" if is_once else "WarehouseError"] > 0


def test_loading_again_writes_nothing_and_corrections_win(
    connection: Connection, figure: Figure
) -> None:
    """A13: three times the same is no write; a correction leaves what a first load would have.

    Laps, a driver, names and grades are changed, added and withdrawn from version to version.
    """
    start_over(connection)
    load_version(connection, 1)
    before = snapshot(connection)
    for _ in range(3):
        assert {one.status for one in load_version(connection, 1).sessions} == {"unchanged"}
    assert snapshot(connection) == before
    for version in (2, 3):
        load_version(connection, version)
        corrected = sessions_only(connection)
        start_over(connection)
        load_version(connection, version)
        assert sessions_only(connection) == corrected
    figure("A13", "3 repetitions, 0 writes; 2 corrections with 5 kinds of change, 0 differences")


def sessions_only(connection: Connection) -> list[tuple[Any, ...]]:
    """Give the laps and grades that are stored, by name."""
    return ask(
        connection,
        "select slug, driver_id, lap_number, lap_time_ms, total_grade, drivers.driver_name "
        "from core.races join core.entries using (race_id) "
        "join core.drivers using (driver_id) join core.driver_metrics using (entry_id) "
        "left join public.lap_times using (entry_id) order by 1, 2, 3",
    ).rows()
