"""Which rows of a dump are taken: keys hold, references lead somewhere, values fit the contracts.

A key that stands twice means that the dump itself is broken: it is refused whole. A single row
that cannot be used is left out and counted (`LeftOut`); the rest does not suffer for it. Rows that
only contradict each other, such as a pit stop past the last lap, stay as the source has them.

Where `lap_times` has no row of a race, its laps are taken from `lap_times_from_fastf1`, if the
dump has that table. Its rows that were derived rather than timed (`DERIVED_SOURCES`) are taken as
lap times too, because the archive measures the same: its lap 1 also counts from the lights, and
its laps during a stoppage also contain it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from engine.contract import SHOWN_ROWS
from engine.errors import ContractError
from engine.tables import TABLES
from loaders.providers import ProviderError
from loaders.providers.jolpica_dump import FILES, OPTIONAL_FILES

if TYPE_CHECKING:
    from collections.abc import Mapping

LAPS: Final = "lap_times"
MORE_LAPS: Final = "lap_times_from_fastf1"

TIMED: Final = "ff1"
"""The `source` of a lap in `MORE_LAPS` that has an official time."""

DERIVED_SOURCES: Final = ("ff1_lap1", "ff1_gap")
"""Its other sources: end of lap 1 minus lights out, and difference of two crossing times."""

ENTERED: Final = ("raceId", "driverId")

KEYS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "races": (("raceId",), ("year", "round")),
    "circuits": (("circuitId",),),
    "drivers": (("driverId",), ("driverRef",)),
    "constructors": (("constructorId",), ("constructorRef",)),
    "status": (("statusId",),),
    LAPS: ((*ENTERED, "lap"),),
    MORE_LAPS: ((*ENTERED, "lap"),),
    "pit_stops": ((*ENTERED, "lap"),),
}
"""Columns that together name one row; results have none, for a driver may have had two cars."""

BOUNDS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "results": {
        "number": ("entries", "driver_number"),
        "grid": ("entries", "grid_position"),
        "positionOrder": ("entries", "position"),
        "points": ("entries", "points"),
        "laps": ("entries", "completed_laps"),
        "milliseconds": ("entries", "race_time_ms"),
    },
    LAPS: {
        "lap": ("laps", "lap_number"),
        "position": ("laps", "position"),
        "milliseconds": ("laps", "lap_time_ms"),
    },
    "pit_stops": {
        "lap": ("pit_stops", "lap_number"),
        "milliseconds": ("pit_stops", "pit_lane_time_ms"),
    },
}
"""Table → column → table and column whose contract its values must keep."""

UNKNOWN_BELOW_ONE: Final = ("grid", "position", "positionOrder", "milliseconds")
"""Columns where less than 1 says that the source does not know."""

NO_TIME: Final = "a time below 1 ms is none; the row is taken without it"


class LeftOut(NamedTuple):
    """Rows of one table that were not taken, or not whole, for one reason.

    Attributes:
        table: its name in the dump.
        reason: why, in words.
        rows: how many there are.
        first: the first of them by the ids that name them in the dump, at most `SHOWN_ROWS`.
    """

    table: str
    reason: str
    rows: int
    first: tuple[str, ...]


class Usable(NamedTuple):
    """What can be used of a dump.

    Attributes:
        dump: its tables; `lap_times` has the laps of all races, with their `source` or null.
        left_out: what was not taken, by table and reason.
    """

    dump: Mapping[str, pl.DataFrame]
    left_out: tuple[LeftOut, ...]


def usable(dump: Mapping[str, pl.DataFrame], source: str) -> Usable:
    """Take the rows of a dump that can be used.

    Args:
        dump: as `loaders.providers.jolpica_dump.read_dump` gives it.
        source: where it comes from, for messages.

    Raises:
        ContractError: a key stands twice.
        ProviderError: there are no results.
    """
    for name, keys in KEYS.items():
        for key in keys if name in dump else ():
            _check_key(name, dump[name], key, source)
    left_out: list[LeftOut] = []
    results = {
        name: _sift(name, dump[name].pipe(_with_names, dump, day), _unnamed(), left_out)
        for name, day in (("results", "date"), ("sprint_results", "sprint_date"))
    }
    entered = pl.concat(results.values()).select(ENTERED).unique()
    if entered.is_empty():
        raise ProviderError(
            f"{source}: there is no result in it that can be used.\n"
            "Nothing was loaded. Check that the tables races, drivers, constructors and results "
            "are of one dump."
        )
    in_race = results["results"].select(ENTERED).unique()
    used = {
        name: _sift(name, _mark(dump[name], in_race, "is_entered"), _stranger(), left_out)
        for name in (LAPS, "pit_stops")
    }
    more = _more_laps(dump, in_race, left_out)
    used[LAPS] = pl.concat([used[LAPS], more], how="diagonal")
    held = dump["races"].join(entered, on="raceId", how="semi")
    return Usable({**dump, **results, **used, "races": held}, tuple(left_out))


def lap_sources(dump: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Say where each Grand Prix has its laps from.

    Args:
        dump: as `usable` gives it.

    Returns:
        One row per race with laps: `season`, `round`, `laps_source` (the table's name), and
        `derived_laps`, how many of them were derived rather than timed.
    """
    is_more = pl.col("source").is_not_null()
    return (
        dump[LAPS]
        .join(dump["races"].select("raceId", season="year", round="round"), on="raceId")
        .group_by("season", "round")
        .agg(
            laps_source=pl.when(is_more.any()).then(pl.lit(MORE_LAPS)).otherwise(pl.lit(LAPS)),
            derived_laps=(is_more & (pl.col("source") != TIMED)).sum().cast(pl.Int64),
        )
    )


def _check_key(table: str, frame: pl.DataFrame, key: tuple[str, ...], source: str) -> None:
    """See that no key stands twice.

    Raises:
        ContractError: one does; the text names the first.
    """
    twice = frame.filter(pl.struct(key).is_duplicated())
    if not twice.is_empty():
        raise ContractError(
            f"{table}: {twice.height} rows from {source} share their key {', '.join(key)}\n"
            + "\n".join(f"  {text}" for text in _texts(twice.unique(key, maintain_order=True), key))
            + "\nNothing was loaded. Take a whole dump of one day."
        )


def _with_names(results: pl.DataFrame, dump: Mapping[str, pl.DataFrame], day: str) -> pl.DataFrame:
    """Add to results whether their race, its day, their driver and team are known."""
    races = dump["races"]
    marked = _mark(results, races.select("raceId"), "has_race")
    marked = _mark(marked, races.filter(pl.col(day).is_not_null()).select("raceId"), "has_day")
    marked = _mark(marked, dump["drivers"].select("driverId"), "has_driver")
    return _mark(marked, dump["constructors"].select("constructorId"), "has_team")


def _unnamed() -> dict[str, pl.Expr]:
    """Why a result is not taken: reason → which rows."""
    return {
        "its race is not in races": ~pl.col("has_race"),
        "its race has no date": ~pl.col("has_day"),
        "its driver is not in drivers": ~pl.col("has_driver"),
        "its constructor is not in constructors": ~pl.col("has_team"),
    }


def _stranger() -> dict[str, pl.Expr]:
    """Why a lap or stop is not taken: reason → which rows."""
    return {"its driver is not entered in the race": ~pl.col("is_entered")}


def _more_laps(
    dump: Mapping[str, pl.DataFrame], in_race: pl.DataFrame, left_out: list[LeftOut]
) -> pl.DataFrame:
    """Take the laps of races of which `lap_times` has none, with their `source`, never null."""
    if MORE_LAPS not in dump:
        return pl.DataFrame(schema=OPTIONAL_FILES[MORE_LAPS])
    timed = dump[LAPS].select("raceId").unique()
    marked = _mark(_mark(dump[MORE_LAPS], in_race, "is_entered"), timed, "has_laps")
    reasons = {f"its race has laps in {LAPS}": pl.col("has_laps"), **_stranger()}
    more = _sift(MORE_LAPS, marked, reasons, left_out)
    return more.with_columns(pl.col("source").fill_null("unknown"))


def _mark(frame: pl.DataFrame, known: pl.DataFrame, name: str) -> pl.DataFrame:
    """Add a column that says which rows are named by `known`; a null id names nothing."""
    marked = known.with_columns(pl.lit(value=True).alias(name))
    joined = frame.join(marked, on=known.columns, how="left", maintain_order="left")
    return joined.with_columns(pl.col(name).fill_null(value=False))


def _sift(
    table: str, marked: pl.DataFrame, reasons: Mapping[str, pl.Expr], left_out: list[LeftOut]
) -> pl.DataFrame:
    """Take the rows against which nothing speaks, in the dump's columns; report the others.

    Args:
        table: its name in the dump.
        marked: the table with what `reasons` read.
        reasons: reason → which rows it is true of; the first that is true counts.
        left_out: is added to.
    """
    likened = {"sprint_results": "results", MORE_LAPS: LAPS}.get(table, table)
    faults = {**reasons, **_misfits(likened)}
    reason = pl.coalesce(pl.when(is_fault).then(pl.lit(text)) for text, is_fault in faults.items())
    told = marked.with_columns(reason=reason)
    taken = told.filter(pl.col("reason").is_null())
    refused = told.filter(pl.col("reason").is_not_null())
    names = [name for name in (*ENTERED, "lap") if name in FILES[likened]]
    for (text,), rows in refused.group_by("reason", maintain_order=True):
        left_out.append(LeftOut(table, str(text), rows.height, _texts(rows, names)))
    timeless = taken.filter(pl.col("milliseconds") < 1)
    if not timeless.is_empty():
        left_out.append(LeftOut(table, NO_TIME, timeless.height, _texts(timeless, names)))
    return taken.select({**FILES, **OPTIONAL_FILES}[table].names())


def _misfits(table: str) -> dict[str, pl.Expr]:
    """Why a row does not fit the contracts: reason → which rows."""
    found: dict[str, pl.Expr] = {}
    for name, (of_table, of_column) in BOUNDS[table].items():
        known = pl.when(pl.col(name) >= 1).then(name)
        value = known if name in UNKNOWN_BELOW_ONE else pl.col(name)
        rules = TABLES[of_table].columns()[of_column].validation_rules(value)
        for rule, keeps in rules.items():
            found[f"{name} breaks the rule {rule} of {of_table}.{of_column}"] = ~keeps
    return found


def _texts(frame: pl.DataFrame, names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Write the first rows' ids as ``raceId=1 driverId=2``."""
    rows = frame.select(names).head(SHOWN_ROWS).to_dicts()
    return tuple(" ".join(f"{name}={value}" for name, value in row.items()) for row in rows)
