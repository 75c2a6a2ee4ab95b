"""Doing a whole load again after what passes by itself.

Only a whole load may be repeated, from connecting on: after an error nothing of its transaction
is left, and a connection that broke is never used again. A load whose commit was not answered may
have been stored; loading again finds that out, because what is already stored is not stored twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

import stamina

from loaders.errors import SessionBusyError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable

    T = TypeVar("T")

MAX_TRIES: Final = 3

FIRST_WAIT_S: Final = 1.0
"""Before the second try, s; doubled before the third. A random part is added to each. A server
that was killed needs two or three seconds until it takes connections."""

LONGEST_WAIT_S: Final = 5.0
JITTER_S: Final = 0.5

logging.getLogger("stamina").addHandler(logging.NullHandler())


def may_pass(error: Exception) -> bool:
    """Tell whether the same may succeed within seconds.

    So may a serialization failure, a dead-lock, a lock that was not granted in time, and a server
    that restarts or was lost: by PostgreSQL's code, not by the class of the driver's error. A
    session that another process is loading is not waited for.
    """
    return (
        isinstance(error, WarehouseError)
        and error.is_transient
        and not isinstance(error, SessionBusyError)
    )


def retried(work: Callable[[], T]) -> T:
    """Do work that opens its own connection, at most `MAX_TRIES` times.

    Args:
        work: may be done any number of times, whatever became of the times before.

    Returns:
        What the try that succeeded returned.

    Raises:
        DriveGradeError: what the last try raised, or the first that does not pass by itself.
    """
    caller = stamina.RetryingCaller(
        attempts=MAX_TRIES,
        timeout=None,
        wait_initial=FIRST_WAIT_S,
        wait_max=LONGEST_WAIT_S,
        wait_jitter=JITTER_S,
    )
    return caller(may_pass, work)
