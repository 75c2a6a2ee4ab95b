"""The cache is told what has changed, from the outbox; and what was missed is made good.

After a load the outbox is drained at once. What that could not do (Redis was away, the process
was killed) the reconciler does: `drivegrade cache refresh`, to be run every five minutes. Nothing
here runs in the transaction of a load.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.errors import DriveGradeError
from loaders import outbox
from loaders.cache import WORK_STEP_S, Cache, Version, current_versions
from loaders.connection import transaction
from loaders.redis_url import CacheError

if TYPE_CHECKING:
    from collections.abc import Callable

    from loaders.connection import Connection
    from loaders.outbox import Drained, Message
    from loaders.settings import Settings

AFTER_COMMIT_S: Final = 5.0
"""How long a load goes on draining before it leaves the rest to the reconciler."""

_log = logging.getLogger("drivegrade.cache")


class Refreshed(NamedTuple):
    """What the reconciler did.

    Attributes:
        drained: what became of the outbox.
        removed: answers of versions that were not current any more.
        pruned: rows of the outbox that were deleted for their age.
    """

    drained: Drained
    removed: int
    pruned: int


def handler(cache: Cache) -> Callable[[Message], None]:
    """Make what handles the outbox's rows: it deletes the answers that a row makes old."""

    def handle(message: Message) -> None:
        is_old = partial(
            Version.is_older,
            load_id=message.load_id,
            activation_number=message.activation_number,
        )
        try:
            if message.session_id is not None:
                cache.forget(message.session_id, is_old)
                return
            for block in cache.sessions():
                cache.forget_all(dict.fromkeys(block, is_old))
        except CacheError as error:
            if not error.is_down:
                raise
            reason = str(error)
        else:
            return
        raise outbox.UnreachableError(reason)

    return handle


def after_commit(connection: Connection, settings: Settings) -> None:
    """Drain the outbox after a load; a failure is a line in the log, for the load is stored.

    Args:
        connection: without an open transaction.
        settings: without a Redis nothing is done, and the rows wait for one.
    """
    try:
        if (cache := Cache.of(settings, step_s=WORK_STEP_S)) is None:
            return
        try:
            drained = outbox.drain(connection, handler(cache), limit_s=AFTER_COMMIT_S)
        finally:
            cache.close()
    except DriveGradeError as error:
        _log.warning("the cache was not told of what was loaded: %s", error)
        return
    if drained.stopped_by is not None or drained.failed:
        _log.warning(
            "the cache was not told of all that was loaded (%s); the reconciler will: "
            "drivegrade cache refresh",
            drained.stopped_by or f"{drained.failed} rows failed",
        )


def refresh(connection: Connection, settings: Settings) -> Refreshed:
    """Drain the outbox, and delete every answer whose version is not current.

    Args:
        connection: without an open transaction.
        settings: they must name a Redis.

    Raises:
        CacheError: none is named, or it does not do its work; run again, it goes on.
        WarehouseError: PostgreSQL refused or was lost.
    """
    cache = _required(settings)
    try:
        drained = outbox.drain(connection, handler(cache))
        if drained.stopped_by is not None:
            raise CacheError(
                f"{drained.stopped_by}. {drained.handled} rows of the outbox were handled, the "
                "others wait; run it again when Redis answers",
                is_down=True,
            )
        removed = sum(_remove_old(connection, cache, block) for block in cache.sessions())
    finally:
        cache.close()
    return Refreshed(drained, removed, outbox.prune(connection))


def _remove_old(connection: Connection, cache: Cache, session_ids: list[str]) -> int:
    with transaction(connection, "reading the versions"):
        current = current_versions(connection, session_ids)
    return cache.forget_all({name: partial(_differs, current.get(name)) for name in session_ids})


def _differs(current: Version | None, stored: Version) -> bool:
    """Tell whether a version is not current; a later one is of a database that was restored."""
    return stored != current


def cache_state(settings: Settings) -> str:
    """Say in a word whether the cache answers: `none`, `answers`, or what it does instead."""
    cache = Cache.of(settings, step_s=WORK_STEP_S)
    if cache is None:
        return "none"
    try:
        next(cache.sessions())
    except CacheError as error:
        return str(error)
    finally:
        cache.close()
    return "answers"


def _required(settings: Settings) -> Cache:
    cache = Cache.of(settings, step_s=WORK_STEP_S)
    if cache is None:
        raise CacheError("REDIS_URL is not set, so there is no cache; set it to redis://HOST:PORT")
    return cache
