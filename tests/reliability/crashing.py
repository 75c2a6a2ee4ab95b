"""Processes that load, to be killed or frozen.

Run as a program this imports what a load needs and forks a child for each order it reads. It works
on no frame itself, nor imports what does: Polars would start its threads, and a child would wait
for ever for one of them. A child says through a pipe which fault point it passes.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import adbc_driver_manager.dbapi as adbc
import pyarrow as pa

from loaders.connection import open_connection
from loaders.database_url import Address
from loaders.fault_points import watching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


ROOT: Final = Path(__file__).parents[2]
CHILD: Final = "a child to be killed"
"""Application name of the children's connections."""


class Child:
    """A process that loads a version, and what it says of its way."""

    def __init__(self, pipe: int) -> None:
        self._pipe = os.fdopen(pipe, "rb", buffering=0)
        self.said: list[str] = []
        self.pid = int(self.wait_for("pid").split()[1])

    def _read(self) -> str | None:
        line = self._pipe.readline().decode().strip()
        if not line:
            return None
        self.said.append(line)
        return line

    def wait_for(self, what: str) -> str:
        """Read until a line begins with this."""
        while (line := self._read()) is not None:
            if line.startswith(what):
                return line
        raise AssertionError(f"the child ended before {what}: {self.said}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; the child may be gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def join(self) -> list[str]:
        """Wait until it is gone: all that it said."""
        while self._read() is not None:
            pass
        self._pipe.close()
        return self.said


class Forker:
    """The process whose children load."""

    def __init__(self, process: subprocess.Popen[str], uri: str, folder: Path) -> None:
        self._process = process
        self._uri = uri
        self._folder = folder
        self._count = 0

    def load(self, version: int, point: str = "", action: str = "") -> Child:
        """Have a child load a version.

        Args:
            version: which one.
            point: where it does something: a fault point, or `copy`, which is in mid-stream.
            action: what it does there: `kill` or `stop` itself, or `autocommit` all along.
        """
        self._count += 1
        path = self._folder / f"pipe-{self._count}"
        os.mkfifo(path)
        order = {
            "uri": self._uri, "pipe": str(path), "version": version, "point": point,
            "action": action,
        }  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Child(os.open(path, os.O_RDONLY))


@contextmanager
def forker(uri: str, folder: Path) -> Iterator[Forker]:
    """Run the process whose children load into a server."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.reliability.crashing"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        try:
            yield Forker(process, uri, folder)
        finally:
            process.stdin.close()
            process.wait()


def _serve() -> None:
    """Fork a child for each order, until there are no more."""
    importlib.import_module("loaders.postgres")  # what a child needs, once for all of them
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork() == 0:
            _child(json.loads(line))


def _child(order: dict[str, Any]) -> None:
    """Load as ordered, and end without a clean-up of anything."""
    pipe = os.open(order["pipe"], os.O_WRONLY)

    def say(what: str) -> None:
        os.write(pipe, f"{what}\n".encode())

    def watch(point: str) -> None:
        say(point)
        if point == order["point"]:
            os.kill(os.getpid(), signal.SIGKILL if order["action"] == "kill" else signal.SIGSTOP)

    say(f"pid {os.getpid()}")
    if order["point"] == "copy":
        _stop_in_copy(say)
    code = 0
    try:
        versions = importlib.import_module("tests.reliability.versions")
        tables = versions.version_tables(order["version"])
        with watching(watch), open_connection(Address(order["uri"]), CHILD) as connection:
            if order["action"] == "autocommit":
                connection.adbc_connection.set_autocommit(enabled=True)
                setattr(adbc.Connection, "commit", lambda _: None)  # noqa: B010
            versions.load_version(connection, order["version"], tables)
        say("done")
    except BaseException as error:  # noqa: BLE001 - a child says everything and never returns
        say(f"error {type(error).__name__} {str(error).splitlines()[0]}")
        code = 1
    os._exit(code)


def _stop_in_copy(say: Any) -> None:
    """Have the copy of the laps stop this process between two batches of rows."""
    ingest = adbc.Cursor.adbc_ingest

    def batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(table.to_batches(max_chunksize=1)):
            if number == 2:
                say("copy")
                os.kill(os.getpid(), signal.SIGSTOP)
            yield batch

    def stopping(self: Any, name: str, table: pa.Table, **options: Any) -> int:
        if name != "stage_laps":
            return ingest(self, name, table, **options)
        reader = pa.RecordBatchReader.from_batches(table.schema, batches(table))
        return ingest(self, name, reader, **options)

    setattr(adbc.Cursor, "adbc_ingest", stopping)  # noqa: B010


if __name__ == "__main__":
    _serve()
