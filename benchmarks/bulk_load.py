"""How fast rows get into PostgreSQL, against named references in the same run.

    python -m benchmarks.bulk_load LAKE [ROWS]

LAKE is a folder of the lake, regraded; it is only read. First ROWS laps (500,000 if not given; the
lake's laps again and again) are copied into a table of the same columns in each way, in turn:
medians of `REPEATS`, as a multiple of the way that loads take. Records of Python objects are made
beforehand, except where it says from Arrow. Psycopg's line is there if it is installed.
Then the whole lake is loaded into an empty database: all at once, season by season, and again.
"""

from __future__ import annotations

import asyncio
import importlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import polars as pl

from loaders import lake
from loaders.arrow import to_arrow
from loaders.bulk_load import load_lake
from loaders.connection import open_connection, warehouse_address
from loaders.embedded import embedded_postgres
from loaders.migrations import migrate
from loaders.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from loaders.connection import Connection
    from loaders.database_url import Address

REPEATS: Final = 5
BATCH_ROWS: Final = (1_000, 8_000, 64_000)
TARGET: Final = "create {kind} table bench_target as select * from bench_source limit 0"
HISTORY: Final = "loading the lake"


class Bench:
    """A source table and the ways to copy it."""

    def __init__(self, connection: Connection, address: Address, laps: pl.DataFrame) -> None:
        self._connection, self._uri = connection, address.uri
        self._arrow = to_arrow("laps", laps)
        self._ingest("bench_source", self._arrow, mode="replace")
        self._records = self._rows()
        self._file = self._folder() / "bench.bin"
        self._do(f"copy bench_source to '{self._file}' (format binary)")
        connection.commit()

    def ways(self) -> dict[str, Callable[[], None]]:
        """Name the ways; the first is that of the loads."""
        chunked = {
            f"ADBC, temporary, batches of {size}": lambda size=size: self._temporary(size)
            for size in BATCH_ROWS
        }
        ways: dict[str, Callable[[], None]] = {
            "ADBC, temporary": lambda: self._temporary(None),
            **chunked,
            "ADBC, unlogged": lambda: self._into("unlogged"),
            "ADBC, logged": lambda: self._into(""),
            "asyncpg, binary COPY of records": lambda: asyncio.run(self._asyncpg("copy")),
            "asyncpg, the same from Arrow": self._asyncpg_from_arrow,
            "asyncpg, executemany": lambda: asyncio.run(self._asyncpg("insert")),
            "server: COPY FROM binary file": lambda: self._on_server(
                f"copy bench_target from '{self._file}' (format binary)"
            ),
            "server: INSERT … SELECT": lambda: self._on_server(
                "insert into bench_target select * from bench_source"
            ),
        }
        try:
            psycopg = importlib.import_module("psycopg")
        except ImportError:
            return ways
        return {
            **ways,
            "psycopg, binary COPY of records": lambda: self._psycopg(psycopg),
            "psycopg, the same from Arrow": lambda: self._psycopg(psycopg, self._rows()),
        }

    def _temporary(self, size: int | None) -> None:
        table = self._arrow.to_reader(max_chunksize=size) if size else self._arrow
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest("bench_staged", table, mode="create", temporary=True)
        self._connection.rollback()

    def _into(self, kind: str) -> None:
        self._do(TARGET.format(kind=kind))
        self._ingest("bench_target", self._arrow, mode="append")
        self._connection.rollback()

    def _on_server(self, statement: str) -> None:
        self._do(TARGET.format(kind="temporary"))
        self._do(statement)
        self._connection.rollback()

    def _rows(self) -> list[tuple[object, ...]]:
        return list(zip(*(column.to_pylist() for column in self._arrow.columns), strict=True))

    def _asyncpg_from_arrow(self) -> None:
        self._records = self._rows()
        asyncio.run(self._asyncpg("copy"))

    async def _asyncpg(self, way: str) -> None:
        connection = await asyncpg.connect(self._uri)
        try:
            await connection.execute(TARGET.format(kind="temporary"))
            if way == "copy":
                await connection.copy_records_to_table("bench_target", records=self._records)
                return
            marks = ", ".join(f"${n}" for n in range(1, self._arrow.num_columns + 1))
            statement = f"insert into bench_target values ({marks})"  # noqa: S608 - marks only
            await connection.executemany(statement, self._records)
        finally:
            await connection.close()

    def _psycopg(self, psycopg: object, records: list[tuple[object, ...]] | None = None) -> None:
        types = [_type(field.type) for field in self._arrow.schema]
        with psycopg.connect(self._uri) as connection, connection.cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(TARGET.format(kind="temporary"))
            with cursor.copy("copy bench_target from stdin (format binary)") as copy:
                copy.set_types(types)
                for record in records or self._records:
                    copy.write_row(record)
            connection.rollback()

    def _folder(self) -> Path:
        with self._connection.cursor() as cursor:
            cursor.execute("select current_setting('data_directory')")
            return Path(str(cursor.fetchall()[0][0]))

    def _ingest(self, name: str, table: pa.Table, *, mode: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, table, mode=mode)  # type: ignore[arg-type]

    def _do(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)


def _type(dtype: pa.DataType) -> str:
    """Name PostgreSQL's type of a column of laps."""
    return {"int16": "int2", "int32": "int4", "double": "float8", "bool": "bool"}.get(
        str(dtype), "text"
    )


def seconds(way: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    way()
    return time.perf_counter() - started


def rows_table(address: Address, laps: pl.DataFrame) -> None:
    """Print the medians of all ways, and each as a multiple of the first."""
    with open_connection(address) as connection:
        ways = Bench(connection, address, laps).ways()
        rounds = [{name: seconds(way) for name, way in ways.items()} for _ in range(REPEATS + 1)]
    taken = {name: [times[name] for times in rounds[1:]] for name in ways}
    medians = {name: statistics.median(times) for name, times in taken.items()}
    own = next(iter(medians.values()))
    print(f"\n{laps.height} laps of {laps.width} columns, medians of {REPEATS}")
    for name, median in medians.items():
        rate = laps.height / median / 1000
        print(f"{name:<36}{median:>9.3f} s{rate:>9.0f} k rows/s{median / own:>8.2f}")


def history_table(folder: Path) -> None:
    """Load the whole lake into empty databases, and print how long that takes."""
    print(f"\n{HISTORY} into an empty database")
    for name, at_once in (("all at once", True), ("season by season", False)):
        with tempfile.TemporaryDirectory(prefix="drivegrade-") as home:
            (Path(home) / "lake").symlink_to(folder.resolve())
            settings = Settings(home=Path(home), database_url=None)
            with embedded_postgres(settings.home / "pg") as uri:
                migrate(uri)
                first = seconds(lambda: load_lake(settings, at_once=at_once))  # noqa: B023 - called here
                again = seconds(lambda: load_lake(settings, at_once=at_once))  # noqa: B023 - called here
        print(f"{name:<36}{first:>9.2f} s, again {again:.2f} s", flush=True)


def main() -> None:
    """Print both tables."""
    folder = Path(sys.argv[1])
    wanted = int(sys.argv[2]) if len(sys.argv) > 2 else 500_000
    laps = lake.scan(folder, "laps").collect()
    laps = pl.concat([laps] * -(-wanted // laps.height)).head(wanted)
    with tempfile.TemporaryDirectory(prefix="drivegrade-") as home:
        settings = Settings(home=Path(home), database_url=None)
        with warehouse_address(settings) as address:
            rows_table(address, laps)
    history_table(folder)


if __name__ == "__main__":
    main()
