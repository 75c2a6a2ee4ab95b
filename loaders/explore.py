"""The lake as an analyst sees it: DuckDB views over its files, without any server.

    lake.*    every table of `engine.tables.STORED` as it is stored, and its season
    main.*    one view a file of `sql/duckdb`, with names and circumstances joined to it

The views are over the files that the manifest names at that moment. Vocabularies come as text,
units stand in names, and results leave DuckDB as Arrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl

from engine.errors import DriveGradeError
from engine.tables import STORED, polars_schema
from loaders import lake
from loaders.manifest import LakeError
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from pathlib import Path

    from polars._typing import PolarsDataType

    from loaders.lake import Snapshot
    from loaders.settings import Settings

VIEWS: Final = (
    "sessions",
    "entries",
    "grades",
    "grade_evidence",
    "ratings",
    "laps",
    "stints",
    "starts",
    "overtakes",
    "pass_events",
    "pit_stops",
    "team_pit_cycles",
    "penalties",
    "standings",
    "season_standings",
    "team_standings",
    "head_to_head",
)
"""Views of `sql/duckdb` in an order in which each needs only those before it."""

CATALOGUE: Final = """
select view_name as view, comment as "what it is"
from duckdb_views()
where schema_name = 'main' and not internal
order by view_name
"""

PICTURE: Final = """
create or replace table lake.picture as
select
    ? as lake,
    now() as written_at,
    min(season) as first_season,
    max(season) as last_season,
    count(*) as sessions,
    ?::bigint as files
from lake.sessions
"""
"""Makes the table of a written database that tells what its views are a picture of."""

_TYPES: Final = {
    pl.Int16: "smallint",
    pl.Int32: "integer",
    pl.Float64: "double",
    pl.Boolean: "boolean",
    pl.String: "varchar",
    pl.Enum: "varchar",
    pl.Date: "date",
    pl.Datetime: "timestamp with time zone",
}
"""DuckDB's type of each dtype that contracts use, lists aside."""

_OFFLINE: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


class ExploreError(DriveGradeError):
    """A question cannot be answered, or a database not written; the text says why."""

    exit_code = 9


def connect(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database of views over the lake as it is now.

    Nothing else of the file system or network can be reached from it, and no setting can be
    changed. What reads through `query` cannot write; a bare COPY of this connection could
    overwrite a file of the lake, which every reader would then refuse.

    Returns:
        The connection, for the caller to close.

    Raises:
        LakeError: the manifest or a file is damaged or missing.
    """
    seen = lake.snapshot(settings.lake.resolve())
    connection = duckdb.connect(config=_OFFLINE)
    try:
        _create_views(connection, seen)
        paths = ", ".join(_text(path) for table in STORED for path in seen.files(table).values())
        connection.execute(f"set allowed_paths = [{paths}]")
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
    except duckdb.Error as error:
        connection.close()
        raise LakeError(
            f"{seen.lake} cannot be read: {error}\nIts files are whole, so the tables have "
            "changed since they were written: remove the lake and ingest again."
        ) from error
    return connection


def query(connection: duckdb.DuckDBPyConnection, statement: str) -> pl.DataFrame:
    """Answer one question; whole numbers of any width come as Int64, decimals as Float64.

    Args:
        connection: from `connect`, or to a written database.
        statement: one SELECT (or FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW).

    Raises:
        ExploreError: it is none, it is more than one, or DuckDB refuses it.
    """
    try:
        found = connection.extract_statements(statement)
        if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(one.type.name for one in found) or "none"
            raise ExploreError(
                f"one SELECT is expected, found: {kinds}\nNothing was run. To make tables of "
                "your own, open the file that drivegrade explore --write makes"
            )
        answer: pl.DataFrame = connection.sql(statement).pl()
        return answer.with_columns(_plain(name, dtype) for name, dtype in answer.schema.items())
    except duckdb.Error as error:
        raise ExploreError(
            f"DuckDB refuses the question: {error}\n"
            "drivegrade sql without a question lists the views; describe VIEW lists columns"
        ) from error
    except pl.exceptions.PolarsError as error:
        raise ExploreError(
            f"a column of the answer has a type that cannot be shown: {error}\n"
            "Cast it in the question, for example to varchar"
        ) from error


def write_database(settings: Settings, path: Path) -> pl.DataFrame:
    """Write the views into a DuckDB file, made if absent; what else it holds stays.

    The views name the files of this moment by absolute path. A later write to the lake leaves
    them for ten minutes, after which the database must be written again.

    Returns:
        What it is a picture of, one row, also kept as its table `lake.picture`: `lake` (a
        folder), `written_at` (UTC), `first_season`, `last_season` (null if the lake is empty),
        `sessions`, `files`.

    Raises:
        LakeError: the manifest or a file is damaged or missing.
        ExploreError: the path cannot be written or is not a DuckDB file.
    """
    seen = lake.snapshot(settings.lake.resolve())
    files = sum(len(seen.files(table)) for table in STORED)
    try:
        with duckdb.connect(path, config=_OFFLINE) as connection:
            connection.begin()
            _create_views(connection, seen)
            connection.execute(PICTURE, [str(seen.lake), files])
            connection.commit()
            return query(connection, "from lake.picture")
    except duckdb.Error as error:
        raise ExploreError(
            f"{path} cannot be written: {error}\nIt is as it was. Name another file, or close "
            "the program that has it open"
        ) from error


def description(view: str) -> str:
    """Say what a view of `VIEWS` holds: the first lines of its file."""
    lines = _body(view).splitlines()
    first = next(n for n, line in enumerate(lines) if not line.startswith("--"))
    return " ".join(line.removeprefix("--").strip() for line in lines[:first])


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    """Give DuckDB's wide sums, which arrive as decimals, as numbers that JSON and CSV know."""
    if isinstance(dtype, pl.Decimal):
        return pl.col(name).cast(pl.Float64 if dtype.scale else pl.Int64)
    return pl.col(name)


def _create_views(connection: duckdb.DuckDBPyConnection, seen: Snapshot) -> None:
    connection.execute("create schema if not exists lake")
    for table in STORED:
        connection.execute(f"create or replace view lake.{table} as {_stored(seen, table)}")
        comment = (STORED[table].__doc__ or "").partition("\n")[0]
        connection.execute(f"comment on view lake.{table} is {_text(comment)}")
    for view in VIEWS:
        connection.execute(f"create or replace view main.{view} as\n{_body(view)}")
        connection.execute(f"comment on view main.{view} is {_text(description(view))}")


def _stored(seen: Snapshot, table: str) -> str:
    """Select a stored table: its season, then the contract's columns; empty without files.

    The season is that of the folder's name, so a question about one season opens one file.
    """
    types = {"season": "smallint"}
    types |= {
        name: _type(dtype) for name, dtype in polars_schema(table).items() if name != "season"
    }
    if paths := seen.files(table).values():
        columns = ", ".join(f'"{name}"' for name in types)
        files = ", ".join(_text(path) for path in paths)
        hive = "hive_partitioning = true, hive_types = {'season': smallint}"
        return f"select {columns} from read_parquet([{files}], {hive})"  # noqa: S608 - quoted
    columns = ", ".join(f'null::{dtype} as "{name}"' for name, dtype in types.items())
    return f"select {columns} where false"


def _type(dtype: PolarsDataType) -> str:
    """Name DuckDB's type of a dtype that contracts use."""
    if isinstance(dtype, pl.List):
        return f"{_type(dtype.inner)}[]"
    return _TYPES[dtype.base_type()]


def _body(view: str) -> str:
    return (RESOURCES / "sql" / "duckdb" / f"{view}.sql").read_text(encoding="utf-8")


def _text(value: object) -> str:
    """Quote a value as a text literal of SQL."""
    return "'" + str(value).replace("'", "''") + "'"
