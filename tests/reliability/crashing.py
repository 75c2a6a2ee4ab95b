"""Processes that load, to be killed or frozen.

Run as a program this imports what a load needs and forks a child for each order it reads. It works
on no frame itself, nor imports what does: Polars would start its threads, and a child would wait
for ever for one of them. So a child reads its tables from files, which the tests have written. It
says through a pipe which fault point it passes.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import adbc_driver_manager.dbapi as adbc
import adbc_driver_postgresql
import polars as pl
import pyarrow as pa

from engine.tables import SessionKey
from loaders.arrow import Grading
from loaders.batch import load_sessions
from loaders.connection import open_connection
from loaders.database_url import Address
from loaders.fault_points import watching
from loaders.revisions import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any


ROOT: Final = Path(__file__).parents[2]
CHILD: Final = "a child to be killed"
"""Application name of the children's connections."""


def write_order(
    folder: Path,
    deliveries: Sequence[Delivery],
    tables: Mapping[str, pl.DataFrame],
    grading: Grading,
) -> None:
    """Write what a child is to load, once for all children that load it."""
    folder.mkdir()
    for name, frame in tables.items():
        frame.write_ipc(folder / f"{name}.arrow")
    sessions = [(*item.session, item.data_hash) for item in deliveries]
    (folder / "order.json").write_text(json.dumps({"sessions": sessions, "grading": grading}))


def _load_ordered(connection: adbc.Connection, folder: Path) -> None:
    """Load what was written to a folder."""
    order = json.loads((folder / "order.json").read_text())
    deliveries = [Delivery(SessionKey(*key), data_hash) for *key, data_hash in order["sessions"]]
    tables = {path.stem: pl.read_ipc(path.read_bytes()) for path in folder.glob("*.arrow")}
    load_sessions(connection, deliveries, tables, [Grading(*order["grading"])])


class Child:
    """A process that loads something, and what it says of its way."""

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

    def load(self, ordered: Path, point: str = "", action: str = "") -> Child:
        """Have a child load something.

        Args:
            ordered: where `write_order` wrote it.
            point: where it does something: a fault point, or `copy`, which is in mid-stream.
            action: what it does there: `kill` or `stop` itself, or `autocommit` all along.
        """
        self._count += 1
        path = self._folder / f"pipe-{self._count}"
        os.mkfifo(path)
        order = {
            "uri": self._uri, "pipe": str(path), "ordered": str(ordered), "point": point,
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
        [sys.executable, "-m", "tests.reliability.crashing", uri],
        cwd=ROOT,
        env={**os.environ, "POLARS_MAX_THREADS": "1"},  # small frames: a second one only costs
        stdin=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        try:
            yield Forker(process, uri, folder)
        finally:
            process.stdin.close()
            process.wait()


def _serve(uri: str) -> None:
    """Fork a child for each order, until there are no more; the driver is loaded by then."""
    adbc_driver_postgresql.connect(uri).close()
    gc.disable()  # a collection would have each child copy the pages of all modules
    gc.freeze()
    for line in sys.stdin:
        if os.fork() == 0:
            _child(json.loads(line))
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


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
        with watching(watch), open_connection(Address(order["uri"]), CHILD) as connection:
            if order["action"] == "autocommit":
                connection.adbc_connection.set_autocommit(enabled=True)
                setattr(adbc.Connection, "commit", lambda _: None)  # noqa: B010
            _load_ordered(connection, Path(order["ordered"]))
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
    _serve(sys.argv[1])
