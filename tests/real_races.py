"""Real races recorded in FastF1's cache, for tests marked `realdata`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import SessionKey
from loaders.settings import Settings
from tests.soak import some

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS: Final = {
    SessionKey(2025, 1): "2025/2025-03-16_Australian_Grand_Prix",
    SessionKey(2024, 9): "2024/2024-06-09_Canadian_Grand_Prix",
    SessionKey(2021, 12): "2021/2021-08-29_Belgian_Grand_Prix",
    SessionKey(2024, 8): "2024/2024-05-26_Monaco_Grand_Prix",
    SessionKey(2025, 2): "2025/2025-03-23_Chinese_Grand_Prix",
    SessionKey(2026, 1): "2026/2026-03-08_Australian_Grand_Prix",
    SessionKey(2023, 4): "2023/2023-04-30_Azerbaijan_Grand_Prix",
}
"""Each race with its folder in the cache: rain and six retirements; rain without race control; one
classified lap and half points; a red flag on lap 1; a sprint weekend with three disqualified; 22
cars; the Grand Prix of a sprint weekend without weather."""

RACES: Final = some(tuple(FOLDERS), 3)
"""The races that are tried; all of them in a soak."""


def copy_cache(realdata: Path, target: Path, *races: SessionKey) -> Settings:
    """Copy the HTTP answers and the named races to a private folder; settings that use it."""
    cache = realdata / "fastf1_cache"
    shutil.copy(cache / "fastf1_http_cache.sqlite", target)
    for race in races:
        shutil.copytree(cache / FOLDERS[race], target / FOLDERS[race])
    return Settings(home=target, fastf1_cache_dir=target, offline=True)


def official_classification(realdata: Path, session: SessionKey) -> pl.DataFrame:
    """The classification of the history tables, in the contract's terms, by driver."""
    results = "results" if session.session_kind == "race" else "sprint_results"
    history = {
        name: pl.read_parquet(realdata / "history" / f"{name}.parquet")
        for name in (results, "races", "drivers", "status", "constructors")
    }
    letter, text = pl.col("positionText"), pl.col("status")
    return (
        history[results]
        .join(history["races"].select("raceId", "year", "round"), on="raceId")
        .filter(pl.col("year") == session.season, pl.col("round") == session.round)
        .join(history["drivers"].select("driverId", "driverRef"), on="driverId")
        .join(history["constructors"].select("constructorId", "constructorRef"), on="constructorId")
        .join(history["status"], on="statusId")
        .select(
            driver_id="driverRef",
            team_id="constructorRef",
            position="positionOrder",
            grid_position=pl.when(pl.col("grid") > 0).then("grid"),
            points="points",
            completed_laps="laps",
            race_time_ms=pl.when(letter.str.contains(r"\d")).then("milliseconds"),
            status=pl.when(letter == "D")
            .then(pl.lit("disqualified"))
            .when(letter == "W")
            .then(pl.lit("did_not_start"))
            .when(text == "Finished")
            .then(pl.lit("finished"))
            .when(text.str.starts_with("+"))
            .then(pl.lit("lapped"))
            .otherwise(pl.lit("retired")),
        )
        .sort("driver_id")
    )
