"""A warehouse in one file, for people without a server: SQLite or DuckDB.

    sqlite:///grades.db        sqlite:////home/me/grades.db        duckdb:///grades.duckdb

The tables are those of PostgreSQL that an analyst asks, under the same names and columns: `core`,
`config`, `public`, and of `ops` which data was loaded. DuckDB has the schemas too. SQLite has no
schemas; there the tables have plain names, and whoever attaches the file as `core`, `config` and
`public` as well, which `reading` does, asks `core.driver_metrics` as everywhere.

The lake is the truth of such a file. In one transaction the rows of every session whose data has
changed are replaced as a set; races, entries and with them all keys keep their numbers. Times are
UTC. There are no foreign keys and no checks: the contracts were checked before.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import adbc_driver_duckdb.dbapi  # type: ignore[import-untyped]
import adbc_driver_manager.dbapi as adbc
import adbc_driver_sqlite.dbapi
import polars as pl

from loaders import lake
from loaders.connection import transaction
from loaders.errors import WarehouseError
from loaders.lake_source import (
    SEASONS_SCHEMA,
    LakeLoad,
    known_profiles,
    lake_gradings,
    read_tables,
    rows_beside,
    wanted_seasons,
)
from loaders.one_file_store import Store
from loaders.profiles import bundled_files, read_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from loaders.connection import Connection
    from loaders.profiles import Profile
    from loaders.settings import Settings

URL: Final = re.compile(r"^(?P<kind>sqlite|duckdb):///(?P<path>[^?#]+)$")

NAMES_OF: Final = ("seasons", "circuits", "teams", "drivers")
"""Files of `sql/onefile` that make the tables whose rows are of no one session."""


class Target(NamedTuple):
    """A warehouse in one file: `sqlite` or `duckdb`, and where it lies."""

    kind: str
    path: Path


def parse_target(url: str) -> Target | None:
    """Read the URL of a warehouse in one file; None if it is not one."""
    found = URL.match(url)
    return Target(found["kind"], Path(found["path"])) if found else None


def load_file(
    target: Target,
    settings: Settings,
    *,
    seasons: Collection[int] | None = None,
    profiles: Sequence[Profile] = (),
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LakeLoad:
    """Copy sessions of the lake into a warehouse in one file, which is made if absent.

    Args:
        target: which file.
        settings: where the lake is.
        seasons: only these; None for all.
        profiles: what grades may have been computed with, besides the bundled profiles and those
            that the file has.
        force: replace also the rows of sessions whose data was loaded before.
        progress: told after each season how many of how many are done.

    Returns:
        What it did; nothing is ever `older`, and `changed_rows` are the rows of the sessions that
        were replaced.

    Raises:
        LakeError: the lake has none of the seasons, or a file is damaged.
        ProfileError: a profile that grades name is not known, or has other constants.
        ContractError: rows break a contract.
        WarehouseError: the file cannot be written, or what was read back differs.

        After any of them the file is as it was.
    """
    seen = lake.snapshot(settings.lake)
    wanted = wanted_seasons(seen, seasons)
    with _open(target) as connection, transaction(connection, f"loading {target.path}"):
        file = Store(target.kind, str(target.path), connection)
        file.create()
        bundled = [read_profile(path) for path in bundled_files()]
        file.add_profiles([*bundled, *profiles])
        known = known_profiles(lake_gradings(seen), file.profiles())
        seasons_done = []
        for number, season in enumerate(wanted, start=1):
            tables = read_tables(seen, [season], known)
            seasons_done.append({"season": season, **file.replace(tables, force=force)})
            if progress is not None:
                progress(number, len(wanted))
        if any(row["loaded"] for row in seasons_done):
            for name in NAMES_OF:
                file.run(f"onefile/{name}")
        stored = file.row_counts()
    rows = rows_beside(seen, wanted, stored.filter(pl.col("season").is_in(wanted)))
    return LakeLoad(pl.DataFrame(seasons_done, schema=SEASONS_SCHEMA), rows, {})


@contextmanager
def reading(target: Target) -> Iterator[Connection]:
    """Open a file to ask questions as PostgreSQL understands them, such as `sql/queries/grades`.

    Raises:
        WarehouseError: there is no such file, or it cannot be opened.
    """
    if not target.path.is_file():
        raise WarehouseError(
            f"there is no {target.path}; make it with: drivegrade load --to "
            f"{target.kind}:///{target.path}"
        )
    with _open(target) as connection:
        if target.kind == "sqlite":
            for schema in ("core", "config", "public"):
                with connection.cursor() as cursor:
                    cursor.execute(f"attach $1 as {schema}", (str(target.path),))
        yield connection


@contextmanager
def _open(target: Target) -> Iterator[Connection]:
    drivers = {"sqlite": adbc_driver_sqlite.dbapi, "duckdb": adbc_driver_duckdb.dbapi}
    try:
        connection = drivers[target.kind].connect(str(target.path))
    except adbc.Error as error:
        raise WarehouseError(
            f"{target.path} cannot be opened: {str(error).partition(chr(10))[0]}\nIt is as it "
            "was. Name a file in a folder that exists, or close the program that has it open"
        ) from error
    try:
        yield connection
    finally:
        connection.close()
