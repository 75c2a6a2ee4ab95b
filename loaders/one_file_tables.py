"""The tables of a warehouse in one file: PostgreSQL's names, columns and numbers, as frames.

Sessions and entries get numbers, as PostgreSQL gives them, and the tables refer to those. Columns
follow from the contracts; vocabularies are text.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import TABLES, polars_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

TARGETS: Final[Mapping[str, str]] = {
    "sessions": "core.races",
    "entries": "core.entries",
    "laps": "public.lap_times",
    "pit_stops": "public.pit_stops",
    "race_control": "public.race_control_messages",
    "weather": "public.weather_readings",
    "qualifying": "public.qualifying",
    "filled_columns": "core.filled_columns",
    "overtakes": "core.overtake_events",
    "strategy_events": "core.strategy_events",
    "penalty_events": "core.penalty_events",
    "driver_metrics": "core.driver_metrics",
    "grade_evidence": "core.grade_evidence",
    "session_evidence": "core.session_evidence",
    "pass_events": "core.pass_events",
    "slow_laps": "core.slow_laps",
    "pit_cycles": "core.pit_cycles",
}
"""Where the rows of each table of the lake go."""

NO_ENTRY_NEEDED: Final = frozenset({"qualifying"})
"""Tables of drivers who may have no entry: they keep the driver's id."""

_UTC: Final = pl.Datetime("us", "UTC")


def _schema(table: str) -> dict[str, pl.DataType]:
    """Give the columns of a contract with the numbers that stand for its keys."""
    columns = {
        name: pl.String() if isinstance(dtype, pl.Enum) else dtype
        for name, dtype in polars_schema(table).items()
    }
    del columns["session_id"]
    if table == "sessions":
        return {"race_id": pl.Int64(), "slug": pl.String(), **columns, "event_key": pl.String()}
    if table == "entries":
        return {"entry_id": pl.Int64(), "race_id": pl.Int64(), **columns}
    if not _is_of_entry(table):
        return {"race_id": pl.Int64(), **columns}
    del columns["driver_id"]
    graded = {"graded_at": _UTC} if table == "driver_metrics" else {}
    return {"entry_id": pl.Int64(), **columns, **graded}


def _key(table: str) -> tuple[str, ...]:
    """Give the primary key of a contract with the numbers that stand for its parts."""
    if table in {"sessions", "entries"}:
        return ("race_id",) if table == "sessions" else ("entry_id",)
    parts = TABLES[table].primary_key()
    if not _is_of_entry(table):
        return ("race_id", *(name for name in parts if name != "session_id"))
    return ("entry_id", *(name for name in parts if name not in {"session_id", "driver_id"}))


def _is_of_entry(table: str) -> bool:
    """Tell whether the rows of a table are of one driver's entry."""
    return "driver_id" in TABLES[table].primary_key() and table not in NO_ENTRY_NEEDED


SCHEMAS: Final[Mapping[str, Mapping[str, pl.DataType]]] = {
    "core.seasons": {"season": pl.Int16()},
    "core.circuits": {"circuit_id": pl.String(), "circuit_name": pl.String()},
    "core.teams": {"team_id": pl.String(), "team_name": pl.String()},
    "core.drivers": {
        "driver_id": pl.String(),
        "driver_name": pl.String(),
        "driver_code": pl.String(),
    },
    **{name: _schema(table) for table, name in TARGETS.items()},
    "public.stints": {
        "entry_id": pl.Int64(),
        "stint_number": pl.Int16(),
        "compound": pl.String(),
        "first_lap": pl.Int16(),
        "last_lap": pl.Int16(),
        "lap_count": pl.Int16(),
        "start_tyre_life_laps": pl.Int16(),
    },
    "public.calendar_events": {
        "season": pl.Int16(),
        "round": pl.Int16(),
        "session_kind": pl.String(),
        "event_name": pl.String(),
        "starts_at": _UTC,
        "status": pl.String(),
        "status_reason": pl.String(),
        "updated_at": _UTC,
        "event_key": pl.String(),
        "attempts": pl.Int32(),
        "last_attempt_at": _UTC,
        "refetch_at": _UTC,
    },
    "config.calibration_profiles": {
        "profile_name": pl.String(),
        "profile_version": pl.Int32(),
        "body": pl.String(),
        "is_active": pl.Boolean(),
        "created_at": _UTC,
    },
    "ops.loads": {
        "race_id": pl.Int64(),
        "data_source": pl.String(),
        "data_hash": pl.String(),
        "loaded_at": _UTC,
    },
}
"""Columns of each table, in order."""

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "core.seasons": ("season",),
    "core.circuits": ("circuit_id",),
    "core.teams": ("team_id",),
    "core.drivers": ("driver_id",),
    **{name: _key(table) for table, name in TARGETS.items()},
    "public.stints": ("entry_id", "stint_number"),
    "public.calendar_events": ("event_key", "session_kind"),
    "config.calibration_profiles": ("profile_name", "profile_version"),
    "ops.loads": ("race_id",),
}
"""Primary key of each table."""


def target_rows(
    frames: Mapping[str, pl.DataFrame],
    hashes: Mapping[str, str],
    races: Mapping[str, int],
    entries: Mapping[tuple[int, str], int],
    now: datetime,
) -> dict[str, pl.DataFrame]:
    """Make the rows of sessions, which keep the numbers that they have.

    Args:
        frames: the tables of `TARGETS`, under contract, of any number of sessions.
        hashes: session → hash of its data.
        races: slug → number, of the sessions that have one.
        entries: number of the session and driver → number, of the entries that have one.
        now: when they are loaded, UTC.

    Returns:
        Frames by the tables whose rows are of one session, columns as in `SCHEMAS`.
    """
    stamp = pl.lit(now, _UTC)
    numbered = _races(frames["sessions"], races)
    keys = _entries(frames["entries"], numbered, entries)
    made = {"core.races": numbered}
    for table, name in TARGETS.items():
        if table == "sessions":
            continue
        if _is_of_entry(table):
            rows = frames[table].join(keys, on=["session_id", "driver_id"])
        else:
            ids = numbered.select("race_id", session_id="slug")
            rows = frames[table].join(ids, on="session_id")
        made[name] = rows.with_columns(graded_at=stamp)
    made["public.stints"] = _stints(made["public.lap_times"])
    made["public.calendar_events"] = numbered.with_columns(
        starts_at="started_at",
        status=pl.lit("ingested"),
        status_reason=pl.lit(None, pl.String),
        updated_at=stamp,
        attempts=pl.lit(0, pl.Int32),
        last_attempt_at=pl.lit(None, _UTC),
        refetch_at=pl.lit(None, _UTC),
    )
    made["ops.loads"] = numbered.with_columns(
        data_hash=pl.col("slug").replace_strict(hashes, return_dtype=pl.String), loaded_at=stamp
    )
    return {
        name: rows.select(pl.col(column).cast(dtype) for column, dtype in SCHEMAS[name].items())
        for name, rows in made.items()
    }


def _races(sessions: pl.DataFrame, known: Mapping[str, int]) -> pl.DataFrame:
    """Number the sessions in order, and name their events.

    An event's key is that of `loaders.events`, of the first session of its round; there is no
    older name that it could be known by.
    """
    ordered = sessions.sort("season", "round", pl.col("session_kind") == "race")
    held_on = pl.coalesce("session_date", pl.col("started_at").dt.date())
    name = pl.col("event_name").str.to_lowercase().str.replace_all("[^a-z0-9]+", "-")
    key = pl.coalesce(
        pl.format("f1-{}", "meeting_key"),
        pl.format("{}-{}-{}", "season", "circuit_id", held_on.dt.to_string("%Y-%m-%d")),
        pl.format("{}-{}", "season", name.str.strip_chars("-")),
    )
    keyed = ordered.with_columns(event_key=key.first().over("season", "round"))
    numbers = [known.get(slug) for slug in ordered["session_id"]]
    return _numbered(keyed, "race_id", numbers, known.values()).rename({"session_id": "slug"})


def _entries(
    entries: pl.DataFrame, races: pl.DataFrame, known: Mapping[tuple[int, str], int]
) -> pl.DataFrame:
    """Number the entries: `session_id`, `driver_id`, `race_id`, `entry_id`."""
    ids = races.select("race_id", session_id="slug")
    keys = entries.select("session_id", "driver_id").join(ids, on="session_id")
    ordered = keys.sort("race_id", "driver_id")
    numbers = [known.get(key) for key in ordered.select("race_id", "driver_id").rows()]
    return _numbered(ordered, "entry_id", numbers, known.values())


def _numbered(
    rows: pl.DataFrame, name: str, numbers: list[int | None], taken: Collection[int]
) -> pl.DataFrame:
    """Add a column of numbers; rows that have none get those after all that are taken."""
    following = count(max(taken, default=0) + 1)
    given = [next(following) if number is None else number for number in numbers]
    return rows.with_columns(pl.Series(name, given, pl.Int64))


def _stints(laps: pl.DataFrame) -> pl.DataFrame:
    """Make stints of the laps that share a number, as `sql/merge/stints.sql` does."""
    lap = pl.col("lap_number")
    return (
        laps.drop_nulls("stint_number")
        .sort("entry_id", "lap_number")
        .group_by("entry_id", "stint_number", maintain_order=True)
        .agg(
            compound=pl.col("compound").drop_nulls().first(),
            first_lap=lap.min(),
            last_lap=lap.max(),
            lap_count=pl.len(),
            start_tyre_life_laps=pl.col("tyre_life_laps").first(),
        )
    )
