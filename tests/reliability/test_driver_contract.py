"""What the database driver promises, and what it does not and we see to: B01 to B25.

Each is tried against the real server, on a connection of its own. Where the driver is at fault
(B06, B11, B13, B19, B20, B21, B22, B25), the fault is shown first and then what keeps it from us.
"""

from __future__ import annotations

import ast
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import adbc_driver_manager.dbapi as adbc
import adbc_driver_postgresql.dbapi
import polars as pl
import pyarrow as pa
import pytest

from engine.contract import check
from engine.errors import ContractError
from loaders import connection as connections
from loaders import merging
from loaders.arrow import ARROW_SCHEMAS, Grading, checked_tables, to_arrow
from loaders.connection import (
    copy_rows,
    open_connection,
    run_file,
    transaction,
    warehouse_address,
)
from loaders.errors import WarehouseError
from loaders.postgres import connect
from tests.loaders.test_migrations import ALLOWED
from tests.test_architecture import ROOT
from tests.warehouse import MELBOURNE, ask, load, session_tables, snapshot, start_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loaders.connection import Connection
    from loaders.database_url import Address
    from loaders.settings import Settings

    Open = Callable[[], Connection]

LAPS: Final = pa.table({"lap": pa.array([1, 2, 3], pa.int32()), "time_s": [90.0, 91.0, 92.0]})

PROBE: Final = (
    "drop schema if exists probe cascade",
    "create schema probe",
    (
        "create table probe.laps (lap integer primary key check (lap > 0), "
        "time_s double precision check (time_s > 0 and time_s < 'Infinity'), driver text)"
    ),
    "create table probe.drivers (driver text primary key)",
    "alter table probe.laps add foreign key (driver) references probe.drivers",
    "create table probe.status (session text primary key, status text not null)",
    "create table probe.outbox (number integer primary key)",
    "insert into probe.status values ('2025-1', 'scheduled')",
)
"""Tables to try the driver on."""


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[Address]:
    """Where the module's server listens."""
    with warehouse_address(settings) as address:
        yield address


@pytest.fixture
def connection(address: Address) -> Iterator[Connection]:
    """A connection, and empty tables to try it on."""
    with open_connection(address, "driver contract") as opened:
        for statement in PROBE:
            do(opened, statement)
        opened.commit()
        yield opened


@pytest.fixture
def other(address: Address) -> Iterator[Connection]:
    """Somebody else's connection."""
    with open_connection(address, "somebody else") as opened:
        yield opened


def do(connection: Connection, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement in the open transaction, and give its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall()


def ingest(connection: Connection, table: object, name: str = "laps", **options: Any) -> None:
    """Copy rows into a table of the probe, or a temporary one."""
    if not options.get("temporary"):
        options["db_schema_name"] = "probe"
    with connection.cursor() as cursor:
        cursor.adbc_ingest(name, table, **{"mode": "append", **options})


def count(connection: Connection, table: str = "probe.laps") -> int:
    """Count the rows that another transaction sees."""
    return int(ask(connection, f"select count(*) from {table}").item())  # noqa: S608


def load_by_hand(connection: Connection) -> None:
    """Do all that a load does: DDL, COPY, upsert, status, outbox."""
    do(connection, "create table probe.made (lap integer)")
    ingest(connection, LAPS, "staged", mode="create", temporary=True)
    do(
        connection,
        "insert into probe.laps select lap, time_s from staged "
        "on conflict (lap) do update set time_s = excluded.time_s",
    )
    do(connection, "update probe.status set status = 'ingested'")
    do(connection, "insert into probe.outbox values (1)")


STATE: Final = (
    "select (select count(*) from probe.laps) as laps, (select min(status) from probe.status) "
    "as status, (select count(*) from probe.outbox) as notes, to_regclass('probe.made')::text"
)

BEFORE: Final = (0, "scheduled", 0, None)
AFTER: Final = (3, "ingested", 1, "probe.made")


def test_b01_nothing_is_committed_by_itself(connection: Connection, other: Connection) -> None:
    """B01: autocommit is off."""
    ingest(connection, LAPS)
    assert count(other) == 0
    connection.commit()
    assert count(other) == 3


def test_b02_rollback_undoes_everything(connection: Connection, other: Connection) -> None:
    """B02: DDL, COPY, upsert, status and outbox are one transaction."""
    load_by_hand(connection)
    connection.rollback()
    assert ask(connection, STATE).row(0) == BEFORE
    assert ask(other, STATE).row(0) == BEFORE


def test_b03_commit_shows_everything(connection: Connection, other: Connection) -> None:
    """B03: and before it nobody sees any of it."""
    load_by_hand(connection)
    assert ask(other, STATE).row(0) == BEFORE
    connection.commit()
    assert ask(other, STATE).row(0) == AFTER


@pytest.mark.parametrize("raises", [False, True])
def test_b04_leaving_without_a_commit_undoes(
    address: Address, connection: Connection, *, raises: bool
) -> None:
    """B04: with an exception or without."""
    with suppress(ZeroDivisionError), open_connection(address) as own:
        load_by_hand(own)
        _ = 1 // (not raises)
    assert ask(connection, STATE).row(0) == BEFORE


READS: Final[dict[str, Callable[[Connection], object]]] = {
    "fetched": lambda own: do(own, "select count(*) from probe.laps"),
    "not fetched": lambda own: own.cursor().execute("select * from probe.laps"),
    "catalogue": lambda own: own.adbc_get_table_schema("laps", db_schema_filter="probe"),
    "polars": lambda own: pl.read_database("select * from probe.laps", own),
}
WRITES: Final[dict[str, Callable[[Connection], object]]] = {
    "insert": lambda own: do(own, "insert into probe.laps values (7, 1.0)"),
    "copy": lambda own: ingest(own, LAPS.slice(1)),
    "delete": lambda own: do(own, "delete from probe.laps"),
    "ddl": lambda own: do(own, "drop table probe.laps"),
}


def test_b05_a_rollback_holds_after_a_read_in_autocommit(
    address: Address, connection: Connection
) -> None:
    """B05: four ways to read × four to write, then `rollback`; before 1.13 rows stayed."""
    do(connection, "insert into probe.laps values (1, 90.0)")
    connection.commit()
    for read in READS.values():
        for write in WRITES.values():
            with adbc_driver_postgresql.dbapi.connect(address.uri, autocommit=True) as own:
                cursor = read(own)
                if isinstance(cursor, adbc.Cursor):
                    cursor.close()
                own.adbc_connection.set_autocommit(enabled=False)
                write(own)
                own.rollback()
            assert count(connection) == 1


def test_b06_a_commit_after_an_error_is_not_taken_for_one(connection: Connection) -> None:
    """B06: the driver's `commit` returns as if nothing were wrong, and nothing is there.

    So the last statement of a load reads back what it stored, which fails in that state.
    """
    ingest(connection, LAPS)
    with pytest.raises(adbc.Error):
        do(connection, "select 1 / 0")
    connection.commit()
    assert count(connection) == 0

    def swallow() -> None:
        with pytest.raises(adbc.Error):
            do(connection, "select 1 / 0")
        run_file(connection, "queries/verification", "[]", "[]")

    with (
        pytest.raises(WarehouseError, match="rollback"),
        transaction(connection, "loading by hand"),
    ):
        swallow()


@pytest.mark.parametrize("file", ["merge/lap_times", "merge/calendar_events"])
def test_b06_a_swallowed_error_is_not_reported_as_success(
    settings: Settings, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B06: an error that code of ours hides fails the load all the same."""

    def swallowing(connection: Connection, name: str, *parameters: str | int) -> pl.DataFrame:
        answer = run_file(connection, name, *parameters)
        if name == file:
            with pytest.raises(connection.Error), connection.cursor() as cursor:
                cursor.execute("select 1 / 0")
        return answer

    with connect(settings) as connection:
        start_over(connection)
        before = snapshot(connection)
        with monkeypatch.context() as patch:
            patch.setattr(merging, "run_file", swallowing)
            with pytest.raises(WarehouseError):
                load(connection, session_tables())
        assert snapshot(connection) == before


def broken_stream() -> pa.RecordBatchReader:
    """Rows whose source breaks after the first."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from LAPS.slice(0, 1).to_batches()
        raise ValueError("the source broke")

    return pa.RecordBatchReader.from_batches(LAPS.schema, batches())


def leave_unread(connection: Connection, sql: str) -> None:
    """Ask, and do not read the answer."""
    with connection.cursor() as cursor:
        cursor.execute(sql)


SWALLOWED: Final[dict[str, Callable[[Connection], object]]] = {
    "refused statement": lambda own: do(own, "select 1 / 0"),
    "refused row": lambda own: do(own, "insert into probe.laps values (-1, 1.0)"),
    "missing table": lambda own: do(own, "select * from probe.missing"),
    "fault while fetching": lambda own: do(own, "select 1 / (3 - n) from generate_series(1, 5) n"),
    "fault that nobody fetched": lambda own: leave_unread(own, UNREAD),
    "refused copy": lambda own: ingest(own, LAPS),
    "broken stream": lambda own: ingest(own, broken_stream(), "x", mode="create", temporary=True),
}

UNREAD: Final = "select 1 / (300000 - n) from generate_series(1, 500000) n"


@pytest.mark.parametrize("way", SWALLOWED)
def test_b06_no_transaction_commits_after_an_error(connection: Connection, way: str) -> None:
    """B06: whatever failed and however the body hid it; control: the driver's own commit."""
    with suppress(adbc.Error):
        ingest(connection, LAPS)
        SWALLOWED[way](connection)
    connection.commit()
    assert count(connection) == 0
    with (  # noqa: PT012 - it is the end of the block that raises
        pytest.raises(WarehouseError, match="by hand: a statement failed") as refusal,
        transaction(connection, "by hand"),
    ):
        ingest(connection, LAPS)
        with suppress(adbc.Error):
            SWALLOWED[way](connection)
    assert (refusal.value.sqlstate, refusal.value.is_transient) == ("25P02", False)
    assert count(connection) == 0


def test_b06_what_succeeded_is_committed(connection: Connection, other: Connection) -> None:
    """B06: also if the last answer was not read, and after a refusal on the same connection."""
    with pytest.raises(WarehouseError), transaction(connection, "by hand"), suppress(adbc.Error):
        do(connection, "select 1 / 0")
    with transaction(connection, "copying"):
        ingest(connection, LAPS)
    with transaction(connection, "asking"):
        leave_unread(connection, "select * from probe.laps")
    with transaction(connection, "doing nothing"):
        pass
    assert count(other) == 3


def test_b06_the_check_asks_no_server(connection: Connection) -> None:
    """B06: a transaction whose answers were read is begun, one statement, committed: no more."""
    do(connection, "set log_statement = 'all'")
    connection.commit()
    with transaction(connection, "counting"):
        do(connection, "select 'of b06'")
    do(connection, "reset log_statement")
    connection.commit()
    own = str(do(connection, "select pg_backend_pid()")[0][0])
    log = do(connection, "select pg_read_file('server.log')")[0][0]
    said = [line for line in log.splitlines() if f"[{own}]" in line and " LOG: " in line]
    (at,) = (number for number, line in enumerate(said) if "of b06" in line)
    assert [line.rpartition(": ")[2] for line in (said[at - 1], said[at + 1])] == [
        "BEGIN TRANSACTION",
        "COMMIT",
    ]


def test_b06_all_commits_are_in_the_one_place() -> None:
    """B06: nothing in the loaders commits PostgreSQL's transactions but `transaction`."""
    commits = {
        path.stem: path.read_text(encoding="utf-8").count(".commit(")
        for path in (ROOT / "loaders").rglob("*.py")
    }
    found = {module: number for module, number in commits.items() if number}
    assert found == {"connection": 1, "explore": 1}  # the latter is DuckDB's, in memory


def test_b07_a_stream_that_breaks_leaves_no_row_and_no_lock(
    connection: Connection, other: Connection
) -> None:
    """B07: the connection would stay inside COPY, with its locks; our handler rolls back."""
    with pytest.raises(WarehouseError), transaction(connection, "copying"):
        ingest(connection, broken_stream())
    do(other, "lock table probe.laps in access exclusive mode nowait")
    other.rollback()
    assert count(connection) == 0


RETRIED: Final = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "08000", "08006")
FINAL: Final = ("22001", "23505", "42P01", "21000", "53100", "57014")


def test_b08_the_code_decides_what_is_tried_again(connection: Connection) -> None:
    """B08: 14 codes raised by the server; the driver's classes say nothing of it."""
    for code in (*RETRIED, *FINAL):
        statement = f"do $$ begin raise exception using errcode = '{code}', message = 'no'; end $$"
        with pytest.raises(WarehouseError) as refusal, transaction(connection, "trying"):
            do(connection, statement)
        assert (refusal.value.sqlstate, refusal.value.is_transient) == (code, code in RETRIED)
        assert ("Try again" in str(refusal.value)) is (code in RETRIED)


def invalid_utf8() -> pa.Array:
    """Text whose bytes are none, as no ordinary constructor makes it."""
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    return pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"a\xff"))


def test_b09_a_refused_row_is_named(connection: Connection) -> None:
    """B09: unique, check, null, zero byte and bad UTF-8; each with its line."""
    numbers = pa.array([1, 2], pa.int32())
    faults = {
        "23505": ("laps", pa.table({"lap": pa.array([5, 5], pa.int32())})),
        "23514": ("laps", pa.table({"lap": pa.array([5, -5], pa.int32())})),
        "23502": ("laps", pa.table({"lap": pa.array([5, None], pa.int32())})),
        "22021": ("laps", pa.table({"lap": numbers, "driver": ["a", "b\0c"]})),
        "22021 ": ("laps", pa.table({"lap": numbers, "driver": invalid_utf8()})),
    }
    do(connection, "insert into probe.drivers values ('a')")
    connection.commit()
    for code, (table, rows) in faults.items():
        with (
            pytest.raises(WarehouseError, match="line 2") as refusal,
            transaction(connection, "copying"),
        ):
            ingest(connection, rows, table)
        assert refusal.value.sqlstate == code.strip()
        assert count(connection) == 0


def test_b10_a_row_without_its_parent_is_named_before_it_is_sent(connection: Connection) -> None:
    """B10: the server names the key of such a row and no line; the check before it, the row."""
    orphan = pa.table({"lap": pa.array([1, 2], pa.int32()), "driver": ["x", "x"]})
    with (
        pytest.raises(WarehouseError, match=r"\(driver\)=\(x\)") as refusal,
        transaction(connection, "copying"),
    ):
        ingest(connection, orphan)
    assert refusal.value.sqlstate == "23503"
    assert "line" not in str(refusal.value)
    good = session_tables()
    laps = good["laps"].with_columns(driver_id=pl.lit("hamilton")).unique("lap_number")
    with pytest.raises(ContractError, match="driver_id=hamilton lap_number=1"):
        checked_tables([MELBOURNE], {**good, "laps": laps}, GRADINGS)


GRADINGS: Final = (Grading("baseline", 1, "v1"),)


@pytest.mark.parametrize("freed_by", ["commit", "rollback", "close"])
def test_b11_a_session_is_locked_by_one(address: Address, other: Connection, freed_by: str) -> None:
    """B11: who comes second is told at once; the lock goes with its transaction."""
    with open_connection(address) as own:
        assert run_file(own, "queries/lock_session", "2025-1").is_empty()
        started = time.monotonic()
        held = run_file(other, "queries/lock_session", "2025-1 2025-2")
        assert time.monotonic() - started < 1
        assert held.rows() == [("2025-1",)]
        if freed_by != "close":
            getattr(own, freed_by)()
            assert run_file(other, "queries/lock_session", "2025-1").is_empty()
    assert run_file(other, "queries/lock_session", "2025-1").is_empty()


def test_b12_temporary_tables_of_two_never_meet(connection: Connection, other: Connection) -> None:
    """B12: of the same name, at the same time."""
    ingest(connection, LAPS, "staged", mode="create", temporary=True)
    ingest(other, LAPS.slice(1), "staged", mode="create", temporary=True)
    assert do(connection, "select count(*) from staged") == [(3,)]
    assert do(other, "select count(*) from staged") == [(2,)]


def test_b13_repeated_keys_are_refused_before_the_server_sees_them(
    connection: Connection,
) -> None:
    """B13: it would say 21000, naming no row; our check shows the rows."""
    ingest(connection, pa.concat_tables([LAPS, LAPS]), "staged", mode="create", temporary=True)
    upsert = (
        "insert into probe.laps select lap, time_s from staged "
        "on conflict (lap) do update set time_s = excluded.time_s"
    )
    with pytest.raises(WarehouseError) as refusal, transaction(connection, "merging"):
        do(connection, upsert)
    assert refusal.value.sqlstate == "21000"
    good = session_tables()
    laps = pl.concat([good["laps"], good["laps"].head(1)])
    with pytest.raises(ContractError, match=r"primary_key: 2 rows\n.*lap_number=1"):
        checked_tables([MELBOURNE], {**good, "laps": laps}, GRADINGS)


def test_b14_a_dead_connection_stays_dead(address: Address, connection: Connection) -> None:
    """B14: nothing reconnects in silence; closing it works, and a new one does."""
    with open_connection(address) as own:
        ingest(own, LAPS)
        pid = do(own, "select pg_backend_pid()")[0][0]
        ask(connection, "select pg_terminate_backend($1::integer, 5000)", pid)
        for _ in range(2):
            with pytest.raises(WarehouseError) as lost, transaction(own, "loading"):
                do(own, "select 1")
            assert lost.value.is_transient
    with open_connection(address) as new:
        assert count(new) == 0


def test_b15_a_limit_stops_what_waits(connection: Connection, other: Connection) -> None:
    """B15: a statement and a wait for a lock end in time; the connection goes on.

    Which limits every connection has is read back in tests/loaders/test_migrations.py.
    """
    do(other, "lock table probe.laps in access exclusive mode")
    waits = {"statement_timeout": "select pg_sleep(20)", "lock_timeout": "delete from probe.laps"}
    for (limit, waiting), code in zip(waits.items(), ("57014", "55P03"), strict=True):
        started = time.monotonic()
        do(connection, f"set local {limit} = '30ms'")
        with pytest.raises(WarehouseError) as refusal, transaction(connection, "waiting"):
            do(connection, waiting)
        assert refusal.value.sqlstate == code
        assert time.monotonic() - started < 5
    assert do(connection, "select current_setting('statement_timeout')") == [("1min",)]


def test_b16_a_reader_can_hold_one_state(connection: Connection, other: Connection) -> None:
    """B16: two statements see two states, or one under REPEATABLE READ, which cannot write."""
    for level, seen in (("read committed", [0, 1]), ("repeatable read", [1, 1])):
        do(connection, f"set transaction isolation level {level} read only")
        found = [do(connection, "select count(*) from probe.laps")[0][0]]
        do(other, "insert into probe.laps select coalesce(max(lap), 0) + 1, 9 from probe.laps")
        other.commit()
        found.append(do(connection, "select count(*) from probe.laps")[0][0])
        assert found == seen
        with pytest.raises(WarehouseError) as refusal, transaction(connection, "writing"):
            do(connection, "delete from probe.laps")
        assert refusal.value.sqlstate == "25006"


def test_b17_two_statements_in_one_are_refused(connection: Connection) -> None:
    """B17: whatever comes after a semicolon is not run."""
    with pytest.raises(WarehouseError) as refusal, transaction(connection, "asking"):
        do(connection, "select 1; drop table probe.laps")
    assert refusal.value.sqlstate == "42601"
    assert count(connection) == 0


HOSTILE: Final = (
    "'; drop table probe.laps; --", '"', "\\", "$$", "$1", "%s", "{}", "line\nline", "*", "../..",
    "\u202egnp", "Ñ 周 🏎", "",
)  # fmt: skip


def test_b18_bound_values_are_only_values(connection: Connection) -> None:
    """B18: hostile text comes back as it went; a zero byte is refused, not cut."""
    for text in HOSTILE:
        assert do(connection, "select $1::text", text) == [(text,)]
    with pytest.raises(WarehouseError) as refusal, transaction(connection, "asking"):
        do(connection, "select $1::text", "a\0b")
    assert refusal.value.sqlstate == "22021"
    assert count(connection) == 0


def test_b19_what_is_no_number_is_refused_twice(connection: Connection) -> None:
    """B19: the driver hands over NaN and ∞, and `> 0` lets them pass; two bounds and we do not."""
    do(connection, "create temporary table naive (time_s double precision check (time_s > 0))")
    metrics = session_tables()["driver_metrics"]
    for value in (float("nan"), float("inf")):
        ingest(connection, pa.table({"time_s": [value]}), "naive", temporary=True)
    assert do(connection, "select count(*) from naive") == [(2,)]
    connection.commit()
    for value in (float("nan"), float("inf"), float("-inf")):
        rows = pa.table({"lap": pa.array([1], pa.int32()), "time_s": [value]})
        with pytest.raises(WarehouseError) as refusal, transaction(connection, "copying"):
            ingest(connection, rows)
        assert refusal.value.sqlstate == "23514"
        with pytest.raises(ContractError, match="total_grade"):
            check("driver_metrics", metrics.with_columns(total_grade=value), "hand")


def test_b20_a_nanosecond_is_not_cut_off(connection: Connection) -> None:
    """B20: the driver stores 1.5 µs as 1 µs; the gate takes microseconds only."""
    half = pa.table({"at": pa.array([1_500], pa.timestamp("ns", "UTC"))})
    ingest(connection, half, "moments", mode="create", temporary=True)
    stored = do(connection, "select extract(microseconds from at)::integer from moments")
    assert stored == [(1,)]
    sessions = session_tables()["sessions"].cast({"started_at": pl.Datetime("ns", "UTC")})
    with pytest.raises(ContractError, match=r"started_at is timestamp\[ns, tz=UTC\]"):
        to_arrow("sessions", sessions)


def test_b21_no_table_is_replaced(connection: Connection) -> None:
    """B21: `replace` drops a table's constraints; we only make temporary tables or append.

    What appends is the warehouse in one file, which is not PostgreSQL.
    """
    ingest(connection, LAPS, "status", mode="replace")
    assert do(connection, CONSTRAINTS) == [(0,)]
    calls = [
        (path.stem, {word.arg: ast.unparse(word.value) for word in node.keywords})
        for path in sorted((ROOT / "loaders").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "adbc_ingest"
    ]
    assert {module for module, _ in calls} == {"connection", "one_file_store"}
    for module, options in calls:
        if module == "one_file_store":
            assert options["mode"] == "'append'"
        else:
            assert options == {"mode": "'create'", "temporary": "True"}


CONSTRAINTS: Final = "select count(*) from pg_constraint where conrelid = 'probe.status'::regclass"


def test_b25_rows_are_copied_without_a_second_begin(connection: Connection) -> None:
    """B25: after a COPY the driver takes its transaction for ended; reading the answer mends it."""

    def warnings() -> int:
        said = do(connection, "select pg_read_file('server.log')")[0][0]
        return str(said).count("there is already a transaction in progress")

    before = warnings()
    for name in ("one", "two"):
        copy_rows(connection, name, LAPS)
    assert do(connection, "select count(*) from one, two") == [(9,)]
    assert warnings() == before
    ingest(connection, LAPS, "three", mode="create", temporary=True)
    assert do(connection, "select count(*) from three") == [(3,)]
    assert warnings() == before + 1
    with pytest.raises(adbc.Error, match="before any query"):  # still the first transaction
        do(connection, "set transaction isolation level serializable")
    connection.rollback()


def test_b22_an_old_driver_is_refused_before_it_connects(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B22: rollback cannot be trusted before 1.13."""
    monkeypatch.setattr(connections, "version", lambda _: "1.12.9")
    monkeypatch.setattr(adbc_driver_postgresql.dbapi, "connect", None)
    with pytest.raises(WarehouseError, match=r"1\.12\.9 is installed, 1\.13 or later"):
        open_connection(address).__enter__()


def test_b24_what_is_staged_has_the_types_it_is_stored_in(connection: Connection) -> None:
    """B24: the types the driver gives each staged table are those of the allow-list.

    That the stored columns have them too is shown in tests/loaders/test_migrations.py.
    """
    for table, schema in ARROW_SCHEMAS.items():
        name = f"stage_{table}"
        ingest(connection, schema.empty_table(), name, mode="create", temporary=True)
        made = dict(do(connection, COLUMN_TYPES, name))
        assert made == {field.name: ALLOWED[field.type] for field in schema}, table


COLUMN_TYPES: Final = (
    "select attname, format_type(atttypid, atttypmod) from pg_attribute "
    "where attrelid = $1::regclass and attnum > 0"
)
