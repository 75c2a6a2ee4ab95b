"""What a lap chart shows, as rows: places by lap, stops, passes, retirements, neutralized laps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import NO_START
from loaders.pictures.palette import compound_mark

if TYPE_CHECKING:
    from loaders.pictures.frames import RaceFrames

NEUTRALIZED: Final = (("RED", r"5"), ("SC", r"4"), ("VSC", r"[67]"))
"""Kinds of neutralization by the codes of `track_status`, the gravest first."""

ENDED_EARLY: Final = ("retired", "disqualified")

_PLACES: Final = pl.Schema(
    {"driver_id": pl.String(), "lap_number": pl.Int16(), "position": pl.Int16()}
)


def drivers(frames: RaceFrames) -> pl.DataFrame:
    """List the drivers in the official order.

    Returns:
        `driver_id`, `rank` (1, 2, … in the classification, those without a place last),
        `start` (place on the grid, who has none behind those; null if it is not known or the
        driver did not start), `status`, and `grade` (null if not graded).
    """
    ordered = frames.entries.sort("position", "driver_id", nulls_last=True)
    slots = pl.col("grid_position")
    is_behind = slots.is_null() & pl.col("is_pit_lane_start").fill_null(value=False)
    behind = slots.max().fill_null(0) + is_behind.cast(pl.Int16).cum_sum()
    started = ~pl.col("status").cast(pl.String).is_in(NO_START)
    return (
        ordered.with_row_index("rank", offset=1)
        .select(
            "driver_id",
            pl.col("rank").cast(pl.Int16),
            pl.col("status").cast(pl.String),
            start=pl.when(started).then(
                pl.when(slots.is_not_null()).then(slots).when(is_behind).then(behind)
            ),
        )
        .join(frames.grades.select("driver_id", "grade"), on="driver_id", how="left")
    )


def places(frames: RaceFrames) -> pl.DataFrame:
    """Give each driver's place at the end of each lap, and at lap 0 that on the grid.

    Returns:
        `driver_id`, `lap_number`, `position`; a lap whose place is not known is null.
    """
    grid = drivers(frames).select(
        "driver_id", lap_number=pl.lit(0, pl.Int16()), position=pl.col("start").cast(pl.Int16)
    )
    driven = frames.laps.select(_PLACES.names())
    with_laps = grid.join(driven, on="driver_id", how="semi")
    return pl.concat([with_laps.drop_nulls("position"), driven]).sort("driver_id", "lap_number")


def stops(frames: RaceFrames) -> pl.DataFrame:
    """Give tyre changes; where none are known as such, visits to the pit lane.

    Returns:
        `driver_id`, `lap_number` (the in-lap), `position`, `letter` and `fill` of the new tyre.
    """
    season = frames.session.season
    if frames.strategy_events.height:
        found = frames.strategy_events.select(
            "driver_id", pl.col("compound_after").cast(pl.String), lap_number="actual_lap"
        )
    else:
        found = frames.pit_stops.select(
            "driver_id", "lap_number", compound_after=pl.lit(None, pl.String())
        )
    marks = {
        name: compound_mark(name, season) for name in found["compound_after"].unique().to_list()
    }
    letters = {name: letter for name, (letter, _) in marks.items()}
    fills = {name: fill for name, (_, fill) in marks.items()}
    tyre = pl.col("compound_after")
    return (
        found.join(places(frames), on=["driver_id", "lap_number"])
        .drop_nulls("position")
        .select(
            "driver_id",
            "lap_number",
            "position",
            letter=tyre.replace_strict(letters, return_dtype=pl.String()),
            fill=tyre.replace_strict(fills, return_dtype=pl.String()),
        )
        .sort("driver_id", "lap_number")
    )


def passes(frames: RaceFrames) -> pl.DataFrame:
    """Give passes on track that racecraft counts: `driver_id`, `lap_number`, `position` after."""
    return (
        frames.passes.filter("is_passed")
        .select("driver_id", "lap_number")
        .join(places(frames), on=["driver_id", "lap_number"])
        .drop_nulls("position")
        .sort("driver_id", "lap_number")
    )


def endings(frames: RaceFrames) -> pl.DataFrame:
    """Give where the line of each driver ends: `places` of the last lap, and `is_early`."""
    return (
        places(frames)
        .drop_nulls("position")
        .group_by("driver_id")
        .agg(pl.all().sort_by("lap_number").last())
        .join(drivers(frames), on="driver_id")
        .with_columns(is_early=pl.col("status").is_in(ENDED_EARLY))
        .sort("driver_id")
    )


def neutralized(frames: RaceFrames) -> pl.DataFrame | None:
    """Give stretches of laps that were neutralized, as the leader of each lap saw it.

    Returns:
        `kind` (SC, VSC, RED), `first_lap`, `last_lap`, in order; None where no lap tells.
    """
    told = frames.laps.drop_nulls("track_status")
    if told.is_empty():
        return None
    kind = pl.coalesce(
        pl.when(pl.col("track_status").str.contains(codes)).then(pl.lit(name))
        for name, codes in NEUTRALIZED
    )
    return (
        told.sort("lap_number", "position", "driver_id", nulls_last=True)
        .group_by("lap_number", maintain_order=True)
        .first()
        .with_columns(kind=kind)
        .with_columns(stretch=pl.col("kind").rle_id())
        .drop_nulls("kind")
        .group_by("stretch", "kind", maintain_order=True)
        .agg(first_lap=pl.col("lap_number").min(), last_lap=pl.col("lap_number").max())
        .drop("stretch")
    )
