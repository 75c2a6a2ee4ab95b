"""How our positions and passes compare with independent records of the 2023 season.

Positions per lap against the FIA's lap charts: share of the chart's rows that agree, race by race,
and for the rest, whose fault it is:

    after retirement   the chart goes on listing a car past its last classified lap
    not timed          the source has no timed crossing of the car on that lap
    chart vs clock     the chart contradicts the order of the official crossing times
    other              none of these

Passes against the official fantasy game's count of overtakes (Spearman over all driver-races):
on-track passes of ours, plain swaps of position from lap to lap, and swaps outside pit windows
(neither car pits on the lap before, on it, or after).

    DRIVEGRADE_REALDATA=… FASTF1_CACHE_DIR=… DRIVEGRADE_OFFLINE=1 python -m benchmarks.race_truth
"""

from __future__ import annotations

import csv
import re
import unicodedata
from typing import TYPE_CHECKING, Final

import polars as pl
from scipy.stats import spearmanr

from benchmarks.realdata import folder
from engine.tables import ENTRY, NORMALIZED, SESSION, SessionKey
from engine.v1.inputs import derive
from loaders.grading import track_difficulty
from loaders.providers import fastf1
from loaders.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SEASON: Final = 2023
EXPLAINED_BELOW: Final = 0.99


def fetch_season(realdata: Path) -> dict[str, pl.DataFrame]:
    """All Grands Prix of the season as normalized tables."""
    index = pl.read_csv(realdata / "fastf1_index.csv").filter(pl.col("season") == SEASON)
    rounds = index["round"].unique().sort()
    settings = Settings()
    races = [fastf1.fetch(SessionKey(SEASON, number), settings) for number in rounds]
    return {name: pl.concat(race[name] for race in races) for name in NORMALIZED}


def plain_name(text: str, separator: str) -> str:
    """Lower-case ASCII with separators, as the files are named."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z]+", separator, ascii_text).strip(separator)


def lap_charts(realdata: Path, sessions: pl.DataFrame) -> pl.DataFrame:
    """Read the FIA's charts: one row per car and lap, `chart_position`."""
    rows = []
    for session_id, event in sessions.select("session_id", "event_name").iter_rows():
        path = realdata / "fia_lap_charts" / f"{SEASON}_{plain_name(event, '_')}.csv"
        with path.open(encoding="utf-8") as lines:
            for name, *cars in csv.reader(lines):
                if name.startswith("LAP"):
                    lap = int(name.removeprefix("LAP"))
                    rows += [(session_id, lap, int(c), p) for p, c in enumerate(cars, 1) if c]
    columns = ["session_id", "lap_number", "driver_number", "chart_position"]
    return pl.DataFrame(rows, schema=columns, orient="row").cast(
        {"lap_number": pl.Int16, "driver_number": pl.Int16, "chart_position": pl.Int16}
    )


def compare_positions(tables: dict[str, pl.DataFrame], charts: pl.DataFrame) -> pl.DataFrame:
    """Compare chart and laps: one row per race with shares and reasons."""
    cars = tables["entries"].select(*ENTRY, "driver_number", "completed_laps")
    clock = pl.col("lap_end_ms").rank("ordinal").over(*SESSION, "lap_number")
    laps = tables["laps"].select(
        *ENTRY, "lap_number", "position", "is_generated", clock_position=clock
    )
    rows = (
        charts.join(cars, on=[*SESSION, "driver_number"], how="left")
        .join(laps, on=[*ENTRY, "lap_number"], how="left")
        .with_columns(
            agrees=(pl.col("position") == pl.col("chart_position")).fill_null(value=False)
        )
    )
    reason = (
        pl.when("agrees")
        .then(pl.lit("agrees"))
        .when(pl.col("lap_number") > pl.col("completed_laps"))
        .then(pl.lit("after retirement"))
        .when(pl.col("position").is_null())
        .then(pl.lit("not timed"))
        .when(pl.col("clock_position") == pl.col("position"))
        .then(pl.lit("chart vs clock"))
        .otherwise(pl.lit("other"))
    )
    kinds = ("after retirement", "not timed", "chart vs clock", "other")
    return (
        rows.with_columns(reason=reason)
        .group_by(SESSION)
        .agg(
            rows=pl.len(),
            agree=pl.col("agrees").mean().round(4),
            **{kind: (pl.col("reason") == kind).sum() for kind in kinds},
        )
        .join(tables["sessions"].select("session_id", "round", "event_name"), on=SESSION)
        .sort("round")
        .select("round", "event_name", "rows", "agree", *kinds)
    )


def official_counts(realdata: Path, tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Read the official counts: one row per driver-race of the game, `official`."""
    parts = []
    for session_id, event in tables["sessions"].select("session_id", "event_name").iter_rows():
        path = realdata / "official_overtakes" / f"{SEASON}_{plain_name(event, '-')}.csv"
        parts.append(
            pl.read_csv(path).select(
                session_id=pl.lit(session_id), driver_code="code", official="overtakes"
            )
        )
    drivers = tables["entries"].select(*ENTRY, "driver_code")
    return pl.concat(parts).join(drivers, on=[*SESSION, "driver_code"])


def line_swaps(tables: dict[str, pl.DataFrame], *, pit_windows: bool) -> pl.DataFrame:
    """Count plain swaps from lap to lap: one row per driver-race, `passes`."""
    laps = tables["laps"].select(*ENTRY, "lap_number", "position", "is_in_lap", "is_out_lap")
    in_pits = pl.col("is_in_lap").fill_null(value=False) | pl.col("is_out_lap").fill_null(
        value=False
    )
    near_pits = (
        in_pits
        | in_pits.shift(1, fill_value=False).over(*ENTRY, order_by="lap_number")
        | in_pits.shift(-1, fill_value=False).over(*ENTRY, order_by="lap_number")
    )
    before = laps.select(*ENTRY, pl.col("lap_number") + 1, before="position")
    cars = laps.with_columns(near_pits=near_pits).join(before, on=[*ENTRY, "lap_number"])
    if pit_windows:
        cars = cars.filter(~pl.col("near_pits"))
    pairs = cars.join(cars, on=[*SESSION, "lap_number"], suffix="_b")
    swapped = (pl.col("before") > pl.col("before_b")) & (pl.col("position") < pl.col("position_b"))
    return pairs.filter(swapped).group_by(ENTRY).agg(passes=pl.len())


def correlation(official: pl.DataFrame, counted: pl.DataFrame) -> tuple[float, int]:
    """Spearman over all driver-races, and the number of passes counted."""
    joined = official.join(counted, on=ENTRY, how="left").with_columns(
        pl.col("passes").fill_null(0)
    )
    rho = spearmanr(joined["official"], joined["passes"]).statistic
    return float(rho), int(joined["passes"].sum())


def main() -> None:
    """Print positions race by race, then the three correlations."""
    realdata = folder()
    tables = fetch_season(realdata)
    positions = compare_positions(tables, lap_charts(realdata, tables["sessions"]))
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=140, tbl_hide_dataframe_shape=True):
        print(f"Positions per lap against the FIA's lap charts, {SEASON}")
        print(positions)
        print(f"Races below {EXPLAINED_BELOW:.0%}, explained by the columns at the right")
        print(positions.filter(pl.col("agree") < EXPLAINED_BELOW))
    official = official_counts(realdata, tables)
    lazy = {name: frame.lazy() for name, frame in tables.items()}
    events = derive(lazy, track_difficulty())["overtakes"].collect()
    on_track = events.filter(pl.col("kind") == "on_track").group_by(ENTRY).agg(passes=pl.len())
    counts = {
        "on-track passes": on_track,
        "plain position swaps": line_swaps(tables, pit_windows=False),
        "swaps outside pit windows": line_swaps(tables, pit_windows=True),
    }
    print(
        f"Spearman with the official overtakes: {official.height} driver-races, "
        f"{official['official'].sum()} overtakes"
    )
    for name, counted in counts.items():
        rho, total = correlation(official, counted)
        print(f"  {name:<28} rho {rho:.3f}   {total} counted")


if __name__ == "__main__":
    main()
