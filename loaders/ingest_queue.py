"""The queue of ingests in Redis: one job a session, which the scheduler puts there.

Redis only carries the jobs from the scheduler to a worker. What is to be done is asked of the
database, pauses and the number of attempts are the calendar's (`loaders.administration`), and a
job that is lost is put there again. So RQ's own retries, timers and callbacks are not used.

Whoever can write to this Redis can add a job, but a job is never more than a session to ingest:
`IngestJob` compares the name of its function and imports none. Nothing here loads Polars, because
the worker's process must stay small.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import redis
from rq import Queue
from rq.exceptions import DeserializationError, DuplicateJobError, NoSuchJobError
from rq.executions import ExecutionRegistry
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from engine.errors import DriveGradeError
from loaders.redis_url import CacheError, RedisAddress, open_client, parse_redis_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.tables import SessionKey
    from loaders.settings import Settings

NAME: Final = "drivegrade"
"""The queue."""

FUNCTION: Final = "drivegrade.ingest"
"""What a job names. No such module exists: a worker that is not ours can do nothing with it."""

LEASE_S: Final = 90
"""A worker that was silent for longer is taken for dead, and its session given to another."""

STEP_S: Final = 2.0
"""Limit of each step of the scheduler's exchange with Redis."""

FAILED_KEPT_S: Final = 7 * 86_400
"""How long a failed job stays in Redis to be looked at."""

SEASONS: Final = range(1950, 2101)
ROUNDS: Final = range(1, 41)
KINDS: Final = ("race", "sprint")
"""What a session may be; the contract of `engine.tables`, which loads Polars, is the same."""

LOSES_NOTHING: Final = "Nothing is lost: what is due is put there again when it answers"


class QueueError(DriveGradeError):
    """The queue is not there, or a job of it was refused; the database has all that is to do."""

    exit_code = 14


class Wanted(NamedTuple):
    """The session that a job is for."""

    season: int
    round: int
    session_kind: str


class State(StrEnum):
    """Where a session's job stands.

    Attributes:
        absent: there is none.
        waiting: no worker has taken it.
        running: a worker has, and was heard of within the lease.
        failed: its ingest ended, and the job says how.
        lost: nothing will come of it: the worker is gone, or it is no job of ours.
    """

    absent = "absent"
    waiting = "waiting"
    running = "running"
    failed = "failed"
    lost = "lost"


class Place(NamedTuple):
    """A session's job.

    Attributes:
        state: where it stands.
        reason: why its ingest failed, in a line; None unless it did.
        attempts: the calendar's count when it was put into the queue; None if it does not say.
    """

    state: State
    reason: str | None = None
    attempts: int | None = None


class IngestJob(Job):
    """A job that can only be an ingest: no name that stands in Redis is ever imported.

    Attributes:
        conduct: does the ingest; set by the worker that has taken the job.
    """

    conduct: Callable[[Wanted], None] | None = None

    @property
    def success_callback(self) -> None:
        """None: a callback would be a name to import."""

    failure_callback = stopped_callback = success_callback

    def send_webhooks(self, status: str | JobStatus, *, exc_string: str | None = None) -> None:
        """Send nothing: an address would be one that Redis says."""

    def perform(self) -> None:
        """Do the ingest.

        Raises:
            QueueError: it is none, or the ingest failed; nothing was imported for it.
        """
        wanted = accepted(self.func_name, self.args, self.kwargs)
        if self.conduct is None:
            raise QueueError(f"{self.id} was not taken by a worker of Drive Grade")
        self.conduct(wanted)


def accepted(function: object, arguments: object, named: object) -> Wanted:
    """See that a job is an ingest.

    Raises:
        QueueError: it names another function, or its arguments are no session.
    """
    match arguments:
        case [int(season), int(round_number), str(kind)] if (
            function == FUNCTION
            and not named
            and not isinstance(season, bool)
            and not isinstance(round_number, bool)
            and season in SEASONS
            and round_number in ROUNDS
            and kind in KINDS
        ):
            return Wanted(season, round_number, kind)
    raise QueueError(
        f"a job with the function {str(function)[:80]!r} is none of ours and was not run. Somebody "
        "else writes to the queue's Redis: give it a user and a password of its own "
        "(docs/operations.md)"
    )


def queue_address(settings: Settings) -> RedisAddress:
    """Say where the Redis of the queue is.

    Raises:
        QueueError: none is named, or its URL is malformed; the text repeats no part of it.
    """
    url = settings.queue_url or settings.redis_url
    if url is None:
        raise QueueError(
            "there is no queue: set DRIVEGRADE_QUEUE_URL to redis://HOST:PORT. Without a Redis "
            "the sessions that are due are ingested by: drivegrade schedule --once --here"
        )
    name = "DRIVEGRADE_QUEUE_URL" if settings.queue_url else "REDIS_URL"
    try:
        return parse_redis_url(url)
    except CacheError as error:
        reason = str(error).replace("REDIS_URL", name, 1)
    raise QueueError(reason)


def open_queue(client: redis.Redis) -> Queue:
    """Give RQ's view of the queue: arguments as JSON, jobs as ours."""
    return Queue(NAME, connection=client, serializer=JSONSerializer, job_class=IngestJob)


class IngestQueue:
    """The queue as the scheduler sees it: one job a session, whoever puts it there."""

    def __init__(self, address: RedisAddress, lease_s: float = LEASE_S) -> None:
        """Prepare the client; Redis is first asked when a job is."""
        self.lease_s = lease_s
        self._client = open_client(address, STEP_S)
        self._queue = open_queue(self._client)
        self._where = address.where

    @classmethod
    def of(cls, settings: Settings, lease_s: float = LEASE_S) -> IngestQueue:
        """Make the queue that the settings name.

        Raises:
            QueueError: they name none.
        """
        return cls(queue_address(settings), lease_s)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def put(self, session: SessionKey, attempts: int) -> bool:
        """Put a session into the queue; whether it was not there yet.

        However many schedulers do so at once, one of them does: Redis looks and writes in a step.

        Args:
            session: which session.
            attempts: the calendar's count of its attempts.

        Raises:
            QueueError: Redis did not do it.
        """
        with self._answering(), suppress(DuplicateJobError):
            self._queue.enqueue_call(
                FUNCTION,
                args=tuple(session),
                timeout=-1,  # the worker ends the ingest's process, which no alarm could
                result_ttl=0,
                failure_ttl=FAILED_KEPT_S,
                description=f"ingest {session.session_id}",
                job_id=job_id(session),
                meta={"attempts": attempts},
                unique=True,
            )
            return True
        return False

    def place(self, session: SessionKey) -> Place:
        """Say where a session's job stands.

        Raises:
            QueueError: Redis does not say.
        """
        name = job_id(session)
        with self._answering():
            try:
                job = IngestJob.fetch(name, self._client, serializer=JSONSerializer)
            except NoSuchJobError:
                return Place(State.absent)
            except (ValueError, TypeError, DeserializationError):
                return Place(State.lost)
            state = self._state(job)
        meta: object = job.meta  # whatever JSON stands there
        told = meta if isinstance(meta, dict) else {}
        reason, attempts = told.get("reason"), told.get("attempts")
        return Place(
            State.lost if state is State.failed and not isinstance(reason, str) else state,
            reason if isinstance(reason, str) else None,
            attempts if isinstance(attempts, int) else None,
        )

    def _state(self, job: Job) -> State:
        status = job.get_status(refresh=False)
        if status is JobStatus.FAILED:
            return State.failed
        if status is JobStatus.QUEUED:
            if self._client.lpos(self._queue.key, job.id) is not None:
                return State.waiting
            return State.waiting if self._is_recent(job.enqueued_at) else State.lost
        is_alive = status is JobStatus.STARTED and self._is_recent(job.last_heartbeat)
        return State.running if is_alive else State.lost

    def _is_recent(self, moment: datetime | None) -> bool:
        """Tell whether a moment is within the lease."""
        return moment is not None and (datetime.now(UTC) - moment).total_seconds() <= self.lease_s

    def discard(self, session: SessionKey) -> None:
        """Remove all that Redis has of a session's job, so that it can be put there again.

        What a dead worker left of it would keep RQ from ending the next one.

        Raises:
            QueueError: Redis did not do it.
        """
        name, started = job_id(session), self._queue.started_job_registry.key
        with self._answering(), self._client.pipeline() as together:
            for run, _ in self._client.zscan_iter(started, match=f"{name}:*"):
                together.zrem(started, run)
            together.delete(ExecutionRegistry(name, self._client).key)
            together.lrem(self._queue.key, 0, name)
            together.lrem(self._queue.intermediate_queue_key, 0, name)
            together.zrem(self._queue.failed_job_registry.key, name)
            together.delete(IngestJob.key_for(name))
            together.execute()

    def tidy(self) -> None:
        """Forget what RQ noted of jobs whose time is over.

        Raises:
            QueueError: Redis did not do it.
        """
        over = datetime.now(UTC).timestamp() - FAILED_KEPT_S
        with self._answering(), self._client.pipeline() as together:
            together.zremrangebyscore(self._queue.started_job_registry.key, "-inf", over)
            together.zremrangebyscore(self._queue.failed_job_registry.key, "-inf", over)
            together.execute()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        kind = ""
        try:
            yield
        except redis.RedisError as error:
            kind = type(error).__name__
        if kind:
            # raised here, so that no trace leads to the driver's variables, which know the password
            raise QueueError(f"the queue's Redis at {self._where}: {kind}. {LOSES_NOTHING}")


def job_id(session: SessionKey | Wanted) -> str:
    """Name the job of a session: `ingest-2025-1-race`."""
    return f"ingest-{session.season}-{session.round}-{session.session_kind}"
