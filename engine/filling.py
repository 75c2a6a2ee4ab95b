"""Filling: what one source lacks of a session is taken from another, and marked.

The base is never overwritten: only nulls, missing laps and empty tables are filled, and what is
filled is counted by table, column and source in `filled_columns`. Rows meet by primary key, so
drivers meet by their id. Ids, names and the session's `data_source` stay the base's.

What must not be mixed:

- Clocks. Every source counts from a zero of its own (FastF1 from the opening of the timing
  stream, OpenF1 from two hours before the scheduled start, Jolpica from lights out), and OpenF1's
  is right to 0.3 s only, while passes hang on hundredths. So clocks of laps and stops are never
  filled; laps and stops that are added have none. Weather, whose key is a clock, is moved by the
  median difference of the two sources' lap ends, if these differ alike (`MAX_CLOCK_SPREAD_MS`).
- Times. A lap time and its sectors are filled if they agree (`TIMES_TOLERANCE_MS`).
- Tyres. Stint, compound, age and freshness of a lap are filled as a whole, where none is known
  and both sources number the driver's stints alike; else the compound alone, where it does not
  contradict the rest of the stint.
- Places. A place or grid slot that somebody has in the base is not given twice. No grid slot next
  to a start from the pit lane, and no race time of a car that is not classified.
- Opinions. What a source says of its own timing (`JUDGED`) holds for its own rows only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.completeness import MEASURED
from engine.tables import ENTRY, LAP, MAX_SESSION_MS, NO_START, SESSION, TABLES, polars_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OTHER: Final = "_of_other"
"""Suffix of the other source's columns."""

SIMULATED: Final = "simulated"
"""Source whose sessions never happened: nothing of it meets anything real."""

TIMES_TOLERANCE_MS: Final = 3
"""Three sectors, each rounded to 1 ms, may differ from their lap by this."""

MAX_CLOCK_SPREAD_MS: Final = 1000
"""The middle half of the clock differences must lie within this; else the clocks are no clocks."""

MAX_DAYS_APART: Final = 1
"""Two sources' dates of one session differ by a time zone; further apart they are two races."""

SECTORS: Final = ("sector1_time_ms", "sector2_time_ms", "sector3_time_ms")
TYRES: Final = ("stint_number", "compound", "tyre_life_laps", "is_fresh_tyre")
CLOCKS: Final[Mapping[str, tuple[str, ...]]] = {
    "laps": ("lap_start_ms", "lap_end_ms"),
    "pit_stops": ("pit_in_ms", "pit_out_ms"),
}
"""Columns that count from a source's own zero, by table."""

JUDGED: Final = ("is_personal_best", "is_accurate", "is_generated")
"""Columns of laps in which a source judges its own timing."""

FREE: Final = (
    "speed_trap_1_kph",
    "speed_trap_2_kph",
    "speed_trap_line_kph",
    "speed_trap_straight_kph",
    "position",
    "is_in_lap",
    "is_out_lap",
    "track_status",
    "is_deleted",
)
"""Columns of laps that contradict no other column."""


def fill(
    base: Mapping[str, pl.LazyFrame], other: Mapping[str, pl.LazyFrame]
) -> dict[str, pl.LazyFrame]:
    """Fill the gaps of sessions from another source.

    Args:
        base: the tables of `engine.tables.NORMALIZED`, and `filled_columns` if other sources
            have filled it before; any number of sessions.
        other: the same tables of the other source. Sessions that the base lacks, that are
            simulated on one side only, or whose dates differ by more than a day are left out.

    Returns:
        The base's tables under contract, sorted by key, with `filled_columns`: a filled cell
        counts under its column, a filled row under each of its columns that is known, the ids of
        session and driver aside. Qualifying stays as it is: it has one source for all.
    """
    sources = _sources(base["sessions"], other["sessions"])
    theirs = {name: other[name].join(sources, on=SESSION, how="semi") for name in MEASURED}
    entries = _entries(base["entries"], theirs["entries"])
    filled = {
        "entries": entries,
        "laps": _laps(base["laps"], theirs["laps"], entries),
        "pit_stops": _pit_stops(base["pit_stops"], theirs["pit_stops"], entries),
        "race_control": pl.concat(
            [base["race_control"], _of_empty(base["race_control"], theirs["race_control"])]
        ),
        "weather": pl.concat(
            [
                base["weather"],
                _of_empty(base["weather"], theirs["weather"]).pipe(
                    _moved, _clock_differences(base["laps"], theirs["laps"])
                ),
            ]
        ),
    }
    marks = [_marks(name, base[name], after, sources) for name, after in filled.items()]
    marks += [base["filled_columns"]] if "filled_columns" in base else []
    key = TABLES["filled_columns"].primary_key()
    filled["filled_columns"] = pl.concat(marks).group_by(key).agg(pl.col("filled_rows").sum())
    return {
        **base,
        **{name: after.sort(TABLES[name].primary_key()) for name, after in filled.items()},
    }


def on_clock_of(
    base_laps: pl.LazyFrame, other: Mapping[str, pl.LazyFrame]
) -> dict[str, pl.LazyFrame]:
    """Put a source's laps and stops on the clock of the base, so that they can be compared.

    Clocks move by the median difference of lap ends, in ms; they stay where that is not known.
    """
    differences = _clock_differences(base_laps, other["laps"])
    moved = {
        name: other[name]
        .join(differences, on=SESSION, how="left")
        .with_columns(pl.col(clocks) + pl.col("difference_ms").fill_null(0))
        .select(polars_schema(name).names())
        for name, clocks in CLOCKS.items()
    }
    return {**other, **moved}


def _sources(base: pl.LazyFrame, other: pl.LazyFrame) -> pl.LazyFrame:
    """Say which sessions may be filled: `session_id`, and `data_source` of the other."""
    days = (pl.col("session_date") - pl.col(f"session_date{OTHER}")).dt.total_days().abs()
    is_simulated, is_too = (pl.col(f"data_source{end}") == SIMULATED for end in ("", OTHER))
    return (
        base.join(other, on=SESSION, suffix=OTHER)
        .filter(is_simulated == is_too, (days <= MAX_DAYS_APART).fill_null(value=True))
        .select(*SESSION, data_source=f"data_source{OTHER}")
    )


def _of_empty(base: pl.LazyFrame, other: pl.LazyFrame) -> pl.LazyFrame:
    """Give the other's rows of the sessions of which the base has none."""
    return other.join(base, on=SESSION, how="anti")


def _theirs(column: str) -> pl.Expr:
    return pl.col(f"{column}{OTHER}")


def _filled(*columns: str) -> list[pl.Expr]:
    """Take each column from the base, else from the other."""
    return [pl.coalesce(column, _theirs(column)) for column in columns]


def _filled_where(condition: pl.Expr, *columns: str) -> list[pl.Expr]:
    """Take each column from the other where the condition holds, else from the base."""
    return [pl.when(condition).then(_theirs(name)).otherwise(name).alias(name) for name in columns]


def _untaken(
    joined: pl.LazyFrame, base: pl.LazyFrame, place: str, within: Sequence[str]
) -> pl.LazyFrame:
    """Forget the other's places that somebody has in the base already."""
    taken = base.select(*within, pl.col(place).alias(f"{place}{OTHER}")).drop_nulls().unique()
    marked = taken.with_columns(is_taken=pl.lit(value=True))
    return (
        joined.join(marked, on=[*within, f"{place}{OTHER}"], how="left")
        .with_columns(pl.when(pl.col("is_taken").is_null()).then(_theirs(place)).name.keep())
        .drop("is_taken")
    )


def _entries(base: pl.LazyFrame, other: pl.LazyFrame) -> pl.LazyFrame:
    """Fill the classification of the drivers that both have."""
    start = ("grid_position", "is_pit_lane_start")
    no_start_known = pl.all_horizontal(pl.col(start).is_null())
    is_classified = pl.coalesce("is_classified", _theirs("is_classified"))
    race_time_ms = pl.when(is_classified).then(_theirs("race_time_ms"))
    return (
        base.join(other, on=ENTRY, how="left", suffix=OTHER)
        .pipe(_untaken, base, "position", SESSION)
        .pipe(_untaken, base, "grid_position", SESSION)
        .with_columns(
            *_filled_where(no_start_known, *start),
            *_filled("position", "points", "completed_laps", "is_classified"),
            race_time_ms=pl.coalesce("race_time_ms", race_time_ms),
        )
        .select(polars_schema("entries").names())
    )


def _laps(base: pl.LazyFrame, other: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Add the laps that the base lacks, and fill all laps that both have."""
    added = _missing_laps(base, other, entries).with_columns(is_added=pl.lit(value=True))
    is_added = pl.col("is_added").is_not_null()
    return (
        pl.concat([base, added], how="diagonal")
        .join(other, on=LAP, how="left", suffix=OTHER)
        .pipe(_untaken, base, "position", [*SESSION, "lap_number"])
        .pipe(_timed)
        .pipe(_with_tyres)
        .with_columns(
            *_filled(*FREE),
            *_filled_where(is_added, *JUDGED),
        )
        .with_columns(
            pl.when("is_deleted").then(*_filled("deleted_reason")).otherwise("deleted_reason")
        )
        .select(polars_schema("laps").names())
    )


def _missing_laps(base: pl.LazyFrame, other: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """List the laps that only the other has, by key, as far as the classification credits them.

    A disqualified driver may be credited with none: his go as far as anybody's.
    """
    credited = pl.col("completed_laps")
    is_out = pl.col("status") == "disqualified"
    limits = entries.filter(~pl.col("status").is_in(NO_START)).select(
        *ENTRY, limit=pl.when(is_out).then(credited.max().over(SESSION)).otherwise(credited)
    )
    return (
        other.join(base, on=LAP, how="anti")
        .join(limits, on=ENTRY)
        .filter((pl.col("lap_number") <= pl.col("limit")).fill_null(value=True))
        .select(LAP)
    )


def _timed(laps: pl.LazyFrame) -> pl.LazyFrame:
    """Fill lap times, then sectors, where they agree."""
    lap_time_ms = pl.when(_agree(_theirs("lap_time_ms"), pl.col(SECTORS))).then(
        _theirs("lap_time_ms")
    )
    all_agree = _agree(pl.col("lap_time_ms"), *_filled(*SECTORS))
    return laps.with_columns(lap_time_ms=pl.coalesce("lap_time_ms", lap_time_ms)).with_columns(
        pl.when(all_agree).then(filled).otherwise(name)
        for name, filled in zip(SECTORS, _filled(*SECTORS), strict=True)
    )


def _agree(lap_ms: pl.Expr, *sectors_ms: pl.Expr) -> pl.Expr:
    """Whether sectors fit into a lap, and make it up if all are known; true of unknown laps."""
    excess_ms = pl.sum_horizontal(*sectors_ms) - lap_ms
    is_whole = pl.all_horizontal(sector.is_not_null() for sector in sectors_ms)
    fits, fills = excess_ms <= TIMES_TOLERANCE_MS, excess_ms >= -TIMES_TOLERANCE_MS
    return (fits & (fills | ~is_whole)).fill_null(value=True)


def _with_tyres(laps: pl.LazyFrame) -> pl.LazyFrame:
    """Fill the tyres of a lap as a whole, or the compound alone."""
    same_stint = (pl.col("stint_number") == _theirs("stint_number")).fill_null(value=True)
    is_unknown = pl.all_horizontal(pl.col(TYRES).is_null()) & same_stint.all().over(ENTRY)
    of_stint = pl.col("compound").sort_by("lap_number").drop_nulls().first()
    fitted = pl.when(pl.col("stint_number").is_not_null()).then(
        of_stint.over(*ENTRY, "stint_number")
    )
    fits = (fitted == _theirs("compound")).fill_null(value=True)
    compound = pl.coalesce("compound", pl.when(is_unknown | fits).then(_theirs("compound")))
    others = [name for name in TYRES if name != "compound"]
    return laps.with_columns(*_filled_where(is_unknown, *others), compound=compound)


def _pit_stops(base: pl.LazyFrame, other: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Fill the durations of the visits that both have, or all visits if the base has none.

    A car is at rest for less time than it is in the pit lane.
    """
    added = _of_empty(base, other).join(entries, on=ENTRY, how="semi").select(LAP)
    lane, rest = "pit_lane_time_ms", "stationary_time_ms"
    lane_ms = pl.when((_theirs(lane) > pl.col(rest)).fill_null(value=True)).then(_theirs(lane))
    rest_ms = pl.when((_theirs(rest) < pl.col(lane)).fill_null(value=True)).then(_theirs(rest))
    return (
        pl.concat([base, added], how="diagonal")
        .join(other, on=LAP, how="left", suffix=OTHER)
        .with_columns(pl.coalesce(lane, lane_ms))
        .with_columns(pl.coalesce(rest, rest_ms))
        .select(polars_schema("pit_stops").names())
    )


def _clock_differences(base: pl.LazyFrame, other: pl.LazyFrame) -> pl.LazyFrame:
    """Say by how much the base's clock is ahead of the other's: `session_id`, `difference_ms`.

    The median over the laps whose end both know; no row where they differ in different ways.
    """
    apart_ms = pl.col("apart_ms")
    spread_ms = apart_ms.quantile(0.75) - apart_ms.quantile(0.25)
    return (
        base.join(other, on=LAP, suffix=OTHER)
        .select(*SESSION, apart_ms=pl.col("lap_end_ms") - _theirs("lap_end_ms"))
        .drop_nulls()
        .group_by(SESSION)
        .agg(difference_ms=apart_ms.median().round().cast(pl.Int32), spread_ms=spread_ms)
        .filter(pl.col("spread_ms") <= MAX_CLOCK_SPREAD_MS)
    )


def _moved(weather: pl.LazyFrame, differences: pl.LazyFrame) -> pl.LazyFrame:
    """Put readings on the base's clock; none before its zero, none where it is not known."""
    return (
        weather.join(differences, on=SESSION)
        .with_columns(pl.col("session_clock_ms") + pl.col("difference_ms"))
        .filter(pl.col("session_clock_ms").is_between(0, MAX_SESSION_MS))
        .select(polars_schema("weather").names())
    )


def _marks(
    name: str, before: pl.LazyFrame, after: pl.LazyFrame, sources: pl.LazyFrame
) -> pl.LazyFrame:
    """Count what is known after filling and was not before: rows of `filled_columns`."""
    key = TABLES[name].primary_key()
    was_there = pl.col("was_there").is_not_null()
    known_before = {
        column: was_there if column in key else was_there & _theirs(column).is_not_null()
        for column in polars_schema(name)
        if column not in ENTRY
    }
    counts = {
        column: (pl.col(column).is_not_null() & ~known).sum().cast(pl.Int32)
        for column, known in known_before.items()
    }
    return (
        after.join(
            before.with_columns(was_there=pl.lit(value=True)), on=key, how="left", suffix=OTHER
        )
        .group_by(SESSION)
        .agg(**counts)
        .unpivot(index=SESSION, variable_name="column_name", value_name="filled_rows")
        .filter(pl.col("filled_rows") > 0)
        .join(sources, on=SESSION)
        .select(
            *SESSION, pl.lit(name).alias("table_name"), "column_name", "data_source", "filled_rows"
        )
    )
