"""From normalized tables to all that model v1 scores, in one lazy plan.

laps ─▶ lap deltas ─▶ car pace ─┬▶ overtakes
         │                      │
         └▶ form ──────────┐    │
pit stops ─▶ strategy ─────┼────┴▶ driver inputs
race control ─▶ penalties ─┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import ENTRY, NO_START, SESSION, polars_schema
from engine.v1.car_pace import car_pace
from engine.v1.form import form
from engine.v1.laps import lap_deltas
from engine.v1.overtakes import overtakes
from engine.v1.penalties import penalty_events, time_losses
from engine.v1.strategy import pit_laps, strategy_events

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACK_DIFFICULTY_SCHEMA: Final = pl.Schema(
    {"circuit_id": pl.String(), "track_difficulty": pl.Float64()}
)
"""One row per circuit: 0 easy to pass, 1 near impossible."""


def derive(
    tables: Mapping[str, pl.LazyFrame], track_difficulty: pl.LazyFrame
) -> dict[str, pl.LazyFrame]:
    """Derive events and driver inputs of any number of sessions.

    Args:
        tables: the frames of `engine.tables.NORMALIZED` by name.
        track_difficulty: `TRACK_DIFFICULTY_SCHEMA`.

    Returns:
        Lazy frames `overtakes`, `strategy_events`, `penalty_events` and `driver_inputs` under
        their contracts. `driver_inputs` has a row for every entry that took the start of a
        session that has laps; of another there is nothing to grade.
    """
    laps, entries = tables["laps"], tables["entries"]
    deltas = lap_deltas(laps)
    pace = car_pace(deltas, entries)
    stops = strategy_events(laps, tables["pit_stops"])
    penalties = penalty_events(tables["race_control"], entries)
    lists = ("lap_deltas_s", "actual_pit_laps", "optimal_pit_laps", "penalty_time_losses_s")
    driver_inputs = (
        entries.filter(~pl.col("status").is_in(NO_START))
        .join(laps.select(*SESSION).unique(), on=SESSION, how="semi")
        .select(*ENTRY)
        .join(pace, on=ENTRY, how="left")
        .join(form(deltas, laps, entries), on=ENTRY, how="left")
        .join(_delta_lists(deltas), on=ENTRY, how="left")
        .join(pit_laps(stops), on=ENTRY, how="left")
        .join(time_losses(penalties), on=ENTRY, how="left")
        .join(_with_clocks(laps), on=ENTRY, how="left")
        .join(_with_messages(tables["race_control"]), on=SESSION, how="left")
        .with_columns(car_track_adjustment_s=pl.lit(None, dtype=pl.Float64))
        .with_columns(pl.col("has_lap_clocks", "has_race_control").fill_null(value=False))
        .with_columns(pl.col(name).fill_null([]) for name in lists)
        .select(polars_schema("driver_inputs").names())
    )
    return {
        "overtakes": overtakes(laps, entries, tables["sessions"], pace, track_difficulty),
        "strategy_events": stops,
        "penalty_events": penalties,
        "driver_inputs": driver_inputs,
    }


def _delta_lists(deltas: pl.LazyFrame) -> pl.LazyFrame:
    """Collect each driver's lap deltas in lap order."""
    return deltas.group_by(ENTRY).agg(lap_deltas_s=pl.col("lap_delta_s").sort_by("lap_number"))


def _with_clocks(laps: pl.LazyFrame) -> pl.LazyFrame:
    """Name the drivers of whom a crossing of the line after lap 1 is known."""
    is_known = (pl.col("lap_number") > 1) & pl.col("lap_end_ms").is_not_null()
    is_timed = ~pl.col("is_generated").fill_null(value=False)
    return laps.filter(is_known & is_timed).select(*ENTRY, has_lap_clocks=True).unique()


def _with_messages(race_control: pl.LazyFrame) -> pl.LazyFrame:
    """Name the sessions whose messages of race control are known."""
    return race_control.select(*SESSION, has_race_control=True).unique()
