"""The service's way to PostgreSQL: ten connections that only read, and a second's wait for one."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.pool import QueuePool

from loaders.connection import open_connection, run_file, transaction, warehouse_address
from loaders.errors import WarehouseError
from loaders.migrations import migrate, pending
from loaders.service.faults import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loaders.connection import Connection
    from loaders.database_url import Address
    from loaders.settings import Settings

T = TypeVar("T")

POOL_SIZE: Final = 10
"""Connections of a process at most."""

POOL_WAIT_S: Final = 1.0
"""How long a request waits for one of them, s."""

THREADS: Final = 32
"""Requests that ask PostgreSQL, or wait for a connection, at the same time."""

TOTAL_S: Final = 5.0
"""How long a request takes at most, whatever it waits for, s."""

APPLICATION_NAME: Final = "drivegrade-api"

LIMITS: Final = {
    "statement_timeout": "2s",
    "lock_timeout": "1s",
    "idle_in_transaction_session_timeout": "5s",
    "default_transaction_read_only": "on",
}
"""Of every connection, whichever role it is of."""

TIMED_OUT: Final = "57014"
"""SQLSTATE of a statement that took too long."""

_log = logging.getLogger("drivegrade.api")


class _Pooled:
    """A connection as the pool knows it; closing it ends what it was opened with."""

    def __init__(self, address: Address) -> None:
        self._opened = ExitStack()
        self.connection = self._opened.enter_context(open_connection(address, APPLICATION_NAME))

    def rollback(self) -> None:
        """Undo what is open, before another request gets it."""
        self.connection.rollback()

    def close(self) -> None:
        """Close it."""
        self._opened.close()


class Database:
    """Connections for requests; the first request opens the first one."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the pool; nothing is opened yet."""
        self._settings = settings
        self._opened = ExitStack()
        self._opening = threading.Lock()
        self._address: Address | None = None
        self._pool = QueuePool(
            cast("Any", self._open),  # it has what the pool calls: rollback and close
            pool_size=POOL_SIZE,
            max_overflow=0,
            timeout=POOL_WAIT_S,
            use_lifo=True,
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="drivegrade-api")

    def close(self) -> None:
        """Close all connections; the embedded server is left to others who use it."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.dispose()
        self._opened.close()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do something with a connection, in a thread.

        Args:
            work: gets a connection without an open transaction; only reads, for it is done again
                if the connection proves to be dead.

        Raises:
            ApiError: 503, PostgreSQL does not answer, or not in time.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, work)

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            return self._work(work)
        except NoConnectionError:
            fault = unavailable("busy", "too many requests are being answered; try again")
        except WarehouseError as error:
            _log.warning("%s", error)
            slow = error.sqlstate == TIMED_OUT
            fault = (
                unavailable("too_slow", "the answer took too long to compute; try again")
                if slow
                else unavailable("database_unavailable", "the database does not answer; try again")
            )
        raise fault

    def _work(self, work: Callable[[Connection], T]) -> T:
        """Work with a connection of the pool, and with another one if it proves to be dead.

        A server that was restarted has hung up on all of them; none goes back to the pool.
        """
        tries = 0
        while True:
            lent = self._pool.connect()
            tries += 1
            try:
                return work(lent.dbapi_connection.connection)  # type: ignore[union-attr]
            except WarehouseError as error:
                lent.invalidate()
                if tries > POOL_SIZE or not error.is_transient:
                    raise
            finally:
                lent.close()

    def _open(self) -> _Pooled:
        with self._opening:
            if self._address is None:
                self._address = self._find()
        return _Pooled(self._address)

    def _find(self) -> Address:
        """Find the warehouse; one of our own is started, and has its schema brought up to date."""
        address = self._opened.enter_context(warehouse_address(self._settings))
        if self._settings.database_url is None and pending(address):
            migrate(address)
        given = " ".join(f"-c {name}={value}" for name, value in LIMITS.items())
        return replace(address, uri=address.with_parameters({"options": given}))


@contextmanager
def snapshot(connection: Connection, doing: str) -> Iterator[None]:
    """Read all that is read inside as of one moment."""
    with transaction(connection, doing):
        run_file(connection, "statements/begin_snapshot")
        yield
