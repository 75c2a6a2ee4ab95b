"""A server that restarts, a backend that dies, a wire that is cut: old or new, and tried again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import stamina

from loaders.connection import open_connection, transaction, warehouse_address
from loaders.errors import WarehouseError
from loaders.fault_points import watching
from loaders.pg_programs import account_for, run
from loaders.postgres import connect
from loaders.retrying import MAX_TRIES, retried
from tests.reliability.versions import VERSIONS, dump_hash, load_version, undisturbed
from tests.reliability.wires import wire_to
from tests.soak import chance, runs
from tests.warehouse import ask, start_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loaders.batch import BatchReport
    from loaders.database_url import Address
    from loaders.settings import Settings
    from tests.reliability.wires import Wire
    from tests.soak import Figure

PHASES = ("locked", "staged", "placed", "laps", "graded", "recorded", "verified")


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[Address]:
    """Where the server is."""
    with warehouse_address(settings) as found:
        yield found


@pytest.fixture(scope="module")
def hashes(address: Address) -> list[str]:
    """What undisturbed loads leave: the hash before them, and after each version."""
    with open_connection(address) as connection:
        return undisturbed(connection)


@pytest.fixture(scope="module")
def wire(address: Address) -> Iterator[Wire]:
    """A wire to the server."""
    with wire_to(address.uri) as laid:
        yield laid


def restore(address: Address) -> None:
    """Empty the warehouse."""
    with open_connection(address) as connection:
        start_over(connection)


def stored(address: Address) -> str:
    """Hash what is stored, over a new connection."""

    def work() -> str:
        with open_connection(address) as connection:
            return dump_hash(connection)

    return retried(work)


def strike(settings: Settings, address: Address, pid: int, act: str) -> None:
    """Do something to the server, or to the process of it that serves a client."""
    data = settings.home / "pg" / "data"
    if act.startswith("restart"):
        mode, log = act.partition(" ")[2], data / "server.log"
        run(
            account_for(data), data, "pg_ctl", "restart", "--wait", f"--mode={mode}", f"--log={log}"
        )
    elif act == "kill -9":
        os.kill(pid, signal.SIGKILL)
    else:
        with open_connection(address) as other:
            ask(other, f"select pg_{act}_backend($1::integer)", pid)


@pytest.mark.parametrize("act", ["terminate", "kill -9", "restart fast", "restart immediate"])
def test_a_load_survives_its_server(
    settings: Settings, address: Address, hashes: list[str], act: str, figure: Figure
) -> None:
    """A06: the first try leaves the old rows, the load's own second try stores the new ones."""
    phases = [chance(f"A06 {act}").choice(PHASES)] if runs(1, 2) == 1 else PHASES
    tries: Counter[str] = Counter()
    for phase in phases:
        restore(address)
        pids: list[int] = []

        def work(phase: str = phase, pids: list[int] = pids) -> BatchReport:
            tries[phase] += 1
            if pids:
                assert stored(address) == hashes[0]
            with open_connection(address) as own:
                pid = int(ask(own, "select pg_backend_pid()").item())

                def watch(point: str) -> None:
                    if point == phase and not pids:
                        pids.append(pid)
                        strike(settings, address, pid, act)

                with watching(watch):
                    return load_version(own, VERSIONS[0])

        assert {one.status for one in retried(work).sessions} == {"loaded"}
        assert tries[phase] in {2, 3}
        assert stored(address) == hashes[1]
    figure("A06", f"{act}: {len(phases)} phases, all stored by try {max(tries.values())}")


@pytest.mark.parametrize("table", ["driver_metrics", "races"][: runs(1, 2)])
def test_a_cancelled_statement_is_not_tried_again(
    address: Address, hashes: list[str], table: str, figure: Figure
) -> None:
    """A06: somebody who cancels a load means it; the old rows stay and the error says so."""
    restore(address)
    tries = 0
    with open_connection(address) as blocking, open_connection(address) as own:
        pid = int(ask(own, "select pg_backend_pid()").item())
        with blocking.cursor() as cursor:
            cursor.execute(f"lock table core.{table} in exclusive mode")

        def cancel() -> None:
            while not ask(
                looking, "select count(*) from pg_locks where pid = $1 and not granted", pid
            ).item():
                time.sleep(0.01)
            ask(looking, "select pg_cancel_backend($1::integer)", pid)

        def work() -> BatchReport:
            nonlocal tries
            tries += 1
            return load_version(own, VERSIONS[0])

        with open_connection(address) as looking:
            cancelling = threading.Thread(target=cancel)
            cancelling.start()
            with pytest.raises(WarehouseError, match="canceling statement") as refusal:
                retried(work)
            cancelling.join()
    assert (refusal.value.sqlstate, refusal.value.is_transient, tries) == ("57014", False, 1)
    assert stored(address) == hashes[0]
    figure("A06", f"cancel at {table}: 1 try, old rows, 57014")


def test_a_cut_wire_leaves_old_or_new(
    address: Address, wire: Wire, hashes: list[str], figure: Figure
) -> None:
    """A07: cut at messages from the first to the last, before it arrives and after."""
    restore(address)
    wire.cut_at()
    with open_connection(wire.address) as own:
        load_version(own, VERSIONS[0])
    total, cuts = wire.sent, runs(8, 36)
    seen: Counter[str] = Counter()
    found = ""
    for cut in range(cuts):
        if cut == 0 or found == hashes[1]:
            restore(address)
        wire.cut_at(1 + total * cut // cuts, before=cut % 2 == 0)
        try:
            with open_connection(wire.address) as own:
                load_version(own, VERSIONS[0])
            seen["passed"] += 1
        except WarehouseError as error:
            seen["error" if error.is_transient else str(error)] += 1
        wire.cut_at()
        found = stored(address)
        assert found in hashes[:2]
        seen["new" if found == hashes[1] else "old"] += 1
    with open_connection(wire.address) as own:
        load_version(own, VERSIONS[0])
    assert stored(address) == hashes[1]
    figure("A07", f"{cuts} cuts in {total} messages: {dict(seen)}, 0 other dumps")
    assert seen["error"] >= cuts - 1
    assert set(seen) <= {"passed", "error", "old", "new"}


def test_a_commit_whose_answer_is_lost_is_settled_by_loading_again(
    address: Address, wire: Wire, hashes: list[str], figure: Figure
) -> None:
    """A08: the error says that it is not known; the rows are there, and are not stored twice."""
    count = runs(1, 10)
    for _ in range(count):
        restore(address)
        tries: list[str] = []

        def work(tries: list[str] = tries) -> BatchReport:
            with open_connection(wire.address) as own:
                try:
                    with watching(lambda point: cut(point, tries)):
                        report = load_version(own, VERSIONS[0])
                except WarehouseError as error:
                    tries.append(str(error))
                    raise
                return report

        def cut(point: str, tries: list[str]) -> None:
            if point == "verified" and not tries:
                wire.cut_at(word=b"COMMIT")

        with stamina.set_testing(True, attempts=MAX_TRIES, cap=True):  # without a wait
            report = retried(work)
        assert [one.status for one in report.sessions] == ["unchanged"] * 2
        assert len(tries) == 1
        assert "Try again; what is already stored is not stored twice" in tries[0]
        assert stored(address) == hashes[1]
    figure("A08", f"{count} answers lost, {count} stored once, 0 written twice")


def test_limits_are_set_on_every_connection(settings: Settings) -> None:
    """No statement, no wait for a lock and no transaction lasts for ever."""
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
             "transaction_timeout")  # fmt: skip
    with connect(settings) as connection:
        found = [ask(connection, "select current_setting($1)", name).item() for name in names]
    assert found == ["1min", "5s", "30s", "5min"]


def test_a_statement_whose_client_is_gone_is_given_up(address: Address, wire: Wire) -> None:
    """What a killed program held is free within seconds, also in the middle of a long statement."""
    wire.cut_at(0)
    asking = (
        "select count(*) filter (where wait_event = 'PgSleep') as sleeping, count(*) as there "
        "from pg_stat_activity where application_name = 'to be cut'"
    )

    def sleep() -> None:
        with (
            open_connection(wire.address, "to be cut") as gone,
            pytest.raises(WarehouseError),
            transaction(gone, "sleeping"),
            gone.cursor() as cursor,
        ):
            cursor.execute("do 'begin perform pg_sleep(60); end'")

    sleeping = threading.Thread(target=sleep)
    with open_connection(address) as looking:

        def wait_for(*counts: int) -> None:
            until = time.monotonic() + 15
            while (found := ask(looking, asking).row(0)) != counts:
                assert time.monotonic() < until, f"the server has {found}, not {counts}"
                time.sleep(0.1)

        sleeping.start()
        wait_for(1, 1)
        wire.hang_up()
        sleeping.join(15)
        wait_for(0, 0)
