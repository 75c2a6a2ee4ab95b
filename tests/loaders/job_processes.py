"""Workers and schedulers as processes, and ingests that die, freeze or leave at a fault point."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.test_architecture import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from loaders.settings import Settings

PATIENCE_S: Final = 120.0
"""How long a test waits for a process on a machine that is busy."""

FAULTS: Final = """
import ctypes, json, os, pathlib, signal, sys, time

orders = json.loads(os.environ.get("DRIVEGRADE_TEST_FAULTS", "{}"))
words = pathlib.Path("/proc/self/cmdline").read_text().split(chr(0))
if orders and words[3:4] == ["ingest"]:
    where, what, marker = orders.get("-".join((*words[4:6], words[7])), ("", "", ""))
    path, passed = pathlib.Path(marker), []

    def watch(point):
        passed.append(point)
        if f"{point} {passed.count(point)}" != where:
            return
        if what == "pause":
            path.write_text("")
            while path.exists():
                time.sleep(0.05)
        if what in ("exit", "pause"):
            sys.exit(0) if where != "started 1" else os._exit(0)
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "fail":
            raise RuntimeError("a bug of ours")
        if what == "freeze" and not path.exists():
            path.with_suffix(".new").write_text(str(os.getpid()))
            path.with_suffix(".new").rename(path)
            ctypes.PyDLL(None).sleep(600)

    watch("started")
    if where != "started 1":
        from loaders import fault_points

        fault_points._watcher = watch
"""
"""Runs at the start of every process: what happens at which fault point of which session's ingest,
and at the how-many-th time (`connected 2`; `started 1` is before anything else). A process that
freezes leaves its id in the marker, and freezes but once; it keeps the interpreter's lock, as a
call of a driver may. One that pauses leaves when the marker is taken away."""


def environment(
    settings: Settings,
    queue_url: str,
    folder: Path,
    faults: Mapping[str, tuple[str, str, Path]] | None = None,
    **more: str,
) -> dict[str, str]:
    """Give the environment of a deployment of its own, with simulated races.

    Args:
        settings: whose home it uses.
        queue_url: the queue's Redis.
        folder: where what brings the faults may lie.
        faults: session (`2099-1-race`) → fault point, what happens there, and marker.
        more: variables that replace or complete these.
    """
    (folder / "sitecustomize.py").write_text(FAULTS)
    orders = {name: (*order[:2], str(order[2])) for name, order in (faults or {}).items()}
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("DRIVEGRADE_", "PYTEST_"))
        and name not in {"DATABASE_URL", "REDIS_URL"}
    }
    return {
        **kept,
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "DRIVEGRADE_HOME": str(settings.home),
        "DRIVEGRADE_QUEUE_URL": queue_url,
        "DRIVEGRADE_PROVIDERS": "simulated",
        "DRIVEGRADE_TEST_FAULTS": json.dumps(orders),
        **more,
    }


def drivegrade(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "loaders", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )


@contextmanager
def running(
    environment: Mapping[str, str], log: Path, *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as long as the block; it is killed if it has not ended by itself."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "loaders", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a process to end; its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_S)


def wait_until(is_so: Callable[[], object], what: str, *logs: Path) -> None:
    """Ask again and again, and fail with the logs if it does not become so in time."""
    ends = time.monotonic() + PATIENCE_S
    while not is_so():
        said = "\n".join(path.read_text() for path in logs)
        assert time.monotonic() < ends, f"never came: {what}\n{said}"
        time.sleep(0.2)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
