"""The embedded server keeps what it confirmed, is shared, and does not outlive its users."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import adbc_driver_manager.dbapi as adbc
import pytest

from loaders import embedded, pg_programs
from loaders.connection import open_connection
from loaders.database_url import Address
from loaders.embedded import embedded_postgres
from loaders.errors import WarehouseError
from tests.test_architecture import ROOT
from tests.warehouse import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loaders.connection import Connection

USER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from loaders.embedded import embedded_postgres

    with embedded_postgres(Path(sys.argv[1])) as uri:
        print(uri, flush=True)
        sys.stdin.read()
    """
)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A folder whose data has been made; its server is not running."""
    with tempfile.TemporaryDirectory(prefix="drivegrade-") as folder:
        with embedded_postgres(Path(folder) / "pg"):
            pass
        yield Path(folder) / "pg"


@contextmanager
def other_user(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the server until its input is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")
        yield process
        if process.poll() is None:
            process.communicate()


def server_pid(folder: Path) -> int | None:
    """Process of the running server; None if there is none."""
    lines = embedded._Cluster(folder)._postmaster_lines()
    if not lines:
        return None
    try:
        command = Path(f"/proc/{lines[0]}/cmdline").read_bytes()
    except FileNotFoundError:
        return None
    return int(lines[0]) if command else None


def kill_server(folder: Path) -> None:
    """End the server without letting it do anything, and wait until it is gone."""
    pid = server_pid(folder)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server_pid(folder) is not None:
        time.sleep(0.01)


def ask_for_ever(connection: Connection, sql: str) -> None:
    """Ask until the connection's own process has noticed that its server was killed."""
    while True:
        ask(connection, sql)
        time.sleep(0.01)


def test_a_commit_is_a_promise(prepared: Path) -> None:
    """What decides about losing data at a power cut, asked from a client."""
    with embedded_postgres(prepared) as uri, open_connection(Address(uri)) as connection:
        settings = ask(
            connection,
            "select name, setting from pg_settings where name in ('fsync', 'full_page_writes', "
            "'synchronous_commit', 'wal_level', 'data_checksums', 'listen_addresses', 'TimeZone', "
            "'server_encoding') order by name",
        )
    assert dict(settings.rows()) == {
        "TimeZone": "UTC",
        "data_checksums": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "synchronous_commit": "on",
        "wal_level": "replica",
    }


def test_no_file_can_weaken_the_promise(prepared: Path) -> None:
    """Settings are given at the start, which outranks what is written in the data folder."""
    settings = prepared / "data" / "postgresql.auto.conf"
    settings.write_text("fsync = off\nfull_page_writes = off\n")
    with embedded_postgres(prepared) as uri, open_connection(Address(uri)) as connection:
        assert ask(connection, "select current_setting('fsync')").item() == "on"
        assert ask(connection, "select current_setting('full_page_writes')").item() == "on"
    settings.write_text("")


def test_only_its_account_can_reach_the_socket(prepared: Path) -> None:
    """It asks for no password, so the folder keeps everybody else away."""
    with embedded_postgres(prepared):
        assert (prepared / "data").stat().st_mode & 0o077 == 0
        assert (prepared / "data" / ".s.PGSQL.5432").is_socket()
    assert not (prepared / "data" / ".s.PGSQL.5432").exists()


def test_nested_use_stops_with_the_outermost(prepared: Path) -> None:
    """The second use finds the server running, and leaves it running."""
    with embedded_postgres(prepared) as outer:
        pid = server_pid(prepared)
        with embedded_postgres(prepared) as inner:
            assert inner == outer
        assert pid is not None
        assert server_pid(prepared) == pid
    assert server_pid(prepared) is None


def test_two_processes_share_it_and_the_last_one_stops_it(prepared: Path) -> None:
    """The one that started it leaves first."""
    with other_user(prepared) as first:
        with embedded_postgres(prepared):
            first.communicate()
            assert server_pid(prepared) is not None
        assert server_pid(prepared) is None


def test_many_start_a_new_folder_at_once() -> None:
    """Threads and a process; the data is made once, and everybody gets the same server.

    Somebody was interrupted there before: data that was not made to the end has another name.
    """

    def identity(_: int) -> object:
        with embedded_postgres(folder) as uri, open_connection(Address(uri)) as connection:
            return ask(connection, "select system_identifier from pg_control_system()").item()

    with tempfile.TemporaryDirectory(prefix="drivegrade-") as parent:
        folder = Path(parent) / "a" / "pg"
        torso = folder / "data.unfinished"
        torso.mkdir(parents=True)
        (torso / "PG_VERSION").write_text(f"{pg_programs.MAJOR_VERSION}\n")
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(identity, range(4))
            with other_user(folder):
                assert len(set(answers)) == 1
        assert server_pid(folder) is None
        assert not torso.exists()


def test_a_killed_user_does_not_keep_it_running_for_ever(prepared: Path) -> None:
    """Its server is found by the next user, who is then the last one, and stops it."""
    with other_user(prepared) as killed:
        killed.kill()
        killed.wait()
    pid = server_pid(prepared)
    assert pid is not None
    with embedded_postgres(prepared) as uri, open_connection(Address(uri)) as connection:
        assert server_pid(prepared) == pid
        assert ask(connection, "select 1").item() == 1
    assert server_pid(prepared) is None


def test_a_killed_server_is_started_again_with_its_data(prepared: Path) -> None:
    """What was committed is there; the connection of before is refused, the next one works."""
    with embedded_postgres(prepared) as uri:
        with open_connection(Address(uri)) as connection:
            ask(connection, "create table kept as select 42 as answer")
            kill_server(prepared)
            with pytest.raises(adbc.Error):
                ask_for_ever(connection, "select answer from kept")
        with embedded_postgres(prepared) as again, open_connection(Address(again)) as connection:
            assert ask(connection, "select answer from kept").item() == 42
            ask(connection, "drop table kept")
    assert server_pid(prepared) is None


def test_a_reused_process_id_does_not_fool_it(prepared: Path) -> None:
    """After a restart of the computer the old id may be another program's: here, this one's."""
    folder = prepared / "data"
    stale = [os.getpid(), folder, 1, 5432, folder, "", 0, "ready"]
    (folder / "postmaster.pid").write_text("\n".join(map(str, stale)) + "\n")
    (folder / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    with embedded_postgres(prepared) as uri, open_connection(Address(uri)) as connection:
        assert ask(connection, "select 1").item() == 1


def test_a_long_path_gets_a_short_private_socket(prepared: Path) -> None:
    """Sockets take about a hundred bytes; blanks and quotes in a name are no matter either.

    Data may be moved to another folder while its server does not run.
    """
    with tempfile.TemporaryDirectory(prefix="drive grade's ") as parent:
        folder = Path(parent) / ("long" * 25)
        short = embedded._short_socket_folder(folder)
        prepared.rename(folder)
        try:
            with embedded_postgres(folder) as uri, open_connection(Address(uri)) as connection:
                assert ask(connection, "select 1").item() == 1
                assert short.stat().st_mode & 0o077 == 0
        finally:
            folder.rename(prepared)
        assert not short.exists()


def test_a_socket_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """In a folder that all may write to, another account may have been there first."""
    folder = tmp_path / ("long" * 25) / "pg"
    folder.mkdir(parents=True)
    short = embedded._short_socket_folder(folder)
    short.mkdir(mode=0o755)
    try:
        with pytest.raises(WarehouseError, match="is not a private folder"):
            embedded._Cluster(folder)._socket_folder(pg_programs.Account())
    finally:
        short.rmdir()


def test_data_of_another_version_is_left_alone(tmp_path: Path) -> None:
    """The refusal says what to do with it."""
    data = tmp_path / "pg" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    says = r"written by PostgreSQL 17.* Move the folder away"
    with pytest.raises(WarehouseError, match=says), embedded_postgres(tmp_path / "pg"):
        pass


def test_a_server_that_cannot_start_says_why(prepared: Path) -> None:
    """The end of its log is in the error, and the next attempt works."""
    settings = prepared / "data" / "postgresql.auto.conf"
    settings.write_text("no_such_setting = 1\n")
    says = "unrecognized configuration parameter"
    with pytest.raises(WarehouseError, match=says), embedded_postgres(prepared):
        pass
    settings.write_text("")
    with embedded_postgres(prepared):
        assert server_pid(prepared) is not None


def test_nothing_listens_on_tcp(prepared: Path) -> None:
    """Its port names the socket only."""
    with embedded_postgres(prepared) as uri, open_connection(Address(uri)) as connection:
        assert ask(connection, "select inet_server_addr() is null").item()
        assert ask(connection, "select current_setting('listen_addresses')").item() == ""
