"""Reading and writing the tables of a warehouse in one file, SQLite or DuckDB."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.contract import check
from engine.errors import ProfileError
from loaders.errors import WarehouseError
from loaders.lake_source import session_hashes
from loaders.merging import GRADE_SUM_TOLERANCE
from loaders.one_file_tables import KEYS, SCHEMAS, TARGETS, target_rows
from loaders.profiles import DEFAULT, parse_profile
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loaders.connection import Connection
    from loaders.profiles import Profile

_RACE: Final = pl.Schema(
    {
        "race_id": pl.Int64(),
        "slug": pl.String(),
        "event_key": pl.String(),
        "session_kind": pl.String(),
    }
)


class Store:
    """The tables of an open file, in a transaction of the caller's."""

    def __init__(self, kind: str, name: str, connection: Connection) -> None:
        self._kind, self._name, self._connection = kind, name, connection

    def run(self, file: str, *parameters: object) -> None:
        """Run the one statement of a file below `sql/`."""
        self._do((RESOURCES / "sql" / f"{file}.sql").read_text(encoding="utf-8"), *parameters)

    def create(self) -> None:
        """Make the tables that are not there.

        Raises:
            WarehouseError: one is there with other columns.
        """
        if self._kind == "duckdb":
            for schema in sorted({name.partition(".")[0] for name in SCHEMAS}):
                self._do(f"create schema if not exists {schema}")
        for name, dtypes in SCHEMAS.items():
            columns = [f"{column} {_type(dtype)}" for column, dtype in dtypes.items()]
            columns.append(f"primary key ({', '.join(KEYS[name])})")
            if name == "core.entries":
                columns.append("unique (race_id, driver_id)")
            self._do(f"create table if not exists {name} ({', '.join(columns)})")
            self._refuse_other_columns(name)

    def _refuse_other_columns(self, name: str) -> None:
        """Refuse a table that was made with other columns.

        Raises:
            WarehouseError: it was, by another version of the program or by somebody else.
        """
        there = self._ask(f"select * from {name} limit 0").columns  # noqa: S608 - our table
        if there != list(SCHEMAS[name]):
            moved = sorted(set(there) ^ set(SCHEMAS[name])) or ["their order"]
            raise WarehouseError(
                f"{self._name} was made by another version: {name} differs in "
                f"{', '.join(moved)}. It is as it was; the lake has all that is in it, so remove "
                "it or name another file, and load again"
            )

    def profiles(self) -> list[tuple[str, int, str]]:
        """Name, version and JSON of each stored profile."""
        query = "select profile_name, profile_version, body from config.calibration_profiles"
        return [(name, version, body) for name, version, body in self._ask(query).rows()]

    def add_profiles(self, profiles: Sequence[Profile]) -> None:
        """Store the profiles that are new; the first of the default's name is active.

        Raises:
            ProfileError: a version is stored with other constants.
        """
        stored = {(name, version): body for name, version, body in self.profiles()}
        for profile in profiles:
            key = (profile.name, profile.version)
            if key in stored and parse_profile(stored[key]) != profile:
                raise ProfileError(
                    f"{self._name} has profile {profile.name} version {profile.version} "
                    "with other constants. Nothing was loaded; give the changed profile another "
                    "version and regrade the lake, or write another file"
                )
            if key not in stored:
                stored[key] = profile.model_dump_json()
                now = datetime.now(UTC).isoformat()
                active = profile.name == DEFAULT and profile.version == 1
                self.run("onefile/profiles", *key, stored[key], now, active)

    def replace(self, tables: Mapping[str, pl.DataFrame], *, force: bool) -> dict[str, int]:
        """Replace the rows of the sessions that are new or have changed: counts by outcome."""
        hashes = {key.session_id: each.data_hash for key, each in session_hashes(tables).items()}
        known = dict(
            self._ask(
                "select races.slug, loads.data_hash from ops.loads as loads "
                "join core.races as races on races.race_id = loads.race_id"
            ).rows()
        )
        due = [key for key, value in hashes.items() if force or known.get(key) != value]
        counts = {"loaded": len(due), "unchanged": len(hashes) - len(due), "older": 0}
        if not due:
            return {**counts, "changed_rows": 0}
        frames = {
            name: check(name, tables[name].filter(pl.col("session_id").is_in(due)), "the lake")
            for name in TARGETS
        }
        now = datetime.now(UTC)
        stored = self._ask("select race_id, slug, event_key, session_kind from core.races")
        numbers = dict(stored.select("slug", "race_id").rows())
        rows = target_rows(frames, hashes, numbers, self._entries(), now)
        self._delete(rows["core.races"], stored.cast(_RACE))
        for name, frame in rows.items():
            self._append(name, frame)
        self._verify(rows)
        return {**counts, "changed_rows": sum(frame.height for frame in rows.values())}

    def row_counts(self) -> pl.DataFrame:
        """Count by season and the lake's table: `season`, `table_name`, `warehouse_rows`."""
        counts = []
        for table, name in TARGETS.items():
            joined = "core.races as races"
            if "entry_id" in SCHEMAS[name]:
                joined += " join core.entries as entries on entries.race_id = races.race_id"
            if name not in {"core.races", "core.entries"}:
                number = "race_id" if "race_id" in SCHEMAS[name] else "entry_id"
                owner = "races" if number == "race_id" else "entries"
                joined += f" join {name} as stored on stored.{number} = {owner}.{number}"
            query = f"select races.season, count(*) from {joined} group by races.season"  # noqa: S608 - our table
            counts += [(season, table, rows) for season, rows in self._ask(query).rows()]
        schema = {"season": pl.Int16, "table_name": pl.String, "warehouse_rows": pl.Int64}
        return pl.DataFrame(counts, schema=schema, orient="row")

    def _entries(self) -> dict[tuple[int, str], int]:
        rows = self._ask("select race_id, driver_id, entry_id from core.entries").rows()
        return {(race_id, driver_id): entry_id for race_id, driver_id, entry_id in rows}

    def _delete(self, races: pl.DataFrame, stored: pl.DataFrame) -> None:
        """Delete the stored sessions that are these, or of their events, and all of theirs."""
        gone = pl.concat(
            [
                stored.join(races, on="slug", how="semi"),
                stored.join(races, on=["event_key", "session_kind"], how="semi"),
            ]
        )
        ids = _listed(gone["race_id"])
        entries = f"select entry_id from core.entries where race_id in ({ids})"  # noqa: S608 - numbers
        for name, columns in SCHEMAS.items():
            if "entry_id" in columns and name != "core.entries":
                self._do(f"delete from {name} where entry_id in ({entries})")  # noqa: S608 - our table
        for name, columns in SCHEMAS.items():
            if "race_id" in columns:
                self._do(f"delete from {name} where race_id in ({ids})")  # noqa: S608 - our table
        for row in gone.select("event_key", "session_kind").rows():
            self.run("onefile/forget_event", *row)

    def _append(self, name: str, frame: pl.DataFrame) -> None:
        schema, _, table = name.partition(".")
        rows = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        with self._connection.cursor() as cursor:
            if self._kind == "duckdb":
                cursor.adbc_ingest(table, rows, mode="append", db_schema_name=schema)
            else:
                cursor.adbc_ingest(table, rows, mode="append")

    def _verify(self, rows: Mapping[str, pl.DataFrame]) -> None:
        """Read back and compare.

        Raises:
            WarehouseError: a table has another number of rows, or the grades another sum.
        """
        ids = _listed(rows["core.races"]["race_id"])
        entries = f"select entry_id from core.entries where race_id in ({ids})"  # noqa: S608 - numbers
        differing = []
        for name, frame in rows.items():
            number = next((key for key in ("race_id", "entry_id") if key in frame.columns), None)
            if number is None:
                continue
            what = "count(*)" if name != "core.driver_metrics" else "count(*), sum(total_grade)"
            chosen = ids if number == "race_id" else entries
            query = f"select {what} from {name} where {number} in ({chosen})"  # noqa: S608 - our table
            found, *total = self._ask(query).row(0)
            off = sum(total_grade or 0.0 for total_grade in total)
            off -= sum(frame["total_grade"].drop_nulls()) if total else 0.0
            if found != frame.height or abs(off) > GRADE_SUM_TOLERANCE * max(1, found):
                differing.append(f"  {name}: {found} rows stored, {frame.height} loaded")
        if differing:
            raise WarehouseError(
                f"{self._name}: what was read back differs from what was loaded\n"
                + "\n".join(differing)
                + "\nThe load was undone. This is a fault of Drive Grade or of the database: "
                "please report it"
            )

    def _ask(self, query: str, *parameters: object) -> pl.DataFrame:
        with self._connection.cursor() as cursor:
            cursor.execute(self._sql(query), parameters or None)
            return pl.DataFrame(cursor.fetch_arrow_table())

    def _sql(self, text: str) -> str:
        """Write a statement for this kind of file: SQLite's tables have plain names."""
        if self._kind == "duckdb":
            return text
        return re.sub(r"\b(core|config|public|ops)\.(?=\w)", "", text)

    def _do(self, statement: str, *parameters: object) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(self._sql(statement), parameters or None)


def _listed(numbers: pl.Series) -> str:
    """Write numbers as a list of SQL."""
    return ", ".join(str(int(number)) for number in numbers.unique().sort())


def _type(dtype: pl.DataType) -> str:
    """Name the type of a column, in words that both kinds understand."""
    if isinstance(dtype, pl.Datetime):
        return "timestamp with time zone"
    plain = {
        pl.Int16(): "smallint",
        pl.Int32(): "integer",
        pl.Int64(): "bigint",
        pl.Float64(): "double precision",
        pl.Boolean(): "boolean",
        pl.String(): "text",
        pl.Date(): "date",
    }
    return plain[dtype]
