"""The worker: it takes ingests from the queue, one at a time, each in a process of its own.

The process is started anew (`loaders.tethered`), never forked, so that no lock of a thread is
inherited. At its limit it is killed with all it started, which ends a call of a driver too, as an
alarm does not. It ends with the worker, however that ends. Secrets reach it by the environment.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING, Final

import redis
from rq import SimpleWorker
from rq.timeouts import BaseDeathPenalty

from engine.errors import DriveGradeError
from loaders.errors import SessionBusyError
from loaders.ingest_queue import (
    LEASE_S,
    LOSES_NOTHING,
    STEP_S,
    IngestJob,
    QueueError,
    Wanted,
    job_id,
    open_queue,
    queue_address,
)
from loaders.redis_url import open_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from rq import Queue
    from rq.executions import Execution
    from rq.job import Job

    from loaders.settings import Settings

BEATS_A_LEASE: Final = 3
"""How often a worker is heard of within a lease."""

ASKS_EVERY_S: Final = 60
"""How long a worker waits for a job before it asks again."""

KEPT_BYTES: Final = 64 * 1024
"""End of an ingest's output that is looked at."""

SHOWN_LINES: Final = 30
"""Last lines of an ingest that failed for no reason of ours, for the log."""

_log = logging.getLogger("drivegrade.worker")


class IngestFailedError(DriveGradeError):
    """An ingest did not store its session; the text is the reason, in a line."""


def run_ingest(
    wanted: Wanted, *, limit_s: float, beat: Callable[[], None], beat_every_s: float
) -> None:
    """Ingest a session in a process of its own; one that another process is loading is left to it.

    Args:
        wanted: which session.
        limit_s: wall-clock limit, s; the process and all it started are killed then.
        beat: called from time to time, to be heard of.
        beat_every_s: how often, s.

    Raises:
        IngestFailedError: it was not stored.
    """
    season, round_number, kind = wanted
    arguments = ["ingest", str(season), str(round_number), "--session", kind, "--json"]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - our interpreter, our module, no shell
            [sys.executable, "-m", "loaders.tethered", *arguments],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=said,
            start_new_session=True,
        )
        try:
            code = _wait(process, limit_s, beat, beat_every_s)
        finally:
            _end(process)
        reason = _reason(code, limit_s, _tail(out), _tail(said))
    if reason is not None:
        raise IngestFailedError(reason)


def _wait(
    process: subprocess.Popen[bytes], limit_s: float, beat: Callable[[], None], beat_every_s: float
) -> int | None:
    """Wait for the end: the exit code, or None at the limit."""
    ends = time.monotonic() + limit_s
    while (left := ends - time.monotonic()) > 0:
        try:
            return process.wait(min(beat_every_s, left))
        except subprocess.TimeoutExpired:
            beat()
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process and of all it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _tail(file: IO[bytes]) -> str:
    """Read the end of a file that a process has written."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - KEPT_BYTES))
    return file.read().decode(errors="replace")


def _reason(code: int | None, limit_s: float, out: str, said: str) -> str | None:
    """Say why a session was not stored; None if it was, or another process is doing it."""
    lines = [line for line in said.splitlines() if line.strip()]
    if code is None:
        return f"the ingest took longer than {limit_s:g} s and was killed"
    if code < 0:
        return f"the ingest was killed by signal {-code} ({signal.Signals(-code).name})"
    if code == 0 and out.strip():
        return None
    if code == 0:
        return "the ingest ended without a report, as a library that calls exit() ends it"
    told = [line.partition(": ")[2] for line in lines if line.startswith("drivegrade: ")]
    if told:
        _log.warning("%s", said.strip())
        return None if code == SessionBusyError.exit_code else told[-1]
    _log.error("the ingest ended with code %s:\n%s", code, "\n".join(lines[-SHOWN_LINES:]))
    return f"the ingest ended with code {code}: {lines[-1] if lines else 'it said nothing'}"


class _NoAlarm(BaseDeathPenalty):
    """No limit by an alarm: an ingest is ended by `run_ingest`, and a worker does nothing else."""

    def setup_death_penalty(self) -> None:
        """Set nothing."""

    def cancel_death_penalty(self) -> None:
        """Cancel nothing."""


class IngestWorker(SimpleWorker):
    """RQ's worker for jobs that are ingests, which it watches itself instead of forking.

    Attributes:
        is_asked_to_stop: a signal has asked it to end; the job under way is finished first, a
            second signal kills it.
    """

    job_class = IngestJob
    death_penalty_class = _NoAlarm

    def __init__(self, queue: Queue, *, limit_s: float, lease_s: float) -> None:
        """Prepare it.

        Args:
            queue: from `open_queue`.
            limit_s: wall-clock limit of an ingest, s.
            lease_s: how long it may be silent before its job is given to another, s.
        """
        super().__init__(
            [queue],
            connection=queue.connection,
            worker_ttl=ASKS_EVERY_S,
            serializer=queue.serializer,
            log_job_description=False,
        )
        self.is_asked_to_stop = False
        self._limit_s = limit_s
        self._lease_s = lease_s

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Do a job, and be heard of meanwhile."""
        execution = self.prepare_execution(job)
        if isinstance(job, IngestJob):
            job.conduct = lambda wanted: self._conduct(job, execution, wanted)
        self.perform_job(job, queue, execution)
        self.set_state("idle")

    def _conduct(self, job: IngestJob, execution: Execution, wanted: Wanted) -> None:
        if job.id != job_id(wanted):
            raise QueueError(f"the job {job.id} is not that of {wanted}; it was not run")
        try:
            run_ingest(
                wanted,
                limit_s=self._limit_s,
                beat=lambda: self._beat(job, execution),
                beat_every_s=self._lease_s / BEATS_A_LEASE,
            )
        except IngestFailedError as error:
            job.meta["reason"] = str(error)
            job.save_meta()  # type: ignore[no-untyped-call]
            raise

    def _beat(self, job: IngestJob, execution: Execution) -> None:
        try:
            self.maintain_heartbeats(job, execution)
        except redis.RedisError as error:
            _log.warning("the queue does not hear of %s: %s", job.id, type(error).__name__)

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:  # noqa: ARG002 - RQ's interface
        """How long a job is thought to be under way after each sign of life, s."""
        return max(1, round(self._lease_s))

    def run_maintenance_tasks(self) -> None:
        """Leave jobs of dead workers to the scheduler, which asks the database about them."""
        self.last_cleaned_at = None

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Never: `run_maintenance_tasks`."""
        return False

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """End after the job that is under way."""
        self.is_asked_to_stop = True
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def handle_exception(
        self,
        job: Job,
        *exc_info: type[BaseException] | BaseException | TracebackType | None,
    ) -> None:
        """Log why a job failed, in a line if the reason is ours."""
        if isinstance(exc_info[1], DriveGradeError):
            _log.error("%s failed: %s", job.id, exc_info[1])
        else:
            super().handle_exception(job, *exc_info)


def work(settings: Settings, *, is_burst: bool = False, lease_s: float = LEASE_S) -> None:
    """Take ingests from the queue until a signal asks to stop.

    Args:
        settings: where the queue is, and the limit of an ingest.
        is_burst: stop when the queue is empty.
        lease_s: how long this worker may be silent before its job is given to another, s.

    Raises:
        QueueError: the queue is not named, not there, or was lost on the way.
    """
    address = queue_address(settings)
    lost = "does not answer"
    try:
        with open_client(address, None, STEP_S) as client:
            queue = open_queue(client)
            worker = IngestWorker(queue, limit_s=settings.ingest_limit_s, lease_s=lease_s)
            worker.work(burst=is_burst, logging_level="INFO")
            if is_burst or worker.is_asked_to_stop:
                return
            lost = "was lost"
    except redis.RedisError as error:
        lost = f"does not do its work ({type(error).__name__})"
    raise QueueError(f"the queue's Redis at {address.where} {lost}. {LOSES_NOTHING}; start again")
