"""Migrations: the files of `sql/migrations`, applied in order, each in its own transaction.

What was applied is recorded in `public._pogo_migration`. Migrators that start together take
turns; the second finds nothing left to do.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate as pogo
from pogo_core.util.sql import get_applied_migrations
from pydantic import SecretStr

from loaders.database_url import Address, parse_url, refused
from loaders.errors import WarehouseError
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FOLDER: Final = RESOURCES / "sql" / "migrations"

CONNECT_TIMEOUT_S: Final = 5

_SCHEMA: Final = "public"
"""Schema under which the migration tool records what it applied."""

_LOCK: Final = "select pg_advisory_lock(hashtextextended('drivegrade.migrate', 0))"
_LOCK_TIMEOUT: Final = "set lock_timeout = '60s'"
_HAS_RECORDS: Final = "select to_regclass('public._pogo_migration') is not null"

_silent: Final = logging.Logger("pogo", logging.CRITICAL)
"""The tool announces each file as a warning; the caller is told by the return value."""


def migrate(database: str | Address) -> list[str]:
    """Bring a database to the current schema.

    Args:
        database: a PostgreSQL URL, or one taken apart.

    Returns:
        Names of the migrations applied now, in order; empty if there was nothing to do.

    Raises:
        WarehouseError: the server cannot be reached or refuses a statement; the migration it
            refused left nothing behind, those before it stay.
    """
    return _with_connection(database, _migrate)


def pending(database: str | Address) -> list[str]:
    """Name the migrations that a database lacks, in order; the database is not changed.

    Raises:
        WarehouseError: the server cannot be reached or the records cannot be read.
    """
    return _with_connection(database, _pending)


async def _migrate(connection: asyncpg.Connection) -> list[str]:
    await connection.execute(_LOCK_TIMEOUT)
    await connection.execute(_LOCK)
    missing = await _pending(connection)
    if missing:
        await pogo.apply(connection, FOLDER, schema_name=_SCHEMA, logger=_silent)
    return missing


async def _pending(connection: asyncpg.Connection) -> list[str]:
    known = sorted(path.stem for path in FOLDER.glob("*.sql"))
    if not await connection.fetchval(_HAS_RECORDS):
        return known
    applied = await get_applied_migrations(connection, schema_name=_SCHEMA)
    return [name for name in known if name not in applied]


def _with_connection(
    database: str | Address, action: Callable[[asyncpg.Connection], Awaitable[list[str]]]
) -> list[str]:
    """Run an action on a connection of its own, also where an event loop is running already."""
    address = parse_url(SecretStr(database)) if isinstance(database, str) else database
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, _act(address, action)).result()


async def _act(
    address: Address, action: Callable[[asyncpg.Connection], Awaitable[list[str]]]
) -> list[str]:
    connection = await _connect(address)
    fault: tuple[str, Any] | None = None
    try:
        return await action(connection)
    except BadMigrationError as error:
        fault = f"{error}: {error.__cause__}", error.__cause__
    except asyncpg.PostgresError as error:
        fault = str(error), error
    finally:
        await connection.close()
    message, cause = fault
    raise WarehouseError(
        f"migration: {message}. What was applied before it stays; nothing of it does",
        sqlstate=getattr(cause, "sqlstate", None),
    )


async def _connect(address: Address) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(
            address.uri,
            password=address.password and address.password.get_secret_value(),
            timeout=CONNECT_TIMEOUT_S,
        )
    except TimeoutError:
        message = "timeout"
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        message = str(error)
    raise refused(message)
