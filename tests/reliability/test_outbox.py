"""What changed is told at least once, whoever is killed on the way: C09, P3 and P16."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from loaders import outbox
from loaders.connection import warehouse_address
from loaders.errors import WarehouseError
from loaders.outbox import MAX_ATTEMPTS, UnreachableError, drain
from loaders.postgres import connect
from loaders.profiles import activate, import_profile
from tests.profiles import STRICT_PROFILE
from tests.reliability.redis_faults import child, drain_slowly
from tests.reliability.versions import wait_until_gone
from tests.soak import chance, runs
from tests.warehouse import ask, load, session_tables, start_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loaders.connection import Connection
    from loaders.outbox import Message
    from loaders.settings import Settings
    from tests.soak import Figure

WAITING = (
    "select topic, session_id, load_id, activation_number, attempts, last_error "
    "from ops.outbox where done_at is null and parked_at is null order by outbox_id"
)

FILL = (
    "insert into ops.outbox (topic, session_id, load_id) "
    "select 'session', '2025-1', max(load_id) from ops.loads, generate_series(1, $1)"
    " group by generate_series"
)


@pytest.fixture(scope="module")
def opened(settings: Settings) -> Iterator[Connection]:
    """One connection for all tests."""
    with connect(settings) as connection:
        yield connection


@pytest.fixture
def connection(opened: Connection) -> Connection:
    """A warehouse that holds nothing but the baseline profile, and an empty outbox."""
    start_over(opened)
    ask(opened, "delete from ops.outbox")
    return opened


def test_a_load_leaves_word_and_a_repeated_one_does_not(connection: Connection) -> None:
    """P3: one row a load, which names it; the same data again leaves none."""
    load(connection, session_tables())
    load(connection, session_tables())
    newest = ask(connection, "select max(load_id) from ops.loads").item()
    assert ask(connection, WAITING).rows() == [("session", "2025-1", newest, None, 0, None)]
    load(connection, session_tables(lap_count=4), data_hash="second")
    assert [row[2] for row in ask(connection, WAITING).rows()] == [newest, newest + 1]


def test_a_refused_load_leaves_no_word(connection: Connection) -> None:
    """The row is of the load's own transaction."""
    ask(connection, "alter table core.entries add constraint broken check (points < 1)")
    try:
        with pytest.raises(WarehouseError, match="broken"):
            load(connection, session_tables())
    finally:
        ask(connection, "alter table core.entries drop constraint broken")
    assert ask(connection, WAITING).is_empty()


def test_an_activation_leaves_word_once(connection: Connection) -> None:
    """Each switch is the next number; choosing again what is active is none."""
    import_profile(connection, STRICT_PROFILE)
    for name in ("baseline", "baseline", "strict", "baseline"):
        activate(connection, name)
    rows = ask(connection, WAITING).rows()
    assert [row[:4] for row in rows] == [("profile", None, None, number) for number in (1, 2, 3)]
    noted = "select profile_name from ops.profile_activations order by activation_number"
    assert ask(connection, noted)["profile_name"].to_list() == ["baseline", "strict", "baseline"]


def test_a_poison_row_is_parked_with_its_reason(connection: Connection, figure: Figure) -> None:
    """G16: it ends after five tries, and those beside it are handled at the first."""
    load(connection, session_tables())
    ask(connection, FILL, 9)
    poison = ask(connection, "select min(outbox_id) from ops.outbox").item()

    def handle(message: Message) -> None:
        if message.outbox_id == poison:
            raise RuntimeError("hunter2secret")

    done = [drain(connection, handle, batch_rows=4) for _ in range(MAX_ATTEMPTS + 1)]
    assert [(each.handled, each.failed, each.parked) for each in done] == [
        (9, 1, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 0),
    ]  # fmt: skip
    counts, parked = outbox.status(connection)
    assert (counts["waiting"], counts["parked"], counts["done"]) == (0, 1, 9)
    assert [(row["attempts"], row["last_error"]) for row in parked] == [(5, "RuntimeError")]
    figure("G16", "10 rows, 1 of them poison: 9 handled at once, 1 parked after 5 tries")


def test_nobody_to_tell_counts_no_attempt(connection: Connection) -> None:
    """However long Redis is away, no row is given up for it; those told before stay told."""
    load(connection, session_tables())
    ask(connection, FILL, 9)
    told: list[int] = []

    def handle(message: Message) -> None:
        if len(told) == 3:
            raise UnreachableError("away")
        told.append(message.outbox_id)

    for _ in range(MAX_ATTEMPTS + 1):
        assert drain(connection, handle).stopped_by == "away"
    waiting = ask(connection, WAITING)
    assert (waiting.height, set(waiting["attempts"])) == (7, {0})


def test_old_rows_are_pruned_and_waiting_ones_are_not(connection: Connection) -> None:
    """A month after they were handled; what waits may wait for longer."""
    load(connection, session_tables())
    ask(connection, FILL, 2)
    ask(
        connection,
        "update ops.outbox set created_at = now() - interval '90 days', done_at = "
        "case outbox_id % 3 when 0 then now() - interval '31 days' when 1 then now() end",
    )
    assert outbox.prune(connection) == 1
    assert ask(connection, WAITING).height == 1


def test_no_row_is_lost_between_two_workers_and_a_kill(
    connection: Connection, settings: Settings, tmp_path: Path, figure: Figure
) -> None:
    """C09: 1,000 rows, one of two workers killed at a random row; another one ends the work."""
    draw, rows = chance("C09"), 1000
    load(connection, session_tables())
    landed = repeated = shared = 0
    for number in range(times := runs(3, 50)):
        ask(connection, "delete from ops.outbox")
        ask(connection, FILL, rows)
        wanted = set(ask(connection, "select outbox_id from ops.outbox").to_series())
        told = tmp_path / f"told-{number}"
        told.touch()
        with warehouse_address(settings) as address:
            workers = [child(drain_slowly, address.uri, str(told)) for _ in range(2)]
            moment = draw.randrange(1, rows - 100)
            ends = time.monotonic() + 20
            while told.read_bytes().count(b"\n") < moment and time.monotonic() < ends:
                time.sleep(0.001)
            workers[0].kill()
            for worker in workers:
                worker.join(20)
            wait_until_gone(connection)  # until then the killed one's rows are locked
            child(drain_slowly, address.uri, str(told)).join(20)
        handled = [line.split() for line in told.read_text().splitlines()]
        assert {int(row) for _, row in handled} == wanted
        assert ask(connection, WAITING).is_empty()
        each = Counter(row for _, row in handled)
        assert max(each.values()) <= 2
        assert len(handled) - rows <= outbox.BATCH_ROWS
        landed += workers[0].exitcode == -9
        repeated += len(handled) - rows
        shared += len({worker for worker, _ in handled[:moment]}) == 2
    assert landed >= 0.8 * times
    figure(
        "C09",
        f"{times} runs of {rows} rows, {landed} kills landed, {shared} at work of two, 0 rows "
        f"lost, {repeated} handled twice",
    )
