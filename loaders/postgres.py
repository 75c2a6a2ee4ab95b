"""The warehouse: connections to it, the load of one session, and the questions it answers.

Every public function leaves the connection without an open transaction.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from loaders.arrow import Grading
from loaders.batch import BatchReport, LoadReport, load_sessions
from loaders.connection import (
    APPLICATION_NAME,
    Connection,
    open_connection,
    run_file,
    transaction,
    warehouse_address,
)
from loaders.errors import WarehouseError
from loaders.merging import Changes
from loaders.migrations import migrate, pending
from loaders.revisions import Delivery, Quality
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import polars as pl

    from engine.tables import SessionKey
    from loaders.profiles import Profile
    from loaders.settings import Settings

__all__ = [
    "BatchReport",
    "Changes",
    "LoadReport",
    "connect",
    "load_session",
    "load_sessions",
    "read",
]

QUERIES: Final = RESOURCES / "sql" / "queries"


@contextmanager
def connect(settings: Settings, application_name: str = APPLICATION_NAME) -> Iterator[Connection]:
    """Connect to the warehouse: `DATABASE_URL`, or the embedded server, migrated if need be.

    Args:
        settings: where the warehouse is.
        application_name: shown to whoever finds a session busy.

    Yields:
        An ADBC connection, autocommit off.

    Raises:
        WarehouseError: the server cannot be reached, or a server of the user's own lacks
            migrations; those are for the user to apply.
    """
    with warehouse_address(settings) as address:
        missing = pending(address)
        if missing and settings.database_url is not None:
            raise WarehouseError(
                f"the database lacks {len(missing)} migration(s): {', '.join(missing)}. Apply "
                "them with: drivegrade db migrate"
            )
        if missing:
            migrate(address)
        with open_connection(address, application_name) as connection:
            yield connection


def load_session(
    connection: Connection,
    session: SessionKey,
    tables: Mapping[str, pl.DataFrame],
    *,
    data_hash: str,
    profile: Profile,
    model_version: str,
    source_hash: str | None = None,
    force: bool = False,
    refused: Sequence[tuple[str, str]] = (),
    incomplete: Sequence[str] = (),
    refetch_at: datetime | None = None,
) -> LoadReport:
    """Load one session: `load_sessions`.

    Args:
        connection: from `connect`, without an open transaction.
        session: the session.
        tables: one frame per name of `loaders.arrow.STAGED`; others, which stay in the lake, are
            left out.
        data_hash: names the data; the same hash and grading as at the last load change nothing.
        profile: what all rows of `driver_metrics` were graded with; it must be imported.
        model_version: model of all rows of `driver_metrics`.
        source_hash: names what the provider delivered of it; None if nothing is said.
        force: compare row by row even if the hash is the same, and let a session that has laps
            be replaced by one without.
        refused: providers that were tried before, each with why it was refused; recorded.
        incomplete: what the session lacks, in words; recorded even if the data is unchanged.
        refetch_at: when it should be fetched again, with its time zone; None for never.

    Returns:
        What changed, seasons, circuits, teams and drivers included.
    """
    quality = Quality(tuple(refused), tuple(incomplete), refetch_at)
    delivery = Delivery(session, data_hash, quality, source_hash)
    grading = Grading(profile.name, profile.version, model_version)
    report = load_sessions(connection, [delivery], tables, [grading], force=force)
    loaded = report.sessions[0]
    if loaded.status != "loaded":
        return loaded
    return replace(loaded, changes=MappingProxyType({**report.shared, **loaded.changes}))


def read(connection: Connection, query: str, *parameters: str | int | None) -> pl.DataFrame:
    """Answer one of the questions of `sql/queries`.

    Args:
        connection: from `connect`, without an open transaction.
        query: name of the file: `grades` (season, round, session kind, profile), `calendar`
            (season), `load_history` (session id) …; its first lines say what it asks for.
        parameters: as many as the file has; None where it says so.

    Raises:
        WarehouseError: there is no such query, or the server refused it.
    """
    known = sorted(path.stem for path in QUERIES.glob("*.sql"))
    if query not in known:
        raise WarehouseError(f"there is no query {query!r}; there are {', '.join(known)}")
    with transaction(connection, f"reading {query}"):
        return run_file(connection, f"queries/{query}", *parameters)
