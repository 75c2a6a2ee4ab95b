"""The cache of answers in Redis: it may be away, slow, full or empty, and nobody is the worse.

A key names the version of what it answers, and the version changes with every load of the session
and every activation of a profile. So a reader who asks with the version that PostgreSQL has can
never be given an older answer, whatever was stored late; deleting is housekeeping. Every key ends
by itself. Which versions there are of a session stands in a set beside them: nothing is searched
for by pattern.
"""

from __future__ import annotations

import json
import logging
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import redis

from engine.errors import ContractError
from engine.tables import SESSION_ID_PATTERN
from loaders.connection import run_file, transaction
from loaders.redis_url import CacheError, RedisAddress, open_client, parse_redis_url, what_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from loaders.connection import Connection
    from loaders.settings import Settings

PREFIX: Final = "drivegrade:v1"

SESSIONS_KEY: Final = f"{PREFIX}:sessions"
"""The set of all sessions of which an answer was ever stored."""

READ_STEP_S: Final = 0.2
"""Limit of each step of a read: connecting, signing in, choosing the database, asking. The four
together are less than a second."""

WORK_STEP_S: Final = 0.5
"""Limit of each step of the work that nobody waits for."""

BREAK_S: Final = 5.0
"""How long Redis is not asked after it did not answer."""

MAX_BYTES: Final = 1024 * 1024
"""Longest payload that is stored."""

BLOCK: Final = 100
"""Sessions that are looked after in one exchange with Redis."""

_log = logging.getLogger("drivegrade.cache")

_DOWN: Final = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.NoPermissionError,
)
"""Faults of the server as a whole; any other is of the key that was asked for."""


class Version(NamedTuple):
    """What an answer about a session rests on.

    Attributes:
        load_id: the session's newest load.
        activation_number: the newest activation of a profile; 0 before the first.
    """

    load_id: int
    activation_number: int

    def __str__(self) -> str:
        """Give it as it stands in a key."""
        return f"{self.load_id}-{self.activation_number}"

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Read it from a key; None if it is none."""
        found = re.fullmatch(r"([0-9]{1,19})-([0-9]{1,10})", text, re.ASCII)
        return None if found is None else cls(int(found[1]), int(found[2]))

    def is_older(self, load_id: int | None, activation_number: int | None) -> bool:
        """Tell whether it rests on an earlier load or activation; None is no limit."""
        return (load_id is not None and self.load_id < load_id) or (
            activation_number is not None and self.activation_number < activation_number
        )


def key(session_id: str, version: Version) -> str:
    """Build the key of a session's answer, for who writes and who reads.

    Raises:
        ContractError: that is no session's slug; so no key has a part that means more than it.
    """
    return f"{PREFIX}:analytics:{_checked(session_id)}:{version}"


def _index(session_id: str) -> str:
    """Key of the set of a session's stored versions."""
    return f"{PREFIX}:versions:{_checked(session_id)}"


def _checked(session_id: str) -> str:
    if not re.fullmatch(SESSION_ID_PATTERN.strip("^$"), session_id, re.ASCII):
        raise ContractError(f"{session_id[:80]!r} is no session; one reads 2025-1 or 2025-2-sprint")
    return session_id


def current_versions(connection: Connection, session_ids: Iterable[str]) -> dict[str, Version]:
    """Read the versions of sessions, in the transaction that reads their data.

    Returns:
        Session → version; a session that was never loaded is left out.
    """
    rows = run_file(connection, "queries/cache_versions", json.dumps(sorted(session_ids))).rows()
    return {session_id: Version(*version) for session_id, *version in rows}


class Cache:
    """Answers in Redis. Reading never raises for Redis' sake and never waits a second."""

    def __init__(
        self,
        address: RedisAddress,
        ttl_s: int,
        *,
        step_s: float = READ_STEP_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare the client; Redis is first asked when an answer is.

        Args:
            address: where Redis is.
            ttl_s: age at which an answer ends, s.
            step_s: how long to wait for each step.
            clock: seconds, from whenever.
        """
        self._client = open_client(address, step_s)
        self._where = address.where
        self._ttl_s = ttl_s
        self._clock = clock
        self._asked_again_at = 0.0

    @classmethod
    def of(cls, settings: Settings, *, step_s: float = READ_STEP_S) -> Cache | None:
        """Make the cache that the settings name; None if they name none.

        Raises:
            CacheError: REDIS_URL is malformed.
        """
        if settings.redis_url is None:
            return None
        return cls(parse_redis_url(settings.redis_url), settings.cache_ttl_s, step_s=step_s)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, session_id: str, version: Version) -> Any | None:
        """Look up an answer; None if it is not there, or Redis does not say."""
        name = key(session_id, version)
        stored = self._try(lambda: self._client.get(name))
        if not isinstance(stored, bytes):
            return None
        try:
            return json.loads(stored, parse_constant=_refuse)
        except (ValueError, RecursionError):
            _log.warning("%s holds no answer of ours; it is computed again", name)
            return None

    def put(self, session_id: str, version: Version, answer: Mapping[str, Any]) -> bool:
        """Store an answer until its time is over; whether it was stored.

        Raises:
            ContractError: it cannot be written as JSON.
        """
        name, index = key(session_id, version), _index(session_id)
        payload = _as_json(answer)
        if len(payload) > MAX_BYTES:
            return False

        def store() -> bool:
            with self._client.pipeline(transaction=True) as together:
                together.sadd(SESSIONS_KEY, session_id)
                together.sadd(index, str(version))
                together.set(name, payload, ex=self._ttl_s)
                together.expire(index, 2 * self._ttl_s)  # it outlives all it names
                together.execute()
            return True

        return self._try(store) is True

    def forget(self, session_id: str, is_old: Callable[[Version], bool]) -> int:
        """Delete the answers of a session whose versions are old; how many were named.

        Raises:
            CacheError: Redis did not do it; doing it again does no harm.
        """
        return self.forget_all({session_id: is_old})

    def forget_all(self, old: Mapping[str, Callable[[Version], bool]]) -> int:
        """Delete old answers of several sessions, `BLOCK` at a time: as `forget`."""
        names = list(old)
        return sum(
            self._forget({name: old[name] for name in names[start : start + BLOCK]})
            for start in range(0, len(names), BLOCK)
        )

    def sessions(self) -> Iterator[list[str]]:
        """Give the sessions of which answers were stored, in blocks; some may come twice.

        Raises:
            CacheError: Redis does not say.
        """
        cursor, is_first = 0, True
        while is_first or cursor:
            cursor, found = self._do(partial(self._client.sscan, SESSIONS_KEY, cursor, count=BLOCK))
            is_first = False
            names = [name.decode(errors="replace") for name in found]
            yield [name for name in names if re.match(SESSION_ID_PATTERN, name, re.ASCII)]

    def _forget(self, old: Mapping[str, Callable[[Version], bool]]) -> int:
        def members() -> list[Any]:
            with self._client.pipeline(transaction=False) as together:
                for name in old:
                    together.smembers(_index(name))
                return together.execute()

        found = dict(zip(old, self._do(members), strict=True))
        doomed = {
            name: [text for text in map(bytes.decode, stored) if _is_doomed(text, old[name])]
            for name, stored in found.items()
        }

        def unlink() -> None:
            # no transaction, for a Redis that is full refuses even to begin one
            with self._client.pipeline(transaction=False) as together:
                for name, texts in doomed.items():
                    known = filter(None, map(Version.parse, texts))
                    if keys := [key(name, version) for version in known]:
                        together.unlink(*keys)
                    if texts:
                        together.srem(_index(name), *texts)
                together.execute()

        if any(doomed.values()):
            self._do(unlink)
        return sum(map(len, doomed.values()))

    def _try(self, call: Callable[[], Any]) -> Any | None:
        """Ask Redis for a reader; None, and a line in the log, if it does not answer."""
        if self._clock() < self._asked_again_at:
            return None
        try:
            return self._do(call)
        except CacheError as error:
            _log.warning("%s; answers are computed meanwhile", error)
            return None

    def _do(self, call: Callable[[], Any]) -> Any:
        """Ask Redis.

        Raises:
            CacheError: it did not answer, or refused.
        """
        try:
            return call()
        except redis.RedisError as error:
            is_down, kind = isinstance(error, _DOWN), what_failed(error)
            if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                self._asked_again_at = self._clock() + BREAK_S
        # raised here, so that no trace leads to the driver's variables, which know the password
        raise CacheError(f"Redis at {self._where}: {kind}", is_down=is_down)


def _is_doomed(text: str, is_old: Callable[[Version], bool]) -> bool:
    """Tell whether a member of an index is to go; what is no version is."""
    version = Version.parse(text)
    return version is None or is_old(version)


def _refuse(text: str) -> None:
    """Refuse what JSON has no numbers for.

    Raises:
        ValueError: always.
    """
    raise ValueError(text)


def _as_json(answer: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(answer, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise ContractError(f"an answer cannot be written as JSON: {error}") from None


def read_through(
    connection: Connection,
    cache: Cache | None,
    session_id: str,
    compute: Callable[[Connection], Mapping[str, Any]],
) -> Mapping[str, Any] | None:
    """Answer about a session from the cache, or from PostgreSQL, and then store it.

    Args:
        connection: without an open transaction.
        cache: None if there is none.
        session_id: the session's slug.
        compute: computes the answer in the transaction that is open when it is called, in which
            all that is read is of one moment; what it gives must be JSON.

    Returns:
        The answer; None if the session is not stored.
    """
    _checked(session_id)
    with transaction(connection, f"reading the version of {session_id}"):
        version = current_versions(connection, [session_id]).get(session_id)
    if version is None:
        return None
    if cache is not None and (stored := cache.get(session_id, version)) is not None:
        return dict(stored)
    with transaction(connection, f"reading {session_id}"):
        run_file(connection, "statements/begin_snapshot")
        version = current_versions(connection, [session_id]).get(session_id)
        answer = compute(connection) if version is not None else None
    if cache is not None and version is not None and answer is not None:
        cache.put(session_id, version, answer)
    return answer
