"""The scheduler: it asks the database what is due, and sees that it is done.

A pass puts the sessions that are due into the queue (or ingests them here), tells the cache what
it missed, and now and then fetches the calendar. Nothing is remembered between passes, and nothing
rests on what Redis remembers: who is due, how often it was tried and how long it rests stand in
the calendar (`loaders.administration`), the one place that owns them. An attempt that began and
never ended, because its worker was killed, is made again at once.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.errors import DriveGradeError
from engine.tables import SessionKey
from loaders import jobs, postgres, reconcile
from loaders.administration import MAX_ATTEMPTS, due_sessions, public_reason, sync_season
from loaders.calendar import fail_attempt, start_attempt
from loaders.connection import run_file, transaction, warehouse_address

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from loaders.ingest_queue import IngestQueue, Place
    from loaders.settings import Settings

PASS_EVERY_S: Final = 60.0
"""From one question what is due to the next."""

REFRESH_EVERY_S: Final = 300.0
"""From one telling of the cache to the next."""

SYNC_EVERY_S: Final = 86_400.0
"""From one fetch of the running season's calendar to the next."""

_log = logging.getLogger("drivegrade.schedule")


class Work(NamedTuple):
    """A session to be ingested, or that somebody is at.

    Attributes:
        session: which session.
        attempts: how often it was tried.
        is_due: the calendar says that it is to be ingested now.
        open_for_s: how long ago an attempt began that has not ended, s; None if there is none.
    """

    session: SessionKey
    attempts: int
    is_due: bool
    open_for_s: float | None


class Pass(NamedTuple):
    """What became of the sessions that are to be ingested.

    Attributes:
        enqueued: those put into the queue, or ingested here.
        waiting: those that are in the queue, or that somebody is at.
        noted: those whose last attempt failed without having said so, and why.
    """

    enqueued: tuple[str, ...]
    waiting: tuple[str, ...]
    noted: dict[str, str]


class Step(NamedTuple):
    """Something the scheduler does now and then; it says what it did, or nothing."""

    name: str
    every_s: float
    do: Callable[[], str]


def read_work(settings: Settings) -> list[Work]:
    """Ask the database which sessions are due, and at which an attempt has not ended.

    Returns:
        What is due comes first, the one that has waited longest before others.
    """
    with postgres.connect(settings) as connection, transaction(connection, "reading attempts"):
        unfinished = run_file(connection, "calendar/unfinished").to_dicts()
    opened = {_key(row): row for row in unfinished}
    due = {_key(row): row["attempts"] for row in due_sessions(settings).to_dicts()}
    known = {**{key: row["attempts"] for key, row in opened.items()}, **due}
    return [
        Work(key, known[key], key in due, opened[key]["open_for_s"] if key in opened else None)
        for key in dict.fromkeys([*due, *opened])
    ]


def _key(row: dict[str, object]) -> SessionKey:
    return SessionKey(*(row[name] for name in SessionKey._fields))  # type: ignore[arg-type]


def enqueue(settings: Settings, queue: IngestQueue) -> Pass:
    """Put what is to be ingested into the queue, once each.

    A job that failed where the ingest itself could not note it (killed, over its limit, no way to
    the database) is noted in the calendar with the job's reason; so its pauses grow and its
    attempts end like those of any other.

    Args:
        settings: where the warehouse is.
        queue: its lease is also how long an attempt may be open of which the queue knows nothing.

    Raises:
        WarehouseError: the database cannot be asked.
        QueueError: Redis does not do its work. The next pass goes on.
    """
    enqueued: list[str] = []
    waiting: list[str] = []
    noted: dict[str, str] = {}
    queue.tidy()
    for work in read_work(settings):
        name, place = work.session.session_id, queue.place(work.session)
        if place.state in {"waiting", "running"}:
            waiting.append(name)
        elif reason := _untold(work, place):
            _note(settings, work, reason, is_counted=place.attempts != work.attempts)
            queue.discard(work.session)
            noted[name] = reason
        elif _is_rather_under_way(work, queue.lease_s):
            waiting.append(name)
        elif work.attempts >= MAX_ATTEMPTS and not work.is_due:
            noted[name] = _give_up(settings, work)
        else:
            queue.discard(work.session)
            (enqueued if queue.put(work.session, work.attempts) else waiting).append(name)
    return Pass(tuple(enqueued), tuple(waiting), noted)


def _is_rather_under_way(work: Work, lease_s: float) -> bool:
    """Tell whether an attempt without a job of its own may still go on somewhere."""
    return not work.is_due and work.open_for_s is not None and work.open_for_s <= lease_s


def _untold(work: Work, place: Place) -> str | None:
    """Give the reason of a failed job that the calendar does not know of yet."""
    is_untold = work.open_for_s is not None or place.attempts == work.attempts
    return place.reason if place.state == "failed" and is_untold else None


def _give_up(settings: Settings, work: Work) -> str:
    reason = f"the last of {work.attempts} attempts was cut off: its process or machine ended"
    _note(settings, work, reason, is_counted=True)
    return reason


def _note(settings: Settings, work: Work, reason: str, *, is_counted: bool) -> None:
    """Note in the calendar why an attempt failed; one that was not counted is."""
    with postgres.connect(settings) as connection:
        if not is_counted:
            start_attempt(connection, work.session)
        fail_attempt(connection, work.session, public_reason(DriveGradeError(reason)))
    _log.error("%s failed: %s", work.session.session_id, reason)


def ingest_here(settings: Settings) -> Pass:
    """Ingest what is due in this process, one session after the other, without a queue.

    What fails is logged, and stands in the calendar with its reason; the others go on. There is
    no limit of time but those of the providers and of PostgreSQL.

    Args:
        settings: where everything lies; an attempt that is open for longer than `ingest_limit_s`
            is taken to have been cut off.

    Raises:
        WarehouseError: the database cannot be asked.
    """
    done, waiting, noted = [], [], {}
    for work in read_work(settings):
        name = work.session.session_id
        if _is_rather_under_way(work, settings.ingest_limit_s):
            waiting.append(name)
        elif work.attempts >= MAX_ATTEMPTS and not work.is_due:
            noted[name] = _give_up(settings, work)
        elif reason := _ingest_one(settings, work):
            noted[name] = reason
        else:
            done.append(name)
    return Pass(tuple(done), tuple(waiting), noted)


def _ingest_one(settings: Settings, work: Work) -> str | None:
    """Ingest a session; the reason if that failed."""
    try:
        jobs.ingest(work.session, settings)
    except DriveGradeError as error:
        _log.error("%s failed: %s", work.session.session_id, error)
        return public_reason(error)
    except Exception as error:  # noqa: BLE001 - one session's bug is not the others'
        _log.exception("%s failed", work.session.session_id)
        reason = f"{type(error).__name__}: {error}"
        _note(settings, work, reason, is_counted=True)
        return reason
    return None


def steps_of(
    settings: Settings,
    queue: IngestQueue | None,
    *,
    is_syncing: bool,
    every_s: float = PASS_EVERY_S,
) -> tuple[Step, ...]:
    """List what the scheduler does.

    Args:
        settings: where everything lies; without `redis_url` no cache is told.
        queue: where due sessions go; None ingests them here.
        is_syncing: fetch the calendar of the running season.
        every_s: from one question what is due to the next, s.
    """

    def sessions() -> str:
        done = ingest_here(settings) if queue is None else enqueue(settings, queue)
        what = "ingested" if queue is None else "enqueued"
        parts = [f"{what} {', '.join(done.enqueued)}"] if done.enqueued else []
        return "; ".join([*parts, *(f"{name} failed" for name in done.noted)])

    def refresh() -> str:
        with postgres.connect(settings) as connection:
            done = reconcile.refresh(connection, settings)
        changed = done.drained.handled + done.drained.failed + done.removed
        return f"{done.drained.handled} rows handled, {done.removed} removed" if changed else ""

    def sync() -> str:
        season = datetime.now(UTC).year
        report = sync_season(settings, season)
        for warning in report.warnings:
            _log.warning("calendar of %s: %s", season, warning)
        return f"{season}: {len(report.added)} added, {len(report.renamed)} renumbered"

    found = [Step("sessions", every_s, sessions)]
    if is_syncing:
        found.insert(0, Step("calendar", SYNC_EVERY_S, sync))
    if settings.redis_url is not None:
        found.append(Step("cache", REFRESH_EVERY_S, refresh))
    return tuple(found)


def run_once(steps: Sequence[Step]) -> list[Exception]:
    """Do every step once; what fails is logged and does not keep the others from being done."""
    return [error for step in steps if (error := _done(step)) is not None]


def run_until(stop: threading.Event, settings: Settings, steps: Sequence[Step]) -> None:
    """Do every step at once and then each at its time, until asked to stop.

    Args:
        stop: set by who asks; the step under way is finished.
        settings: an embedded server runs as long as this does.
        steps: what to do; a failure is logged, and the step done again at its next time.
    """
    due_at = dict.fromkeys(steps, 0.0)
    with warehouse_address(settings):
        while not stop.is_set():
            for step in steps:
                if time.monotonic() >= due_at[step] and not stop.is_set():
                    due_at[step] = time.monotonic() + step.every_s
                    _done(step)
            stop.wait(max(0.0, min(due_at.values()) - time.monotonic()))


def _done(step: Step) -> Exception | None:
    """Do a step; what it raised, after a line in the log."""
    try:
        said = step.do()
    except DriveGradeError as error:
        _log.error("%s: %s", step.name, error)
        return error
    except Exception as error:  # noqa: BLE001 - the loop must go on
        _log.exception("%s", step.name)
        return error
    if said:
        _log.info("%s: %s", step.name, said)
    return None
