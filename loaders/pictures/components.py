"""What each driver's grade is made of: a bar per driver, whose parts add up to the total.

    to the right of zero   weight × score of pace against the car, then of racecraft
    to the left of zero    weight × score of penalties, taken off
    ◆ and its line         the stored total with its 90 % interval

A score that is not known counts as the average and is drawn hollow. Who is not graded has a row
that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl

from engine.tables import NO_START
from engine.v2.grade import SCORED, UNKNOWN_SCORE
from loaders.pictures.drivers import looks
from loaders.pictures.style import (
    FAINT,
    INK,
    TEXT,
    at_x,
    event_title,
    finished,
    key,
    layered,
    note,
    rows,
    source_line,
    table,
)

if TYPE_CHECKING:
    from loaders.pictures.drivers import Look
    from loaders.pictures.frames import RaceFrames

ROW: Final = 24
"""Height of a driver's row, px."""

WIDTH: Final = 410
"""Width of the bars' area, px."""

FILLS: Final = {"consistency": "#1f4e79", "racecraft": "#8db9dd", "penalty": "#c4461a"}
"""Dark, light and middling, so that parts stay apart without hue."""

NAMES: Final = {
    "consistency": "pace against the car",
    "racecraft": "racecraft",
    "penalty": "penalty (taken off)",
}


def contributions(frames: RaceFrames) -> pl.DataFrame:
    """Take totals apart.

    Returns:
        One row per graded driver and component: `driver_id`, `part`, `score` (0..1, null where
        not known), `start` and `end` of its stretch of the bar, and `contribution`; the
        contributions of a driver add up to `total_grade`. No row for who has no total.
    """
    weights = frames.profile.weights
    known = frames.grades.drop_nulls("total_grade")
    parts = [
        known.select(
            "driver_id",
            part=pl.lit(part),
            score=pl.col(f"{part}_score"),
            contribution=(-1.0 if part == "penalty" else 1.0)
            * getattr(weights, part)
            * pl.col(f"{part}_score").fill_null(UNKNOWN_SCORE),
        )
        for part in SCORED
    ]
    order = pl.col("part").replace_strict({name: at for at, name in enumerate(SCORED)})
    end = pl.when(pl.col("part") == "penalty").then("contribution").otherwise(pl.col("reach"))
    return (
        pl.concat(parts)
        .sort("driver_id", order)
        .with_columns(reach=pl.col("contribution").cum_sum().over("driver_id"))
        .with_columns(end=end)
        .with_columns(
            start=pl.when(pl.col("part") == "penalty")
            .then(0.0)
            .otherwise(pl.col("end") - pl.col("contribution"))
        )
        .drop("reach")
    )


def components_picture(frames: RaceFrames) -> alt.LayerChart:
    """Draw what the grades of a session are made of, the best on top.

    Args:
        frames: `loaders.pictures.frames.race_frames`; drivers may lack grades.
    """
    people = looks(frames.entries)
    drivers = _drivers(frames, people)
    height = ROW * max(drivers.height, 1)
    parts = contributions(frames).join(drivers.select("driver_id", "row"), on="driver_id")
    low, high = _domain(parts, drivers)
    x = alt.Scale(domain=[low, high], nice=False, zero=False)
    y = alt.Scale(domain=[drivers.height or 1, 0], nice=False, zero=False)
    layers = [
        *_bars(parts, x, y),
        *_totals(drivers, x, y),
        *_labels(drivers, y),
        *_legend(),
        note(source_line(frames), -64, height + 46),
    ]
    best = drivers.drop_nulls("grade").head(1).to_dicts()
    first = f" Best: {best[0]['name']}, grade {best[0]['grade']:.0f}." if best else ""
    drawn = layered(layers, width=WIDTH, height=height)
    return finished(
        drawn,
        title=f"{event_title(frames)}: what the grades are made of",
        subtitle=[
            "At the right the grade: % of all drives that were worse, with its 90 % interval",
            *([] if best else ["Nobody is graded."]),
        ],
        description=(
            f"Bars of the components of each driver's total in the {event_title(frames)}. "
            f"{drivers['grade'].is_not_null().sum()} of {drivers.height} drivers are graded."
            + first
        ),
    )


def _drivers(frames: RaceFrames, people: dict[str, Look]) -> pl.DataFrame:
    """List who drove, the best grade first, then who is not graded by place."""
    named = pl.DataFrame(
        [(who.driver_id, who.label, who.driver_name, who.colour) for who in people.values()],
        schema={
            "driver_id": pl.String(),
            "label": pl.String(),
            "name": pl.String(),
            "colour": pl.String(),
        },
        orient="row",
    )
    totals = [f"{name}{end}" for name in ("grade", "total_grade") for end in ("", "_low", "_high")]
    no_start = pl.col("status").cast(pl.String).is_in(NO_START)
    interval = [pl.col(name).round(0).cast(pl.Int32) for name in totals[:3]]
    return (
        frames.entries.select("driver_id", "position", "status")
        .join(named, on="driver_id")
        .join(frames.grades.select("driver_id", *totals), on="driver_id", how="left")
        .sort("total_grade", "position", "driver_id", descending=[True, False, False],
              nulls_last=True)
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int32))
        .with_columns(
            said=pl.when(pl.col("grade").is_not_null())
            .then(pl.format("{}  ({}–{})", *interval))
            .when(no_start)
            .then(pl.lit("did not start"))
            .otherwise(pl.lit("not graded"))
        )
    )  # fmt: skip


def _domain(parts: pl.DataFrame, drivers: pl.DataFrame) -> tuple[float, float]:
    """Ends of the axis: all bars and intervals, at least −0.1 to 1."""
    lows = [-0.1, *parts["end"], *drivers["total_grade_low"].drop_nulls()]
    highs = [1.0, *parts["end"], *drivers["total_grade_high"].drop_nulls()]
    return min(lows) - 0.01, max(highs)


def _bars(parts: pl.DataFrame, x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    known = pl.col("score").is_not_null()
    axis = alt.Axis(title="contribution to the total (0 to 1)", tickCount=6, format=".1f")
    placed = parts.with_columns(
        top=pl.col("row") + 0.22,
        bottom=pl.col("row") + 0.78,
        fill=pl.when(known).then(pl.col("part").replace_strict(FILLS)).otherwise(pl.lit("#ffffff")),
        edge=pl.col("part").replace_strict(FILLS, return_dtype=pl.String()),
    )
    bars = (
        alt.Chart(rows(placed))
        .mark_rect(strokeWidth=1.2)
        .encode(
            x=alt.X("start:Q", scale=x, axis=axis),
            x2="end:Q",
            y=alt.Y("top:Q", scale=y, axis=None),
            y2="bottom:Q",
            fill=alt.Fill("fill:N", scale=None),
            stroke=alt.Stroke("edge:N", scale=None),
        )
    )
    zero = (
        alt.Chart(table([{"x": 0}]))
        .mark_rule(color=INK, strokeWidth=1)
        .encode(x=alt.X("x:Q", scale=x))
    )
    return [bars, zero]


def _totals(drivers: pl.DataFrame, x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    graded = rows(
        drivers.drop_nulls("total_grade").select(
            "driver_id", "total_grade", "total_grade_low", "total_grade_high",
            middle=pl.col("row") + 0.5,
        )
    )  # fmt: skip
    at = alt.Y("middle:Q", scale=y)
    line = alt.Chart(graded).encode(
        x=alt.X("total_grade_low:Q", scale=x), x2="total_grade_high:Q", y=at
    )
    point = alt.Chart(graded).encode(x=alt.X("total_grade:Q", scale=x), y=at)
    return [
        line.mark_rule(color="#ffffff", strokeWidth=4.5),
        line.mark_rule(color=INK, strokeWidth=1.6),
        point.mark_point(
            shape="diamond", size=80, filled=True, fill=INK, stroke="#ffffff", opacity=1
        ),
    ]


def _labels(drivers: pl.DataFrame, y: alt.Scale) -> list[alt.Chart]:
    """Driver with team colour at the left, grade with interval at the right."""
    data = rows(
        drivers.select(
            "label",
            "said",
            "colour",
            middle=pl.col("row") + 0.5,
            is_graded=~pl.col("grade").is_null(),
        )
    )
    at = alt.Y("middle:Q", scale=y)
    base = alt.Chart(data).encode(y=at)
    ink = alt.when("datum.is_graded").then(alt.value(INK)).otherwise(alt.value(FAINT))
    return [
        base.mark_square(size=110, opacity=1).encode(
            x=at_x(-56), color=alt.Color("colour:N", scale=None)
        ),
        base.mark_text(align="left", fontSize=TEXT, fontWeight="bold").encode(
            x=at_x(-46), text="label:N", color=ink
        ),
        base.mark_text(align="left", fontSize=TEXT).encode(
            x=at_x(WIDTH + 12), text="said:N", color=ink
        ),
    ]


def _legend() -> list[alt.Chart]:
    """Name the parts above the bars."""
    places = {"penalty": -20, "consistency": 104, "racecraft": 240}
    parts = [
        mark for part, x in places.items() for mark in key("square", FILLS[part], NAMES[part], x)
    ]
    return [*parts, *key("diamond", INK, "total with its 90 % interval", 326, size=80)]
