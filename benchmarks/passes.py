"""How the passes of model v2 compare with independent records of the 2023 season.

    DRIVEGRADE_REALDATA=… python -m benchmarks.passes LAKE

LAKE holds the season, graded under model v2. Compared per driver and race are its passes on track
(`pass_events` with `is_passed`) with

    official     overtakes as the official fantasy game counts them
    chart        swaps from line to line in the FIA's lap charts, pit windows left out
                 (neither car pits on the lap before, on it, or after)

by Spearman over all driver-races and by the ratio of the sums. Below come the ten races in which
model and official count agree least, with what the difference is made of:

    lap 1        places gained on lap 1, summed over those who gained; no lap at risk
    in pits      swaps of the charts within pit windows
    neutral      lap numbers of the race on which no car's lap was green
    stops        stops of all cars
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.race_truth import (
    SEASON,
    correlation,
    lap_charts,
    line_swaps,
    official_counts,
)
from benchmarks.realdata import folder
from engine.tables import ENTRY, SESSION
from engine.v2.clean_laps import clean_laps, is_green
from loaders import lake

TABLES: Final = ("sessions", "entries", "laps", "pit_stops", "pass_events")
WORST: Final = 10

Frames = dict[str, pl.DataFrame]


def read(path: Path) -> Frames:
    """Read the Grands Prix of the season that have passes under model v2."""
    seen = lake.snapshot(path)
    races = seen.scan("sessions", [SEASON]).filter(pl.col("session_kind") == "race")
    tables = {
        name: seen.scan(name, [SEASON]).join(races.select(SESSION), on=SESSION, how="semi")
        for name in TABLES
    }
    found = {name: plan.collect() for name, plan in tables.items()}
    found["pass_events"] = found["pass_events"].filter(
        pl.col("profile_name") == "v2", pl.col("model_version") == "v2"
    )
    return found


def passes(events: pl.DataFrame) -> pl.DataFrame:
    """Count the passes on track: one row per driver-race with any, `passes`."""
    return events.filter("is_passed").group_by(ENTRY).agg(passes=pl.len())


def charted(tables: Frames, charts: pl.DataFrame) -> Frames:
    """Give the laps the positions of the charts; laps that no chart lists go."""
    cars = tables["entries"].select(*ENTRY, "driver_number")
    places = charts.join(cars, on=[*SESSION, "driver_number"]).select(
        *ENTRY, "lap_number", position="chart_position"
    )
    laps = tables["laps"].drop("position").join(places, on=[*ENTRY, "lap_number"])
    return {**tables, "laps": laps}


def by_race(
    tables: Frames, official: pl.DataFrame, ours: pl.DataFrame, chart: Frames
) -> pl.DataFrame:
    """Compare race by race: one row each, worst agreement first."""
    counts = official.join(ours, on=ENTRY, how="left").with_columns(
        pl.col("passes").fill_null(0), pl.col("official").cast(pl.Int64)
    )
    agreement = counts.group_by(SESSION).agg(
        pl.corr("official", "passes", method="spearman").alias("rho"),
        pl.col("official", "passes").sum(),
    )
    everywhere, outside = (
        line_swaps(chart, pit_windows=windows).group_by(SESSION).agg(pl.col("passes").sum())
        for windows in (False, True)
    )
    swaps = everywhere.join(outside, on=SESSION, how="left", suffix="_outside").select(
        *SESSION,
        chart="passes_outside",
        in_pits=pl.col("passes") - pl.col("passes_outside"),
    )
    gain = pl.col("grid_position").cast(pl.Int32) - pl.col("position_lap_1")
    first = tables["laps"].filter(pl.col("lap_number") == 1)
    starts = (
        tables["entries"]
        .select(*ENTRY, "grid_position")
        .join(first.select(*ENTRY, position_lap_1=pl.col("position").cast(pl.Int32)), on=ENTRY)
        .group_by(SESSION)
        .agg(lap_1=gain.clip(lower_bound=0).sum())
    )
    stops = tables["pit_stops"].group_by(SESSION).agg(stops=pl.len())
    return (
        agreement.join(swaps, on=SESSION, how="left")
        .join(starts, on=SESSION, how="left")
        .join(neutral_laps(tables["laps"]), on=SESSION, how="left")
        .join(stops, on=SESSION, how="left")
        .join(tables["sessions"].select(*SESSION, "round", "event_name"), on=SESSION)
        .sort("rho", "round")
        .select(
            "round",
            "event_name",
            pl.col("rho").round(2),
            "official",
            "passes",
            ratio=(pl.col("passes") / pl.col("official")).round(2),
            chart="chart",
            lap_1="lap_1",
            in_pits="in_pits",
            neutral="neutral",
            stops="stops",
        )
    )


def neutral_laps(laps: pl.DataFrame) -> pl.DataFrame:
    """Count the lap numbers after the first on which nobody's lap was green."""
    return (
        clean_laps(laps.lazy())
        .filter(pl.col("lap_number") > 1)
        .group_by(*SESSION, "lap_number")
        .agg(is_raced=is_green().any())
        .group_by(SESSION)
        .agg(neutral=(~pl.col("is_raced")).sum())
        .collect()
    )


def main() -> None:
    """Print the agreement over the season, then the races that agree least."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("lake", type=Path)
    tables, realdata = read(arguments.parse_args().lake), folder()
    official = official_counts(realdata, tables)
    chart = charted(tables, lap_charts(realdata, tables["sessions"]))
    outside = line_swaps(chart, pit_windows=True)
    ours = passes(tables["pass_events"])
    of_chart = tables["entries"].select(ENTRY).join(outside, on=ENTRY, how="left")
    of_chart = of_chart.select(*ENTRY, official=pl.col("passes").fill_null(0))
    print(f"{tables['sessions'].height} races of {SEASON}, passes of model v2 against")
    for name, record in (("official", official), ("chart", of_chart)):
        rho, total = correlation(record, ours)
        counted = int(record["official"].sum())
        print(
            f"  {name:<9} rho {rho:.3f} over {record.height} driver-races, "
            f"{total} passes for {counted}: ratio {total / counted:.2f}"
        )
    rho, total = correlation(official, outside)
    print(f"  for comparison, chart against official: rho {rho:.3f}, {total} swaps")
    rows = by_race(tables, official, ours, chart)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=140, tbl_hide_dataframe_shape=True):
        print(f"\nThe {WORST} races that agree least with the official count")
        print(rows.head(WORST))
        print("\nThe others")
        print(rows.tail(-WORST))


if __name__ == "__main__":
    main()
