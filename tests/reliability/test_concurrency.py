"""Several loads at once: one works, others are told, and what passes by itself is tried again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import stamina

from loaders.connection import open_connection, warehouse_address
from loaders.errors import SessionBusyError, WarehouseError
from loaders.fault_points import watching
from loaders.retrying import MAX_TRIES, retried
from tests.reliability.versions import SESSIONS, VERSIONS, dump_hash, load_version, undisturbed
from tests.soak import runs
from tests.warehouse import ask, start_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loaders.connection import Connection
    from loaders.database_url import Address
    from loaders.settings import Settings
    from tests.soak import Figure

SESSION_LOCK = (
    "select count(pg_advisory_xact_lock(hashtextextended('drivegrade.session.2025-1', 0)))"
)


SOMEBODY_ELSES_NAME = (
    "update core.drivers set driver_name = driver_name || '!' where driver_id = 'driver_0'"
)


@pytest.fixture(scope="module", autouse=True)
def no_waits() -> Iterator[None]:
    """What is tried again is tried at once; how long a load waits is seen in A06."""
    with stamina.set_testing(True, attempts=MAX_TRIES, cap=True):
        yield


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[Address]:
    """Where the server is."""
    with warehouse_address(settings) as found:
        yield found


@pytest.fixture(scope="module")
def connection(address: Address) -> Iterator[Connection]:
    """One connection that looks on, and disturbs."""
    with open_connection(address) as opened:
        yield opened


@pytest.fixture(scope="module")
def hashes(connection: Connection) -> list[str]:
    """What undisturbed loads leave: the hash before them, and after each version."""
    return undisturbed(connection)


def test_of_two_loads_of_a_session_one_is_told_that_it_is_busy(
    address: Address, connection: Connection, hashes: list[str], figure: Figure
) -> None:
    """C01: it is told in less than a second and does not try again; no dead-lock, right rows."""
    count = runs(4, 30)
    seen: Counter[str] = Counter()
    longest_s = 0.0
    with open_connection(address) as one, open_connection(address) as other:
        for _ in range(count):
            start_over(connection)
            refused = threading.Event()

            def watch(point: str, refused: threading.Event = refused) -> None:
                if point == "locked":
                    assert refused.wait(5)

            def load(own: Connection, refused: threading.Event = refused) -> tuple[str, float]:
                started = time.monotonic()
                try:
                    return load_version(own, VERSIONS[0]).sessions[0].status, 0.0
                except SessionBusyError:
                    return "busy", time.monotonic() - started
                finally:
                    refused.set()

            with watching(watch), ThreadPoolExecutor(2) as pool:
                for status, took_s in pool.map(load, (one, other)):
                    seen[status] += 1
                    longest_s = max(longest_s, took_s)
            assert dump_hash(connection) == hashes[1]
    figure("C01", f"{dict(seen)}, told within {longest_s:.2f} s, 0 dead-locks, 0 other dumps")
    assert seen == {"loaded": count, "busy": count}
    assert longest_s < 1


def test_different_sessions_are_loaded_at_once(
    address: Address, connection: Connection, figure: Figure
) -> None:
    """C02: both hold their locks at the same time, share drivers, and both are stored."""
    count = runs(2, 30)
    start_over(connection)
    load_version(connection, VERSIONS[0])
    with open_connection(address) as one, open_connection(address) as other:
        for number in range(count):
            both = threading.Barrier(2)

            def watch(point: str, both: threading.Barrier = both) -> None:
                if point == "locked":
                    both.wait(5)

            def load(at: tuple[int, Connection], number: int = number) -> str:
                place, own = at
                version = VERSIONS[1 + number % 2]
                return load_version(own, version, sessions=[SESSIONS[place]]).sessions[0].status

            with watching(watch), ThreadPoolExecutor(2) as pool:
                assert list(pool.map(load, enumerate((one, other)))) == ["loaded"] * 2
    figure("C02", f"{count} pairs of loads side by side, all stored, 0 dead-locks")


@contextmanager
def disturbance(code: str, address: Address) -> Iterator[None]:
    """Give the first load that passes `locked` an error that passes by itself."""
    with open_connection(address) as other, ThreadPoolExecutor(1) as pool:
        locked = threading.Event()

        def watch(point: str) -> None:
            if point == "prepared" and locked.is_set():
                other.rollback()
            if point != "locked" or locked.is_set():
                return
            locked.set()
            if code == "40001":
                ask(other, SOMEBODY_ELSES_NAME)
                return
            with other.cursor() as cursor:
                cursor.execute("lock table core.entries in exclusive mode")
            if code == "40P01":
                pool.submit(_wait_for_session, other)

        with watching(watch):
            yield


def _wait_for_session(other: Connection) -> None:
    with other.cursor() as cursor:
        cursor.execute(SESSION_LOCK)
        cursor.fetchall()


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03"])
def test_what_passes_by_itself_is_tried_again(
    address: Address, connection: Connection, hashes: list[str], code: str, figure: Figure
) -> None:
    """C06: serialization failure, dead-lock and lock time-out, made by another transaction."""
    count = runs(1, 7)
    hasty = replace(address, uri=address.with_parameters({"options": options(code)}))
    codes: Counter[str | None] = Counter()
    for _ in range(count):
        start_over(connection)
        load_version(connection, VERSIONS[0])

        def work() -> str:
            with open_connection(hasty) as own:
                try:
                    return load_version(own, VERSIONS[1]).sessions[0].status
                except WarehouseError as error:
                    codes[error.sqlstate] += 1
                    raise

        with disturbance(code, address):
            assert retried(work) == "loaded"
        assert dump_hash(connection) == hashes[2]
    figure("C06", f"{code}: {dict(codes)}, each stored by the second try")
    assert codes == {code: count}


def options(code: str) -> str:
    """Choose what a connection gives up soon."""
    waits = "-c lock_timeout=50ms" if code == "55P03" else "-c deadlock_timeout=20ms"
    level = r" -c default_transaction_isolation=repeatable\ read" if code == "40001" else ""
    return waits + level


def test_no_more_than_three_tries(
    address: Address, connection: Connection, hashes: list[str], figure: Figure
) -> None:
    """C06: a lock that stays ends the load with its code; a busy session is not tried again."""
    start_over(connection)
    hasty = replace(address, uri=address.with_parameters({"options": options("55P03")}))
    tries = 0

    def work() -> None:
        nonlocal tries
        tries += 1
        with open_connection(hasty) as own:
            load_version(own, VERSIONS[0])

    with connection.cursor() as cursor:
        cursor.execute("lock table core.entries in exclusive mode")
    with pytest.raises(WarehouseError, match="lock timeout") as refusal:
        retried(work)
    connection.rollback()
    assert (refusal.value.sqlstate, tries) == ("55P03", MAX_TRIES)
    tries = 0
    with connection.cursor() as cursor:
        cursor.execute(SESSION_LOCK)
        cursor.fetchall()
    with pytest.raises(SessionBusyError):
        retried(work)
    connection.rollback()
    assert tries == 1
    assert dump_hash(connection) == hashes[0]
    figure("C06", f"a lock that stays: {MAX_TRIES} tries; a busy session: 1")
