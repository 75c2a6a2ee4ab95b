"""The commands of the jobs: the worker that ingests, and the scheduler that says what.

Imports of anything heavy stand inside the commands, as in `loaders.__main__`.
"""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from loaders.terminal import read_settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from loaders.ingest_queue import IngestQueue
    from loaders.settings import Settings

SHORTEST_LEASE_S = 2
DEFAULT_LEASE_S = 90

Lease = Annotated[
    int,
    typer.Option(
        metavar="SECONDS",
        min=SHORTEST_LEASE_S,
        max=300,
        help="silence after which a worker is taken for dead; the same for worker and scheduler",
    ),
]


def worker(
    *,
    burst: Annotated[bool, typer.Option("--burst", help="end when the queue is empty")] = False,
    lease: Lease = DEFAULT_LEASE_S,
) -> None:
    """Ingest the sessions in the queue, each in a process of its own, until told to end."""
    from loaders.extras import extra

    with extra("service"):
        from loaders import ingest_worker

    _log_to_stderr()
    ingest_worker.work(read_settings(), is_burst=burst, lease_s=lease)


def schedule(
    *,
    once: Annotated[bool, typer.Option("--once", help="do everything once, for cron")] = False,
    loop: Annotated[
        bool, typer.Option("--loop", help="again and again, until told to end")
    ] = False,
    here: Annotated[bool, typer.Option("--here", help="ingest in this process, no queue")] = False,
    sync: Annotated[
        bool | None,
        typer.Option(
            "--sync/--no-sync",
            help="fetch the running season's calendar; once a day with --loop, else not by default",
        ),
    ] = None,
    every: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="from one question to the next")
    ] = 60,
    lease: Lease = DEFAULT_LEASE_S,
) -> None:
    """Enqueue the sessions that are due, tell the cache what it missed, fetch the calendar."""
    from loaders import scheduling

    if once == loop:
        raise typer.BadParameter("name either --once or --loop")
    settings = read_settings()
    _log_to_stderr()
    is_syncing = loop if sync is None else sync
    with _queue(settings, lease, is_here=here) as queue:
        steps = scheduling.steps_of(settings, queue, is_syncing=is_syncing, every_s=every)
        if loop:
            scheduling.run_until(_stop_on_signal(), settings, steps)
            return
        failed = scheduling.run_once(steps)
    if failed:
        raise typer.Exit(getattr(failed[0], "exit_code", 1))


def _queue(
    settings: Settings, lease_s: int, *, is_here: bool
) -> AbstractContextManager[IngestQueue | None]:
    """Open the queue, unless sessions are ingested here."""
    if is_here:
        return nullcontext()
    from loaders.extras import extra

    with extra("service"):
        from loaders.ingest_queue import IngestQueue

    return closing(IngestQueue.of(settings, lease_s))


def _stop_on_signal() -> threading.Event:
    """Give an event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _log_to_stderr() -> None:
    """Log in lines that a supervisor may date."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
