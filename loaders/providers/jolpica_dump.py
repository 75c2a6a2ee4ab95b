r"""The classic dump: one file per table, CSV (``\N`` is null) or Parquet, in a folder or a zip.

The columns are those of the Ergast archive, addressed by name; what is not needed is not read.
Any number of sessions is parsed at once (`dump_tables`); nothing is asked of the network.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

import polars as pl

from engine import tables
from engine.errors import ContractError
from loaders.providers import ProviderError
from loaders.providers.jolpica_tables import (
    PARTS,
    RAW,
    check_complete,
    milliseconds,
    parse_entries,
    parse_laps,
    parse_pit_stops,
    parse_qualifying,
    parse_sessions,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from engine.tables import SessionKey
    from loaders.providers import SessionTables

NULL: Final = "\\N"

MAX_FILE_BYTES: Final = 512 * 1024 * 1024
"""Largest file in a zip, unpacked, in bytes; the largest table of the whole history has 20 MB."""

_RESULTS: Final = {
    "raceId": pl.Int64(),
    "driverId": pl.Int64(),
    "constructorId": pl.Int64(),
    "number": pl.Int64(),
    "grid": pl.Int64(),
    "positionText": pl.String(),
    "positionOrder": pl.Int64(),
    "points": pl.Float64(),
    "laps": pl.Int64(),
    "time": pl.String(),
    "milliseconds": pl.Int64(),
    "statusId": pl.Int64(),
}

FILES: Final[Mapping[str, pl.Schema]] = {
    "races": pl.Schema(
        {
            "raceId": pl.Int64(),
            "year": pl.Int64(),
            "round": pl.Int64(),
            "circuitId": pl.Int64(),
            "name": pl.String(),
            "date": pl.String(),
            "time": pl.String(),
            "sprint_date": pl.String(),
            "sprint_time": pl.String(),
        }
    ),
    "circuits": pl.Schema(
        {"circuitId": pl.Int64(), "circuitRef": pl.String(), "name": pl.String()}
    ),
    "drivers": pl.Schema(
        {
            "driverId": pl.Int64(),
            "driverRef": pl.String(),
            "code": pl.String(),
            "forename": pl.String(),
            "surname": pl.String(),
        }
    ),
    "constructors": pl.Schema(
        {"constructorId": pl.Int64(), "constructorRef": pl.String(), "name": pl.String()}
    ),
    "status": pl.Schema({"statusId": pl.Int64(), "status": pl.String()}),
    "results": pl.Schema(_RESULTS),
    "sprint_results": pl.Schema(_RESULTS),
    "lap_times": pl.Schema(
        {
            "raceId": pl.Int64(),
            "driverId": pl.Int64(),
            "lap": pl.Int64(),
            "position": pl.Int64(),
            "milliseconds": pl.Int64(),
        }
    ),
    "pit_stops": pl.Schema(
        {
            "raceId": pl.Int64(),
            "driverId": pl.Int64(),
            "lap": pl.Int64(),
            "milliseconds": pl.Int64(),
        }
    ),
}
"""Tables and columns that are read, by their names in the dump."""

OPTIONAL_FILES: Final[Mapping[str, pl.Schema]] = {
    "lap_times_from_fastf1": pl.Schema({**FILES["lap_times"], "source": pl.String()}),
    "qualifying": pl.Schema(
        {
            "raceId": pl.Int64(),
            "driverId": pl.Int64(),
            "position": pl.Int64(),
            "q1": pl.String(),
            "q2": pl.String(),
            "q3": pl.String(),
        }
    ),
}
"""Tables that not every dump has: laps of races that `lap_times` lacks, with how each was timed;
and qualifying."""


def read_dump(path: Path) -> dict[str, pl.DataFrame]:
    """Read the tables of a dump.

    Args:
        path: a folder, or a zip, that holds each table of `FILES` as ``name.csv`` or
            ``name.parquet``; in a zip in any folder.

    Returns:
        One frame per table of `FILES`, and of `OPTIONAL_FILES` if it is there, with the columns
        and dtypes named there, one row per row of the file.

    Raises:
        ProviderError: there is no such folder or zip, or a table is missing or damaged.
        ContractError: a table lacks a column, or a value is not of the column's type.
    """
    try:
        if path.is_dir():
            members = {file.name: file for file in path.iterdir()}
            return {name: _table(name, path, members) for name in _present(members)}
        with zipfile.ZipFile(path) as archive:
            packed = {info.filename.rpartition("/")[2]: info for info in archive.infolist()}
            return {name: _table(name, path, packed, archive) for name in _present(packed)}
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ProviderError(
            f"jolpica dump {path}: cannot be read ({error}).\n"
            "Nothing was loaded. Name a folder or a zip of the dump's CSV or Parquet files."
        ) from error


def dump_tables(dump: Mapping[str, pl.DataFrame], source: str) -> SessionTables:
    """Normalize every session of a dump at once.

    Args:
        dump: as `read_dump` gives it, possibly filtered.
        source: what the rows come from, for messages.

    Raises:
        ContractError: values break a table's contract.
    """
    sessions, results = raw_sessions(dump), raw_results(dump)
    stops = _of_race(dump, "pit_stops").select(RAW["pit_stops"].names())
    laps = _of_race(dump, "lap_times").select(RAW["laps"].names())
    return {
        "sessions": parse_sessions(sessions, source),
        "entries": parse_entries(results, source),
        "laps": parse_laps(laps, stops, source),
        "pit_stops": parse_pit_stops(stops, source),
        "race_control": tables.empty("race_control"),
        "weather": tables.empty("weather"),
        "qualifying": parse_qualifying(raw_qualifying(dump), source),
    }


def fetch_from_dump(session: SessionKey, path: Path) -> SessionTables:
    """Read one session from a dump.

    Raises:
        ProviderError: the dump cannot be read, lacks the session, or has it incompletely.
        ContractError: values break the dump's or a table's contract.
    """
    dump = read_dump(path)
    name = f"jolpica dump {session.session_id}"
    races = dump["races"].filter(pl.col("year") == session.season, pl.col("round") == session.round)
    is_race = session.session_kind == "race"
    of_race = {"results", "lap_times", "pit_stops", "qualifying"}
    wanted = of_race if is_race else {"sprint_results"}
    own = {
        table: frame.join(races, on="raceId", how="semi") if table in wanted else frame.clear()
        for table, frame in dump.items()
        if "raceId" in frame.columns
    }
    found = dump_tables({**dump, **own, "races": races}, name)
    found = {**found, "sessions": found["sessions"].filter(session_id=session.session_id)}
    if found["sessions"].is_empty() or found["entries"].is_empty():
        raise ProviderError(
            f"{name}: the dump in {path} has no such session, or no results of it.\n"
            "Nothing was loaded. Check the round, or take a newer dump."
        )
    check_complete(session, found["entries"], found["laps"], found["pit_stops"], name)
    return found


def raw_sessions(dump: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """List the Grands Prix, and the sprints that are dated, as raw sessions."""
    circuits = dump["circuits"].rename({"name": "circuit_name"})
    races = dump["races"].join(circuits, on="circuitId", how="left")
    days = {"race": ("date", "time"), "sprint": ("sprint_date", "sprint_time")}
    return pl.concat(
        races.filter(pl.col(date).is_not_null()).select(
            pl.col("round", "circuit_name"),
            session_id=_session_id(kind),
            season="year",
            session_kind=pl.lit(kind),
            event_name="name",
            circuit_id="circuitRef",
            date=date,
            time=time,
        )
        for kind, (date, time) in days.items()
    ).select(RAW["sessions"].names())


def raw_results(dump: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """List the results of Grands Prix and sprints with names instead of numbers."""
    races = dump["races"].select("raceId", "year", "round")
    teams = dump["constructors"].rename({"name": "team_name"})
    both = pl.concat(
        dump[table].join(races, on="raceId").with_columns(session_id=_session_id(kind))
        for table, kind in (("results", "race"), ("sprint_results", "sprint"))
    )
    return (
        both.join(dump["drivers"], on="driverId", how="left")
        .join(teams, on="constructorId", how="left")
        .join(dump["status"], on="statusId", how="left")
        .select(
            pl.col("session_id", "grid", "points", "laps", "team_name"),
            driver_id="driverRef",
            driver_code="code",
            driver_number="number",
            driver_name=pl.concat_str("forename", "surname", separator=" "),
            team_id="constructorRef",
            position="positionOrder",
            position_text="positionText",
            status_text="status",
            time_ms="milliseconds",
            time_text="time",
        )
        .select(RAW["results"].names())
    )


def raw_qualifying(dump: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """List the drivers in qualifying of each Grand Prix; none if the dump has not the table."""
    if "qualifying" not in dump:
        return RAW["qualifying"].to_frame()
    rows = _of_race(dump, "qualifying").with_columns(part_times_ms())
    return rows.select(RAW["qualifying"].names())


def part_times_ms() -> list[pl.Expr]:
    """Read the texts q1, q2 and q3 as columns in ms; null where it is no time."""
    return [milliseconds(name.removesuffix("_ms")).alias(name) for name in PARTS]


def _of_race(dump: Mapping[str, pl.DataFrame], table: str) -> pl.DataFrame:
    """Rows of a race with names instead of numbers; a number without a name stays null."""
    names = {"driverRef": "driver_id", "lap": "lap_number", "milliseconds": "time_ms"}
    races = dump["races"].select("raceId", "year", "round")
    return (
        dump[table]
        .join(races, on="raceId")
        .join(dump["drivers"].select("driverId", "driverRef"), on="driverId", how="left")
        .with_columns(session_id=_session_id("race"))
        .rename(names, strict=False)
    )


def _session_id(kind: str) -> pl.Expr:
    suffix = "" if kind == "race" else f"-{kind}"
    return pl.format("{}-{}" + suffix, "year", "round")


def _present(members: Collection[str]) -> list[str]:
    """Name the tables to read: all of `FILES`, and what there is of `OPTIONAL_FILES`."""
    return [*FILES, *(name for name in OPTIONAL_FILES if _file_name(name, members))]


def _file_name(table: str, members: Collection[str]) -> str:
    """Name the file of a table, whichever of the two kinds is there; empty if none is."""
    return next((name for kind in ("parquet", "csv") if (name := f"{table}.{kind}") in members), "")


def _table(
    name: str,
    path: Path,
    members: Mapping[str, Path] | Mapping[str, zipfile.ZipInfo],
    archive: zipfile.ZipFile | None = None,
) -> pl.DataFrame:
    """Read one table, from whichever of the two kinds of file is there.

    Raises:
        ProviderError: there is none, or it is too large or damaged.
        ContractError: a column is missing or a value is not of the column's type.
    """
    file_name = _file_name(name, members)
    if not file_name:
        raise ProviderError(
            f"jolpica dump {path}: {name}.csv or {name}.parquet is missing.\n"
            "Nothing was loaded. Unpack the whole dump, or name its zip."
        )
    member = members[file_name]
    if isinstance(member, zipfile.ZipInfo):
        if archive is None or member.file_size > MAX_FILE_BYTES:
            raise ProviderError(
                f"jolpica dump {path}: {file_name} is larger than {MAX_FILE_BYTES // 2**20} MiB.\n"
                "Nothing was loaded. This is not the dump of Jolpica."
            )
        content = archive.read(member)
    else:
        content = member.read_bytes()
    schema = FILES.get(name) or OPTIONAL_FILES[name]
    try:
        return _parse_file(content, schema, is_csv=file_name.endswith("csv"))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        first = str(error).strip().partition("\n")[0]
        raise ContractError(
            f"{name}: {file_name} of the dump {path} is not as expected: {first}\n"
            f"Nothing was used. It needs the columns {', '.join(schema)}."
        ) from error


def _parse_file(content: bytes, schema: pl.Schema, *, is_csv: bool) -> pl.DataFrame:
    """Read the columns of the schema from CSV or Parquet."""
    if is_csv:
        return pl.read_csv(
            io.BytesIO(content),
            columns=schema.names(),
            schema_overrides=schema,
            null_values=NULL,
            infer_schema=False,
        ).select(schema.names())
    return pl.read_parquet(io.BytesIO(content), columns=schema.names()).cast(schema)
