"""Staged rows become stored rows: one SQL file per table, for any number of sessions at once.

Tables are replaced as sets, session by session: rows that a session no longer has are deleted,
new ones inserted, different ones updated and equal ones not touched. What that took is counted by
session; seasons, circuits, teams and drivers are of no one session. Evidence that goes with its
grade is not counted beside it.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import adbc_driver_manager.dbapi as adbc
import polars as pl
import pyarrow as pa

from loaders.arrow import Grading, to_arrow
from loaders.connection import copy_rows, run_file
from loaders.errors import WarehouseError
from loaders.revisions import gradings_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from loaders.connection import Connection
    from loaders.revisions import Delivery

BEFORE_RACES: Final = (("seasons", "core.seasons"), ("circuits", "core.circuits"))

RACES: Final = ("races", "core.races")

AFTER_RACES: Final = (
    ("teams", "core.teams"),
    ("drivers", "core.drivers"),
    ("entries", "core.entries"),
    ("lap_times", "public.lap_times"),
    ("stints", "public.stints"),
    ("pit_stops", "public.pit_stops"),
    ("race_control_messages", "public.race_control_messages"),
    ("weather_readings", "public.weather_readings"),
    ("qualifying", "public.qualifying"),
    ("filled_columns", "core.filled_columns"),
    ("overtake_events", "core.overtake_events"),
    ("strategy_events", "core.strategy_events"),
    ("penalty_events", "core.penalty_events"),
    ("driver_metrics", "core.driver_metrics"),
    ("grade_evidence", "core.grade_evidence"),
    ("session_evidence", "core.session_evidence"),
    ("pass_events", "core.pass_events"),
    ("slow_laps", "core.slow_laps"),
    ("pit_cycles", "core.pit_cycles"),
    ("withdrawn_entries", "core.entries"),
    ("calendar_events", "public.calendar_events"),
)

NAMES: Final = (
    ("circuit_names", "core.circuits"),
    ("team_names", "core.teams"),
    ("driver_names", "core.drivers"),
)
"""(file of `sql/merge`, table it changes), in the order in which keys become known."""

MANY_ROWS: Final = 10_000
"""Laps from which on it pays to count what is staged before it is merged: a season's."""

BULK_ROWS: Final = 100_000
"""Laps from which on merges are planned for whole tables: many seasons'."""

GRADE_SUM_TOLERANCE: Final = 1e-9
"""Adding in another order moves the mean of grades by rounding errors, never by more than this."""

_PLACES: Final = pa.schema(
    [
        ("session_id", pa.large_string()),
        ("event_key", pa.large_string()),
        ("refetch_at", pa.timestamp("us", "UTC")),
        ("keeps_refetch", pa.bool_()),
    ]
)
_GRADINGS: Final = pa.schema(
    [
        ("profile_name", pa.large_string()),
        ("profile_version", pa.int32()),
        ("model_version", pa.large_string()),
    ]
)


class Changes(NamedTuple):
    """Rows of one table that a load changed."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


class Tally:
    """Counts what merges changed: session → table → `Changes`; None is no one session."""

    def __init__(self) -> None:
        self._changes: dict[str | None, dict[str, Changes]] = {}

    def add(self, session_id: str | None, table: str, changes: Changes) -> None:
        """Count changes of a table."""
        of_session = self._changes.setdefault(session_id, {})
        before = of_session.get(table, Changes())
        of_session[table] = Changes(*map(sum, zip(before, changes, strict=True)))

    def of(self, session_id: str | None) -> dict[str, Changes]:
        """Tell what was changed: every table that was merged, also without any change."""
        shared = {table for _, table in (*BEFORE_RACES, *AFTER_RACES[:2])}
        tables = [table for _, table in (*BEFORE_RACES, RACES, *AFTER_RACES)]
        known = self._changes.get(session_id, {})
        return {
            table: known.get(table, Changes())
            for table in tables
            if (table in shared) is (session_id is None)
        }

    def rows(self, session_id: str | None) -> int:
        """Count all rows changed."""
        return sum(map(sum, self._changes.get(session_id, {}).values()))


def stage(
    connection: Connection,
    frames: Mapping[str, pl.DataFrame],
    deliveries: Iterable[Delivery],
    gradings: Collection[Grading],
    event_keys: Mapping[str, str],
) -> None:
    """Copy what is to be merged into temporary tables `stage_…`, whose types follow from Arrow's.

    Args:
        connection: in the load's transaction.
        frames: from `loaders.arrow.checked_tables`, of the sessions to be merged only.
        deliveries: these sessions.
        gradings: what the load says all grades of.
        event_keys: session → event, as far as they are known by now.

    Raises:
        ContractError: an Arrow schema is not the one handed over, or a time has no time zone.
        WarehouseError: the server refused a value; the text names the session.
    """
    places = [
        {
            "session_id": item.session_id,
            "event_key": event_keys.get(item.session_id),
            "refetch_at": item.quality.refetch_at if item.quality else None,
            "keeps_refetch": item.quality is None,
        }
        for item in deliveries
    ]
    tables = {name: to_arrow(name, frame) for name, frame in frames.items()}
    tables["places"] = pa.Table.from_pylist(places, schema=_PLACES)
    rows = [grading._asdict() for grading in sorted(gradings)]
    tables["gradings"] = pa.Table.from_pylist(rows, schema=_GRADINGS)
    for name, table in tables.items():
        _copy(connection, name, table)
    laps = tables["laps"].num_rows
    if laps >= MANY_ROWS:
        loops = "off" if laps >= BULK_ROWS else "on"
        run_file(connection, "statements/prepare_bulk", loops)
        run_file(connection, "statements/analyze_staging")


def _copy(connection: Connection, name: str, table: pa.Table) -> None:
    try:
        copy_rows(connection, f"stage_{name}", table)
    except adbc.Error as error:
        said = " ".join(value.decode(errors="replace") for _, value in error.details)
        line = re.search(rf"COPY stage_{name}, line (\d+)", f"{error} {said}")
        if line is None or "session_id" not in table.column_names:
            raise
        session_id = table.column("session_id")[int(line[1]) - 1].as_py()
        raise WarehouseError(
            f"loading {session_id}: {said}\nThe row is number {line[1]} of {name}. Nothing was "
            "stored; what was stored before stays",
            sqlstate=error.sqlstate,
        ) from error


def merge(
    connection: Connection,
    tally: Tally,
    merges: Iterable[tuple[str, str]],
    *parameters: str | None,
) -> None:
    """Make tables equal to what is staged, and count what that took."""
    for file, table in merges:
        for session_id, *changes in run_file(connection, f"merge/{file}", *parameters).rows():
            tally.add(session_id, table, Changes(*changes))


def merge_names(connection: Connection, tally: Tally) -> None:
    """Give circuits, teams and drivers what the newest session knows of them."""
    run_file(connection, "statements/lock_names")
    merge(connection, tally, NAMES)


def row_counts(
    frames: Mapping[str, pl.DataFrame], session_ids: Iterable[str]
) -> dict[str, dict[str, int]]:
    """Count the rows that each session is to have, by table; stints as the laps make them up."""
    counts: dict[str, dict[str, int]] = {session_id: {} for session_id in session_ids}
    stints = frames["laps"].drop_nulls("stint_number")
    parts = {name: frame for name, frame in frames.items() if name != "sessions"}
    parts["stints"] = stints.select("session_id", "driver_id", "stint_number").unique()
    for name, frame in parts.items():
        found = dict(frame.group_by("session_id").len().iter_rows())
        for session_id, of_session in counts.items():
            of_session[name] = found.get(session_id, 0)
    return counts


def verify(
    connection: Connection,
    frames: Mapping[str, pl.DataFrame],
    gradings: Collection[Grading],
    expected: Mapping[str, Mapping[str, int]],
) -> None:
    """Read back what is stored and compare; also fails if an earlier statement failed.

    Args:
        connection: in the load's transaction.
        frames: what was staged.
        gradings: what the load says all grades of.
        expected: session → table → rows, of the sessions that were staged.

    Raises:
        WarehouseError: something differs; the text says in which sessions, and what.
    """
    stored = run_file(
        connection, "queries/verification", json.dumps(sorted(expected)), gradings_json(gradings)
    )
    found = {row["session_id"]: row for row in stored.to_dicts()}
    metrics = frames["driver_metrics"].group_by("session_id").agg(pl.col("total_grade").sum())
    sums = dict(metrics.iter_rows())
    differing = [
        f"  {session_id}: {fault}"
        for session_id, counts in expected.items()
        for fault in _faults(found.get(session_id), counts, sums.get(session_id, 0.0))
    ]
    if differing:
        names = ", ".join(dict.fromkeys(line.split(":")[0].strip() for line in differing))
        raise WarehouseError(
            f"{names}: what was read back differs from what was loaded\n"
            + "\n".join(differing)
            + "\nThe load was undone; the rows stored before it stay. This is a fault of Drive "
            "Grade or of the database: please report it"
        )


def _faults(
    stored: Mapping[str, Any] | None, counts: Mapping[str, int], grade_sum: float
) -> Sequence[str]:
    """Say where a row of `verification` differs from what was loaded."""
    if stored is None:
        return ["not stored"]
    faults = [
        f"{name}: {stored[name] or 0} stored, {count} loaded"
        for name, count in counts.items()
        if (stored[name] or 0) != count
    ]
    tolerance = GRADE_SUM_TOLERANCE * max(1, counts["driver_metrics"])
    found = stored["total_grade_sum"] or 0.0
    if not math.isclose(found, grade_sum, rel_tol=0, abs_tol=tolerance):
        faults.append(f"total_grade_sum: {found} stored, {grade_sum} loaded")
    if stored["calendar_status"] != "ingested":
        faults.append(f"calendar_status: {stored['calendar_status']} stored, ingested loaded")
    return faults
