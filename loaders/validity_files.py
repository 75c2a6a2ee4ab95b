"""Files that a proof reads beside the lake: metrics, votes and rankings.

Parquet, or CSV where the name ends so. Other columns than those named are left out. A file that
breaks a rule is refused whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.contract import SHOWN_ROWS
from engine.errors import ContractError
from engine.tables import ENTRY, SESSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

METRIC: Final = pl.Schema(
    {"session_id": pl.String(), "driver_id": pl.String(), "value": pl.Float64()}
)
"""One row per driver and race; `value` null where the metric says nothing."""

VOTES: Final = pl.Schema(
    {
        "year_right": pl.Int16(),
        "round": pl.Int16(),
        "driverNumber": pl.Int16(),
        "position": pl.Int16(),
        "percentage": pl.Float64(),
    }
)
"""Driver of the Day: season, round, car, place in the vote, and share of it in %, if known."""

RANKING: Final = pl.Schema({"season": pl.Int16(), "driver_id": pl.String(), "rank": pl.Float64()})
"""One row per season and driver; 1 is the best, equal ranks are allowed."""


def read_metric(path: Path) -> pl.DataFrame:
    """Read a metric: `METRIC`.

    Raises:
        ContractError: the file cannot be read or is not one; so also for the other readers.
    """
    rows = _read(path, METRIC, key=ENTRY)
    _refuse(path, rows.filter(~pl.col("value").is_finite()), "value is not finite")
    return rows


def read_ranking(path: Path) -> pl.DataFrame:
    """Read somebody's ranking of drivers: `RANKING`."""
    rows = _read(path, RANKING, key=("season", "driver_id"))
    is_rank = (pl.col("rank") >= 1.0) & pl.col("rank").is_finite()
    is_known = pl.all_horizontal(pl.col("season", "driver_id").is_not_null())
    _refuse(path, rows.filter(~is_known.and_(is_rank.fill_null(value=False))), "no rank from 1 on")
    return rows


def read_votes(path: Path, entries: pl.DataFrame) -> pl.DataFrame:
    """Read the votes for the Driver of the Day.

    Args:
        path: file of `VOTES`.
        entries: `engine.tables.Entries`, for who drove which car.

    Returns:
        One row per driver named: `session_id`, `driver_id`, `is_winner`, `vote_share_pct`.
        Races that the entries do not have are left out.
    """
    race = pl.format("{}-{}", "year_right", "round")
    named = _read(path, VOTES, key=("year_right", "round", "driverNumber")).with_columns(
        session_id=race
    )
    found = named.join(entries.select(SESSION).unique(), on=SESSION, how="semi").join(
        entries.select(*ENTRY, driverNumber="driver_number"),
        on=[*SESSION, "driverNumber"],
        how="left",
    )
    _refuse(path, found.filter(pl.col("driver_id").is_null()), "no such car in the race")
    return found.select(
        *ENTRY, is_winner=pl.col("position") == 1, vote_share_pct=pl.col("percentage")
    )


def _read(path: Path, schema: Mapping[str, pl.DataType], key: Sequence[str]) -> pl.DataFrame:
    """Read the columns of a schema; numbers may be written as text."""
    try:
        found = pl.read_csv(path, infer_schema=False) if _is_csv(path) else pl.read_parquet(path)
        rows = found.select(
            pl.col(name).cast(pl.String).str.strip_chars().cast(dtype)
            if found.schema.get(name) == pl.String
            else pl.col(name).cast(dtype)
            for name, dtype in schema.items()
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ContractError(
            f"{path} cannot be read: {str(error).partition(chr(10))[0]}\n"
            f"Nothing was used. Columns needed: {', '.join(schema)}"
        ) from error
    _refuse(path, rows.filter(pl.struct(key).is_duplicated()), f"({', '.join(key)}) repeats")
    return rows


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _refuse(path: Path, broken: pl.DataFrame, rule: str) -> None:
    """Raise if there are rows that break a rule."""
    if broken.is_empty():
        return
    first = (
        "    " + " ".join(f"{name}={value}" for name, value in row.items())
        for row in broken.head(SHOWN_ROWS).to_dicts()
    )
    raise ContractError(
        f"{path}: {rule}: {broken.height} rows\n" + "\n".join(first) + "\nNothing was used."
    )
