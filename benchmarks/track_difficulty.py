"""Fit how hard it is to pass at each circuit, from exchanges of position in real races.

    rate       = (exchanges + prior) / (car-laps + prior / overall rate)
    difficulty = 1 / (1 + rate / median rate over circuits)

An exchange is a pair of cars that cross the line in opposite order on two successive laps, neither
of them in or out of the pits there; lap 1 is left out. The median circuit gets 0.5, one where
passing is three times as common 0.25. Written to data/calibration/track_difficulty.csv.

    DRIVEGRADE_REALDATA=… python -m benchmarks.track_difficulty
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.realdata import folder

FIRST_SEASON: Final = 2012
"""Passing changed with the rear-wing flap and the tyres of these years; older races say little."""

PRIOR_EXCHANGES: Final = 20.0
"""Exchanges at the overall rate that every circuit is credited with: about a third of a race's."""

OUTPUT: Final = Path(__file__).parent.parent / "data" / "calibration" / "track_difficulty.csv"


def laps(history: Path) -> pl.LazyFrame:
    """Positions per lap with a mark on in- and out-laps: one row per race, driver and lap."""
    columns = ["raceId", "driverId", "lap", "position"]
    timed = pl.concat(
        pl.scan_parquet(history / f"{name}.parquet").select(pl.col(columns).cast(pl.Int32))
        for name in ("lap_times", "lap_times_from_fastf1")
    ).unique(["raceId", "driverId", "lap"], keep="first")
    stops = pl.scan_parquet(history / "pit_stops.parquet").select(
        pl.col("raceId", "driverId", "lap").cast(pl.Int32)
    )
    in_and_out = pl.concat([stops, stops.with_columns(pl.col("lap") + 1)]).unique()
    return timed.join(
        in_and_out.with_columns(in_pit=True), on=["raceId", "driverId", "lap"], how="left"
    ).with_columns(pl.col("in_pit").fill_null(value=False))


def rates(history: Path) -> pl.DataFrame:
    """Count exchanges and car-laps: one row per circuit, `exchanges`, `car_laps`."""
    races = pl.scan_parquet(history / "races.parquet").filter(pl.col("year") >= FIRST_SEASON)
    circuits = pl.scan_parquet(history / "circuits.parquet").select("circuitId", "circuitRef")
    here = races.join(circuits, on="circuitId").select(
        pl.col("raceId").cast(pl.Int32), circuit_id="circuitRef"
    )
    now = laps(history).join(here, on="raceId").filter(~pl.col("in_pit") & (pl.col("lap") > 1))
    before = laps(history).select("raceId", "driverId", pl.col("lap") + 1, before="position")
    cars = now.join(before, on=["raceId", "driverId", "lap"])
    pairs = cars.join(cars, on=["raceId", "circuit_id", "lap"], suffix="_b")
    exchanged = (pl.col("before") > pl.col("before_b")) & (
        pl.col("position") < pl.col("position_b")
    )
    exchanges = pairs.filter(exchanged).group_by("circuit_id").agg(exchanges=pl.len())
    return (
        cars.group_by("circuit_id")
        .agg(car_laps=pl.len(), races=pl.col("raceId").n_unique())
        .join(exchanges, on="circuit_id", how="left")
        .with_columns(pl.col("exchanges").fill_null(0))
        .collect()
    )


def difficulty(counted: pl.DataFrame) -> pl.DataFrame:
    """Turn counts into difficulties: one row per circuit, `circuit_id`, `track_difficulty`."""
    overall = pl.col("exchanges").sum() / pl.col("car_laps").sum()
    rate = (pl.col("exchanges") + PRIOR_EXCHANGES) / (
        pl.col("car_laps") + PRIOR_EXCHANGES / overall
    )
    return (
        counted.with_columns(rate=rate)
        .with_columns(
            track_difficulty=(1 / (1 + pl.col("rate") / pl.col("rate").median())).round(2)
        )
        .sort("circuit_id")
    )


def main() -> None:
    """Fit, print and write the table."""
    fitted = difficulty(rates(folder() / "history"))
    with pl.Config(tbl_rows=-1):
        print(fitted.sort("track_difficulty"))
    fitted.select("circuit_id", "track_difficulty").write_csv(OUTPUT)


if __name__ == "__main__":
    main()
