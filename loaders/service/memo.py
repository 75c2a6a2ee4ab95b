"""Encoded answers in the memory of a process, valid as long as the warehouse is what it was.

An answer is kept under its question with the warehouse's stamp, read before the answer was. The
stamp is read again at most once a second: so an answer is never older than a second, and a load
of any session makes all of them be computed again. A question that several ask at the same time
is answered once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from loaders.connection import run_file
from loaders.service.database import TOTAL_S, snapshot
from loaders.service.faults import ApiError, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

    from loaders.connection import Connection
    from loaders.service.database import Database

T = TypeVar("T")

STAMP_S: Final = 1.0
"""How long a stamp is taken for current, s: the greatest age of what is answered."""

MAX_ANSWERS: Final = 2000
"""Answers kept at most; the one asked for longest ago goes first."""

MAX_KEPT_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all answers kept at most."""

MAX_ANSWER_BYTES: Final = 1024 * 1024
"""Longest answer that is given."""


class Encoded(NamedTuple):
    """An answer as it is sent.

    Attributes:
        body: its bytes.
        etag: strong, from the bytes, with its quotes.
        media_type: what the bytes are.
    """

    body: bytes
    etag: str
    media_type: str = "application/json"


def encode(body: bytes, media_type: str = "application/json") -> Encoded:
    """Name an answer by its bytes.

    Raises:
        ApiError: it is longer than `MAX_ANSWER_BYTES`.
    """
    if len(body) > MAX_ANSWER_BYTES:
        raise ApiError(
            422, "answer_too_large", "the answer is larger than 1 MiB; ask for fewer drivers"
        )
    return Encoded(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', media_type)


class Flights:
    """Work that is under way, by what it is for: who asks for the same waits for the same."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}

    async def fly(self, name: Hashable, start: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something, or wait for who does it already; it goes on if the caller goes away.

        Raises:
            ApiError: 503, it takes longer than `TOTAL_S`.
        """
        task: asyncio.Task[T] | None = self._tasks.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(start())
            self._tasks[name] = task
            task.add_done_callback(lambda done: self._landed(name, done))
        try:
            async with asyncio.timeout(TOTAL_S):
                return await asyncio.shield(task)
        except TimeoutError:
            message = "the answer took too long; try again"
        raise unavailable("too_slow", message)

    def _landed(self, name: Hashable, task: asyncio.Task[Any]) -> None:
        """Forget work that is done; its error was told to who waited for it."""
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled():
            task.exception()


class Memo:
    """The answers of a process."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none.

        Args:
            database: where stamps and answers come from.
            clock: seconds, from whenever.
        """
        self._database = database
        self._clock = clock
        self._stamp = ""
        self._stamp_ends_at = float("-inf")
        self._kept: OrderedDict[Hashable, tuple[str, Encoded]] = OrderedDict()
        self._kept_bytes = 0
        self._asked: OrderedDict[str, Hashable] = OrderedDict()
        self._flights = Flights()

    def at(self, url: str) -> Encoded | None:
        """Give the answer that was given to the same address, if it is kept and still current."""
        name = self._asked.get(url)
        kept = self._kept.get(name) if name is not None else None
        if kept is None or kept[0] != self._stamp or self._clock() >= self._stamp_ends_at:
            return None
        self._kept.move_to_end(name)
        return kept[1]

    def remember(self, url: str, name: Hashable) -> None:
        """Note which question an address asks; what was noted longest ago is forgotten."""
        self._asked[url] = name
        if len(self._asked) > MAX_ANSWERS:
            self._asked.popitem(last=False)

    async def get(self, name: Hashable, compute: Callable[[Connection], Encoded]) -> Encoded:
        """Give an answer, kept or computed.

        Args:
            name: the question with all its parameters.
            compute: answers it; gets a connection without an open transaction.

        Raises:
            ApiError: it has no answer, or PostgreSQL does not give it in time.
        """
        stamp = self._stamp
        if self._clock() >= self._stamp_ends_at:
            stamp = await self._flights.fly(_STAMP, self._read_stamp)
        kept = self._kept.get(name)
        if kept is not None and kept[0] == stamp:
            self._kept.move_to_end(name)
            return kept[1]
        return await self._flights.fly((stamp, name), lambda: self._compute(stamp, name, compute))

    async def _read_stamp(self) -> str:
        began = self._clock()
        self._stamp = await self._database.run(_stamp)
        self._stamp_ends_at = began + STAMP_S
        return self._stamp

    async def _compute(
        self, stamp: str, name: Hashable, compute: Callable[[Connection], Encoded]
    ) -> Encoded:
        answer = await self._database.run(compute)
        self._drop(name)
        self._kept[name] = stamp, answer
        self._kept_bytes += len(answer.body)
        while self._kept_bytes > MAX_KEPT_BYTES or len(self._kept) > MAX_ANSWERS:
            self._drop(next(iter(self._kept)))
        return answer

    def _drop(self, name: Hashable) -> None:
        gone = self._kept.pop(name, None)
        if gone is not None:
            self._kept_bytes -= len(gone[1].body)


_STAMP: Final = object()


def _stamp(connection: Connection) -> str:
    with snapshot(connection, "reading the stamp"):
        return str(run_file(connection, "api/stamp").item())
