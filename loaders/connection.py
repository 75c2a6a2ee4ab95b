"""Connections to the warehouse, their transactions, and the SQL files run in them."""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import adbc_driver_manager.dbapi as adbc
import adbc_driver_postgresql.dbapi
import polars as pl
from adbc_driver_manager import AdbcStatusCode

from loaders.database_url import Address, parse_url, refused
from loaders.embedded import embedded_postgres
from loaders.errors import WarehouseError, is_retriable
from loaders.fault_points import CONNECTED
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from pydantic import SecretStr

    from loaders.settings import Settings

Connection = adbc.Connection
"""ADBC's DB-API connection; autocommit is off."""

APPLICATION_NAME: Final = "drivegrade"

MINIMUM_DRIVER: Final = (1, 13)
"""Before this version `rollback` kept rows written after a read."""

SESSION_SETTINGS: Final = {
    "statement_timeout": "60s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
}
"""Set for every connection: nothing waits for ever, and nobody waits for us for ever."""

TRANSACTION_LIMIT: Final = "300s"
"""Longest transaction of a connection; a bulk load gives itself longer."""

CLIENT_CHECK: Final = "2s"
"""How often the server looks, while a statement runs, whether who asked is still there."""

LIBRARY_SETTINGS: Final = {"connect_timeout": "5", "tcp_user_timeout": "15000"}
"""What PostgreSQL's client library waits at most: s to connect, ms for an acknowledgement."""

_STATUS: Final = "adbc.postgresql.transaction_status"
"""Option by which the driver tells what it knows of a transaction, without asking the server."""

_ABORTED: Final = "25P02"
"""PostgreSQL's code of a transaction in which a statement failed."""

_SERVER_SAID: Final = (
    "PG_DIAG_MESSAGE_PRIMARY",
    "PG_DIAG_MESSAGE_DETAIL",
    "PG_DIAG_CONTEXT",
)
"""Fields of PostgreSQL's answer that tell a user what was wrong, and where."""

_environment_lock = threading.Lock()


@contextmanager
def warehouse_address(settings: Settings) -> Iterator[Address]:
    """Provide the address of the warehouse; while it is in use the embedded server runs.

    Raises:
        WarehouseError: DATABASE_URL is malformed, or the embedded server does not start.
    """
    if settings.database_url is not None:
        yield parse_url(settings.database_url)
        return
    with embedded_postgres(settings.home / "pg") as uri:
        yield Address(uri)


@contextmanager
def open_connection(
    address: Address, application_name: str = APPLICATION_NAME
) -> Iterator[Connection]:
    """Open an ADBC connection, autocommit off; leaving rolls back what was not committed.

    Raises:
        WarehouseError: the server cannot be reached, or the driver is too old.
    """
    require_driver(version("adbc-driver-postgresql"))
    ours = " ".join(f"-c {name}={value}" for name, value in SESSION_SETTINGS.items())
    uri = address.with_parameters(
        LIBRARY_SETTINGS | {"application_name": application_name, "options": ours}
    )
    connection, message = None, ""
    with _password_in_environment(address.password):
        try:
            connection = adbc_driver_postgresql.dbapi.connect(uri)
        except adbc.Error as error:
            message = str(error)
    if connection is None:
        raise refused(message)
    try:
        with transaction(connection, "connecting to PostgreSQL"):
            run_file(connection, "statements/limit_connection", TRANSACTION_LIMIT, CLIENT_CHECK)
        CONNECTED()
        yield connection
    finally:
        connection.close()


def require_driver(version: str) -> None:
    """Refuse an ADBC driver whose rollback cannot be trusted.

    Raises:
        WarehouseError: the driver is older than `MINIMUM_DRIVER`.
    """
    found = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if found < MINIMUM_DRIVER:
        needed = ".".join(map(str, MINIMUM_DRIVER))
        raise WarehouseError(
            f"adbc-driver-postgresql {version} is installed, {needed} or later is needed: before "
            "it, a rollback kept rows. Create the environment again from requirements.lock"
        )


@contextmanager
def _password_in_environment(password: SecretStr | None) -> Iterator[None]:
    """Hand the password to PostgreSQL's library, which reads it once, while connecting."""
    if password is None:
        yield
        return
    with _environment_lock:
        before = os.environ.get("PGPASSWORD")
        os.environ["PGPASSWORD"] = password.get_secret_value()
        try:
            yield
        finally:
            if before is None:
                del os.environ["PGPASSWORD"]
            else:
                os.environ["PGPASSWORD"] = before


@contextmanager
def transaction(connection: Connection, doing: str) -> Iterator[None]:
    """Commit what is done inside, or undo it if anything is raised.

    Args:
        connection: without an open transaction.
        doing: what is being done, for error messages ("loading 2025-1").

    Raises:
        WarehouseError: the server refused a statement, also one whose failure was hidden inside,
            or was lost. After a lost connection it is not known whether the commit arrived; doing
            the same again settles it.
    """
    try:
        yield
        _refuse_aborted(connection, doing)
        connection.commit()
    except BaseException as error:
        with suppress(adbc.Error):  # a dead connection cannot roll back, the server has
            connection.rollback()
        if isinstance(error, adbc.Error):
            raise _warehouse_error(error, doing) from error
        raise


def _refuse_aborted(connection: Connection, doing: str) -> None:
    """Refuse to commit what the server has given up.

    It answers such a commit with a rollback, and the driver returns as if nothing were wrong.
    The driver knows the state, but for an answer that nobody has read.

    Raises:
        WarehouseError: a statement failed, and what was done inside hid that.
    """
    if _status(connection) == "active":
        with suppress(adbc.Error):  # it fails in that state, which is then known
            _read_answer(connection)
    if _status(connection) == "inerror":
        raise WarehouseError(
            f"{doing}: a statement failed and its failure was passed over, after which the server "
            "commits nothing\nNothing was stored; what was stored before stays. This is a fault of "
            "Drive Grade: please report it",
            sqlstate=_ABORTED,
        )


def _status(connection: Connection) -> str | None:
    """Tell what the driver knows of the transaction; None if it is not PostgreSQL's."""
    try:
        return connection.adbc_connection.get_option(_STATUS)
    except adbc.Error:
        return None


def _read_answer(connection: Connection) -> None:
    """Read what the server last said; asking for the schema is the driver's way to do so."""
    _ = connection.adbc_current_db_schema


def copy_rows(connection: Connection, table: str, rows: pa.Table) -> None:
    """Copy rows into a new temporary table, in the open transaction.

    The driver leaves the server's answer unread, takes its transaction for ended and would begin
    another inside it, which the server warns of in its log. Reading the answer costs as much as
    that does.

    Args:
        connection: any connection of this module.
        table: name of the table to be made, whose types follow from Arrow's.
        rows: what is copied.
    """
    with connection.cursor() as cursor:
        cursor.adbc_ingest(table, rows, mode="create", temporary=True)
    _read_answer(connection)


@cache
def _text(file: str) -> str:
    return (RESOURCES / "sql" / f"{file}.sql").read_text(encoding="utf-8")


def run_file(
    connection: Connection, file: str, *parameters: str | int | float | None
) -> pl.DataFrame:
    """Run the one statement of a file, in the open transaction.

    Args:
        connection: any connection of this module.
        file: path below `sql/`, without its extension.
        parameters: values for $1, $2 …

    Returns:
        The statement's rows; an empty frame if it has none.
    """
    with connection.cursor() as cursor:
        cursor.execute(_text(file), parameters or None)
        # by way of Arrow: Polars would wrap what the driver raises while fetching
        return pl.DataFrame(cursor.fetch_arrow_table())


def _warehouse_error(error: adbc.Error, doing: str) -> WarehouseError:
    """Make an error of ours from one of the driver's.

    The driver's classes do not tell passing conditions from lasting ones, PostgreSQL's code
    does; a server that is gone has none.
    """
    lost = error.sqlstate is None and error.status_code == AdbcStatusCode.IO
    said = [
        value.decode(errors="replace")
        for field in _SERVER_SAID
        for name, value in error.details
        if field in str(name)  # bytes, whatever the annotation says
    ]
    message = "; ".join(said) or str(error).strip().partition("\n")[0]
    remedy = (
        "Try again; what is already stored is not stored twice"
        if lost or is_retriable(error.sqlstate)
        else "Nothing was stored; what was stored before stays"
    )
    return WarehouseError(
        f"{doing}: {message}\n{remedy}", sqlstate=error.sqlstate, is_transient=lost
    )
