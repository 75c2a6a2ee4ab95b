"""The outbox: what changed is written down in the transaction that changed it, and told later.

A row that was committed is handled at least once, however often a worker is killed: the marks of
a batch are committed after its handling, and a worker's death frees its rows. Handlers must bear
to be told twice. Workers never wait for each other.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.errors import DriveGradeError
from loaders.connection import run_file, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loaders.connection import Connection

BATCH_ROWS: Final = 50
"""Rows whose handling is marked in one transaction: what a kill makes to be handled again."""

MAX_ATTEMPTS: Final = 5
"""Failures after which a row is parked."""

KEPT_DAYS: Final = 30
"""How long rows are kept that were handled or parked."""

MAX_ERROR: Final = 500
"""Characters of a failure that are kept."""


class Message(NamedTuple):
    """A row of the outbox.

    Attributes:
        outbox_id: order of handling.
        topic: `session` or `profile`.
        session_id: slug that the session was loaded under; None of a profile.
        load_id: the load; None of a profile.
        activation_number: the activation; None of a session.
    """

    outbox_id: int
    topic: str
    session_id: str | None
    load_id: int | None
    activation_number: int | None


class UnreachableError(DriveGradeError):
    """What handles messages cannot be reached; no message is to blame, and all of them wait."""


class Drained(NamedTuple):
    """What draining did.

    Attributes:
        handled: rows handled.
        failed: rows that failed, the parked ones among them.
        parked: rows that failed for the last time.
        stopped_by: why draining ended before the last row; None if it did not.
    """

    handled: int = 0
    failed: int = 0
    parked: int = 0
    stopped_by: str | None = None


def record_loads(connection: Connection, session_ids: Iterable[str]) -> None:
    """Leave word that sessions were loaded, in the transaction that loaded them."""
    run_file(connection, "statements/insert_outbox", json.dumps(sorted(session_ids)))


def record_activation(connection: Connection) -> None:
    """Number the activation of the active profile and leave word of it, if it is a new one.

    Args:
        connection: in the transaction that activated it.
    """
    run_file(connection, "statements/insert_activation")


def drain(
    connection: Connection,
    handle: Callable[[Message], None],
    *,
    batch_rows: int = BATCH_ROWS,
    limit_s: float | None = None,
) -> Drained:
    """Handle the waiting rows, each once at most in this call.

    Args:
        connection: without an open transaction.
        handle: is given each row; `UnreachableError` ends draining and counts no attempt, any
            other exception counts one.
        batch_rows: rows taken at once.
        limit_s: after this many seconds no further batch is taken; None for no limit.

    Raises:
        WarehouseError: PostgreSQL refused or was lost; rows of the last batch are told again.
    """
    done, last, begun = Drained(), 0, time.monotonic()
    while limit_s is None or time.monotonic() - begun < limit_s:
        with transaction(connection, "draining the outbox"):
            taken = run_file(connection, "statements/take_outbox", batch_rows, last).rows()
            if not taken:
                return done
            outcomes, stopped_by = _handle(map(Message._make, taken), handle)
            parked = 0
            if outcomes:
                counted = run_file(
                    connection, "statements/settle_outbox", json.dumps(outcomes), MAX_ATTEMPTS
                )
                parked = int(counted.item())
        failed = sum(error is not None for error in outcomes.values())
        done = Drained(
            done.handled + len(outcomes) - failed,
            done.failed + failed,
            done.parked + parked,
            stopped_by,
        )
        if stopped_by is not None:
            return done
        last = taken[-1][0]
    return done._replace(stopped_by=f"{limit_s:g} s were over")


def _handle(
    messages: Iterable[Message], handle: Callable[[Message], None]
) -> tuple[dict[int, str | None], str | None]:
    """Hand over a batch: what became of each row that was tried, and why the others were not."""
    outcomes: dict[int, str | None] = {}
    for message in messages:
        try:
            handle(message)
        except UnreachableError as error:
            return outcomes, str(error)
        except Exception as error:  # noqa: BLE001 - one bad row must not hold up the others
            outcomes[message.outbox_id] = _reason(error)
        else:
            outcomes[message.outbox_id] = None
    return outcomes, None


def _reason(error: Exception) -> str:
    """Say why a row failed. Of an error that is not ours only the class: its text may tell all."""
    said = f": {error}" if isinstance(error, DriveGradeError) else ""
    return f"{type(error).__name__}{said}".replace("\x00", "")[:MAX_ERROR]


def prune(connection: Connection) -> int:
    """Delete rows that were handled or parked `KEPT_DAYS` ago; how many."""
    with transaction(connection, "pruning the outbox"):
        return int(run_file(connection, "statements/prune_outbox", KEPT_DAYS).item())


def status(connection: Connection) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Count the rows by state, and list those that were parked, with the reasons.

    Returns:
        `waiting`, `parked`, `done`, `oldest_waiting_s`; and the parked rows, the newest first.
    """
    with transaction(connection, "reading the outbox"):
        counts = run_file(connection, "queries/outbox_counts").to_dicts()[0]
        return counts, run_file(connection, "queries/outbox_parked").to_dicts()
