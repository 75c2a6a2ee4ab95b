"""Hand-over of sessions' tables to the warehouse: Arrow tables of constant schemas.

The database driver compares the width of a column with its target, not the type: an integer
column may become a different number, or a date, without an error. So a table is handed over
only if its Arrow schema equals the one derived from the contract, which a test compares with
the migrated database. Before that, every row has to keep the contract, belong to one of the
sessions, and find the rows it refers to, because the database would name the key and not the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl
import pyarrow as pa

from engine.contract import SHOWN_ROWS, check
from engine.errors import ContractError
from engine.tables import EVIDENCE, TABLES, SessionKey, polars_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

STAGED: Final = (
    "sessions",
    "entries",
    "laps",
    "pit_stops",
    "race_control",
    "weather",
    "qualifying",
    "filled_columns",
    "overtakes",
    "strategy_events",
    "penalty_events",
    "driver_metrics",
    "grade_evidence",
    "session_evidence",
    "pass_events",
    "slow_laps",
    "pit_cycles",
)
"""Tables that go to the warehouse; `driver_inputs` and `rating_states` stay in the lake."""

REFERENCES: Final = (
    ("laps", "driver_id"),
    ("pit_stops", "driver_id"),
    ("overtakes", "driver_id"),
    ("overtakes", "opponent_id"),
    ("strategy_events", "driver_id"),
    ("penalty_events", "driver_id"),
    ("driver_metrics", "driver_id"),
    ("pass_events", "opponent_id"),
)
"""(table, column) whose values must be drivers with an entry in the row's session.

Evidence refers to a grade, and with it to an entry; who qualified needs none."""


class Grading(NamedTuple):
    """What the grades of a load were computed with."""

    profile_name: str
    profile_version: int
    model_version: str


def _arrow_type(dtype: pl.DataType) -> pa.DataType:
    """Give the one Arrow type in which a Polars dtype is handed over; a KeyError is a bug."""
    if isinstance(dtype, pl.Enum | pl.String):
        return pa.large_string()
    if isinstance(dtype, pl.Datetime):
        return pa.timestamp(dtype.time_unit, dtype.time_zone)
    plain = {
        pl.Int16(): pa.int16(),
        pl.Int32(): pa.int32(),
        pl.Float64(): pa.float64(),
        pl.Boolean(): pa.bool_(),
        pl.Date(): pa.date32(),
    }
    return plain[dtype]


ARROW_SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    table: pa.schema([(name, _arrow_type(dtype)) for name, dtype in polars_schema(table).items()])
    for table in STAGED
}
"""The only schema in which each table is staged; Enums become text."""


def checked_tables(
    sessions: Sequence[SessionKey],
    tables: Mapping[str, pl.DataFrame],
    gradings: Collection[Grading],
) -> dict[str, pl.DataFrame]:
    """Check the tables of sessions that are to be staged.

    Args:
        sessions: the sessions; all rows must belong to one of them.
        tables: one frame per name of `STAGED`, under its contract; others are left out.
        gradings: what all rows of `driver_metrics` must have been computed with.

    Returns:
        One frame per name of `STAGED`.

    Raises:
        ContractError: a table is missing or unknown, breaks its contract, has rows of another
            session or grading, lacks a session, or refers to a driver without an entry or a grade
            that is not there.
    """
    named = _named(sessions)
    wrong = [f"{name} is missing" for name in STAGED if name not in tables]
    wrong += [f"{name} is no table of ours" for name in tables if name not in TABLES]
    if wrong:
        raise ContractError(f"{named}: {'; '.join(wrong)}. Nothing was loaded")
    frames = {name: check(name, tables[name], named) for name in STAGED}
    for name in ("sessions", "entries"):
        there = set(frames[name]["session_id"].unique())
        if absent := [key for key in sessions if key.session_id not in there]:
            raise ContractError(
                f"{name}: no row of {_named(absent)}. Nothing was loaded; a session without "
                "them is no correction of one that has them"
            )
    entries = frames["entries"].select(_entry("driver_id")).to_series()
    for name, frame in frames.items():
        for fault, is_faulty in _faults(name, sessions, gradings, entries):
            _refuse(named, name, frame.filter(is_faulty), fault)
    _refuse_stray_evidence(named, frames, gradings)
    return frames


def to_arrow(table: str, frame: pl.DataFrame) -> pa.Table:
    """Convert a frame that keeps its contract, Enums as text.

    Raises:
        ContractError: the Arrow schema is not that of `ARROW_SCHEMAS`.
    """
    texts = frame.with_columns(pl.col(pl.Enum).cast(pl.String))
    arrow = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    expected = ARROW_SCHEMAS[table]
    if not arrow.schema.equals(expected):
        faults = [
            f"  {field.name} is {arrow.schema.field(field.name).type}, expected {field.type}"
            if field.name in arrow.schema.names
            else f"  {field.name} is missing"
            for field in expected
            if field.name not in arrow.schema.names or field != arrow.schema.field(field.name)
        ]
        raise ContractError(
            f"{table}: the Arrow schema differs from the contract\n"
            + "\n".join(faults or [f"  columns are {', '.join(arrow.schema.names)}"])
            + "\nNothing was loaded."
        )
    return arrow


def _faults(
    table: str, sessions: Sequence[SessionKey], gradings: Collection[Grading], entries: pl.Series
) -> list[tuple[str, pl.Expr]]:
    """List what no row of a table may be: what to say of such a row, and how to tell it."""
    ids = [key.session_id for key in sessions]
    faults = [("belong to another session", ~pl.col("session_id").is_in(ids))]
    if table == "sessions":
        for name in SessionKey._fields:
            known = {key.session_id: str(getattr(key, name)) for key in sessions}
            expected = pl.col("session_id").replace_strict(
                known, default=None, return_dtype=pl.String
            )
            faults.append((f"have another {name}", pl.col(name).cast(pl.String) != expected))
    if table == "driver_metrics":
        for name in Grading._fields:
            values = list({str(getattr(grading, name)) for grading in gradings})
            faults.append(
                (f"were graded with another {name}", ~pl.col(name).cast(pl.String).is_in(values))
            )
        combined = ["\n".join(map(str, grading)) for grading in gradings]
        graded = pl.concat_str(Grading._fields, separator="\n")
        faults.append(("were graded with another version of the profile", ~graded.is_in(combined)))
    faults += [
        (f"have a {column} without an entry", ~_entry(column).is_in(entries.implode()))
        for referring, column in REFERENCES
        if referring == table
    ]
    return faults


def _refuse_stray_evidence(
    named: str, frames: Mapping[str, pl.DataFrame], gradings: Collection[Grading]
) -> None:
    """Refuse evidence of grades that are not there.

    Raises:
        ContractError: a row is of no grade of the load, or, of a session as a whole, of none of
            its gradings.
    """
    key = TABLES["driver_metrics"].primary_key()
    models = {(grading.profile_name, grading.model_version) for grading in gradings}
    of_session = pl.DataFrame(
        sorted(models), schema=["profile_name", "model_version"], orient="row"
    ).cast(pl.String)
    for name in (table for table in STAGED if table in EVIDENCE):
        is_of_driver = "driver_id" in frames[name].columns
        grades = frames["driver_metrics"].select(key) if is_of_driver else of_session
        stray = frames[name].join(grades, on=grades.columns, how="anti")
        _refuse(named, name, stray, "are of no grade")


def _entry(driver: str) -> pl.Expr:
    """Name the entry that a row refers to: its session and a driver; null without a driver."""
    return pl.concat_str("session_id", driver, separator="\n")


def _named(sessions: Sequence[SessionKey]) -> str:
    """Name a few sessions, or say how many there are."""
    few = len(sessions) <= SHOWN_ROWS
    return ", ".join(key.session_id for key in sessions) if few else f"{len(sessions)} sessions"


def _refuse(named: str, table: str, faulty: pl.DataFrame, fault: str) -> None:
    """Refuse a table that has faulty rows, showing the first of them.

    Raises:
        ContractError: there are such rows.
    """
    if faulty.is_empty():
        return
    shown = faulty.select(TABLES[table].primary_key()).head(SHOWN_ROWS).to_dicts()
    lines = ["  " + " ".join(f"{name}={value}" for name, value in row.items()) for row in shown]
    raise ContractError(
        f"{table}: {faulty.height} row(s) of {named} {fault}\n"
        + "\n".join(lines)
        + "\nNothing was loaded. Correct the provider, or what was computed from it."
    )
