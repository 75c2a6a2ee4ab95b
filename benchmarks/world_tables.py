"""Worlds of whole seasons (`benchmarks.worlds`) written as normalized tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from benchmarks.simulator.result import CLASSIFIED_SHARE, RACE_POINTS
from benchmarks.worlds import LAPS, RACES, Driven, World
from engine.contract import conform
from engine.tables import ENTRY, NORMALIZED, SESSION, empty, polars_schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_SEASON: Final = 2015
"""Year of a world's first season."""

COMPOUNDS: Final = ("MEDIUM", "HARD")
"""By number of `benchmarks.worlds.Driven.compound`."""


def world_tables(world: World, driven: Driven) -> dict[str, pl.DataFrame]:
    """Write a world as normalized tables.

    Returns:
        The frames of `engine.tables.NORMALIZED` under contract; race control and weather empty,
        in qualifying the same lap in each part.
    """
    seasons = len(world.seats)
    races = np.arange(seasons * RACES)
    key = pl.DataFrame({"season": FIRST_SEASON + races // RACES, "round": races % RACES + 1})
    sessions = key.with_columns(
        session_id=pl.format("{}-{}", "season", "round"),
        session_kind=pl.lit("race"),
        event_name=pl.format("Grand Prix {}", "round"),
        circuit_id=pl.format("circuit_{}", "round"),
        data_source=pl.lit("simulated"),
        scheduled_laps=pl.lit(LAPS),
    )
    ids = sessions["session_id"]
    made = {
        "sessions": sessions,
        "entries": _entries(world, driven, ids),
        "laps": _laps(world, driven, ids),
        "pit_stops": _pit_stops(world, driven, ids),
        "qualifying": _qualifying(world, driven, ids),
    }
    return {
        name: conform(_filled(made[name], name), name, "a simulated world")
        if name in made
        else empty(name)
        for name in NORMALIZED
    }


def _keys(world: World, ids: pl.Series) -> pl.DataFrame:
    """One row per race and car, in that order."""
    drivers = np.repeat(world.seats, RACES, axis=0)
    races, cars = np.indices(drivers.shape).reshape(2, -1)
    return pl.DataFrame({"race": races, "car": cars, "driver": drivers.ravel()}).select(
        session_id=ids.gather(races),
        driver_id=pl.format("driver_{}", "driver"),
        team_id=pl.format("team_{}", pl.col("car") // 2),
    )


def _entries(world: World, driven: Driven, ids: pl.Series) -> pl.DataFrame:
    """The classification: by laps, then time; who did not run 90 % of the distance last."""
    laps = driven.is_driven.sum(axis=2)
    last = np.take_along_axis(driven.clock_s, np.maximum(laps - 1, 0)[:, :, None], axis=2)[:, :, 0]
    runs = _runs_to_the_flag(driven)
    classified = laps >= int(CLASSIFIED_SHARE * LAPS)
    order = np.lexsort((last, -laps, ~classified), axis=1).argsort(axis=1) + 1
    points = np.concatenate([RACE_POINTS, np.zeros(order.shape[1])])[order - 1]
    status = np.where(runs, np.where(laps == LAPS, "finished", "lapped"), "retired")
    text = np.where(driven.crashed, "Accident", np.where(runs, "Finished", "Engine"))
    time_ms = np.where(runs, np.rint(last * 1000.0), np.nan)
    return _keys(world, ids).with_columns(
        driver_name=pl.col("driver_id"),
        team_name=pl.col("team_id"),
        grid_position=pl.Series(driven.grid.ravel()),
        position=pl.Series(order.ravel()),
        is_classified=pl.Series(classified.ravel()),
        status=pl.Series(status.ravel()),
        status_text=pl.Series(text.ravel()),
        points=pl.Series(np.where(classified, points, 0.0).ravel()),
        completed_laps=pl.Series(laps.ravel()),
        race_time_ms=pl.Series(time_ms.ravel()).fill_nan(None),
        is_pit_lane_start=pl.lit(value=False),
    )


def _runs_to_the_flag(driven: Driven) -> NDArray[np.bool_]:
    """Who was running when the winner finished."""
    finished = np.where(driven.is_driven, driven.clock_s, np.inf)[:, :, -1].min(axis=1)
    last = np.max(np.where(driven.is_driven, driven.clock_s, 0.0), axis=2)
    runs: NDArray[np.bool_] = last >= finished[:, None]
    return runs


def _laps(world: World, driven: Driven, ids: pl.Series) -> pl.DataFrame:
    """One row per lap that was completed."""
    races, cars, laps = np.nonzero(driven.is_driven)
    begun = np.concatenate(
        [np.zeros((*driven.clock_s.shape[:2], 1)), driven.clock_s[:, :, :-1]], axis=2
    )
    end_ms, start_ms = (
        np.rint(clock[races, cars, laps] * 1000.0).astype(np.int64)
        for clock in (driven.clock_s, begun)
    )
    is_in_lap = driven.is_in_lap[races, cars, laps]
    is_out_lap = (laps > 0) & driven.is_in_lap[races, cars, laps - 1]
    stint = 1 + np.cumsum(driven.is_in_lap, axis=2) - driven.is_in_lap
    keys: pl.DataFrame = _keys(world, ids)[races * driven.grid.shape[1] + cars]
    return keys.select(
        *ENTRY,
        lap_number=pl.Series(laps + 1),
        lap_time_ms=pl.Series(end_ms - start_ms),
        lap_start_ms=pl.Series(start_ms),
        lap_end_ms=pl.Series(end_ms),
        is_in_lap=pl.Series(is_in_lap),
        is_out_lap=pl.Series(is_out_lap),
        stint_number=pl.Series(stint[races, cars, laps]),
        compound=pl.Series(np.asarray(COMPOUNDS)[driven.compound[races, cars, laps]]),
        tyre_life_laps=pl.Series(driven.tyre_age_laps[races, cars, laps]),
        track_status=pl.Series(np.where(driven.is_neutral[races, cars, laps], "4", "1")),
    ).with_columns(position=pl.col("lap_end_ms").rank("ordinal").over(*SESSION, "lap_number"))


def _pit_stops(world: World, driven: Driven, ids: pl.Series) -> pl.DataFrame:
    """One row per stop."""
    races, cars, laps = np.nonzero(driven.is_in_lap & driven.is_driven)
    keys: pl.DataFrame = _keys(world, ids)[races * driven.grid.shape[1] + cars]
    return keys.select(*ENTRY, lap_number=pl.Series(laps + 1))


def _qualifying(world: World, driven: Driven, ids: pl.Series) -> pl.DataFrame:
    time_ms = pl.Series(np.rint(driven.qualifying_s.ravel() * 1000.0)).cast(pl.Int32)
    place = pl.Series(driven.grid.ravel()).cast(pl.Int16)
    return _keys(world, ids).select(
        *ENTRY,
        position=place,
        q1_ms=time_ms,
        q2_ms=pl.when(place <= 15).then(time_ms),
        q3_ms=pl.when(place <= 10).then(time_ms),
    )


def _filled(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """Bring a frame to a contract's columns; what the world does not know is null."""
    schema = polars_schema(table)
    return frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in schema.items()
    )
