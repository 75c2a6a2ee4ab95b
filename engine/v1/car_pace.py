"""Car pace: what a car is worth against the median car.

    driver = median of the driver's lap_delta_s
    team   = mean of its drivers
    car_base_delta_s = team − median over the session's teams

Seconds a lap, negative is faster. Both cars of a team share one number, so that a driver is not
measured against himself alone.
"""

from __future__ import annotations

import polars as pl

from engine.tables import ENTRY, SESSION


def car_pace(lap_deltas: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Estimate every car's pace in every session.

    Args:
        lap_deltas: one row per clean lap, from `engine.v1.laps`.
        entries: `engine.tables.Entries`.

    Returns:
        One row per entry: the key and `car_base_delta_s` (s); null when no car of the team has
        a clean lap.
    """
    driver = lap_deltas.group_by(ENTRY).agg(driver_delta_s=pl.col("lap_delta_s").median())
    team = (
        entries.join(driver, on=ENTRY)
        .group_by(*SESSION, "team_id")
        .agg(team_delta_s=pl.col("driver_delta_s").mean())
        .with_columns(
            car_base_delta_s=pl.col("team_delta_s") - pl.col("team_delta_s").median().over(*SESSION)
        )
    )
    return entries.join(team, on=[*SESSION, "team_id"], how="left").select(
        *ENTRY, "car_base_delta_s"
    )
