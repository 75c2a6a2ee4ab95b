"""Who is fast, and who is in a fast car: rating of the driver against the level of the car.

Right is a faster car, up a faster driver, both in % of the lap time, each with its 90 % interval.
Along a dashed line driver and car are together equally fast. Of a session it shows what was known
after it; of a season the driver's rating after the last race and the mean of the car's levels,
with the mean of their errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import altair as alt
import polars as pl

from engine.v2.grade import INTERVAL_Z
from loaders.pictures.drivers import looks
from loaders.pictures.frames import RaceFrames
from loaders.pictures.labels import Box, beside
from loaders.pictures.palette import SHAPES
from loaders.pictures.style import (
    FAINT,
    GRID,
    INK,
    TEXT,
    about_race_or_season,
    finished,
    layered,
    note,
    rows,
    source_line,
    table,
)

if TYPE_CHECKING:
    from loaders.pictures.frames import SeasonFrames

WIDTH: Final = 560
HEIGHT: Final = 520
"""The plane, px."""

LETTER: Final = 9.2
"""Width of a letter of a label, px."""

LABEL_HEIGHT: Final = 14.0
"""Height of a label, px."""

FAR: Final = 18.0
"""Distance from which on a line leads from the mark to its label, px."""

MARGIN_PCT: Final = 0.1
"""Room around the intervals, % of the lap time."""

EMPTY: Final = ((-1.0, 1.0), (-1.0, 1.0))
"""Ends of the axes if nobody is rated, %."""

LINES_PCT: Final = 0.5
"""Distance of the lines of equal pace, % of the lap time."""


def levels(frames: RaceFrames | SeasonFrames) -> pl.DataFrame:
    """Give driver and car, positive is faster.

    Returns:
        One row per rated driver: `driver_id`, `car_pct`, `car_se_pct`, `rating_pct`,
        `rating_se_pct`; standard errors null where not known.
    """
    order = frames.sessions.select("session_id", "season", "round")
    known = frames.evidence.drop_nulls(["rating_pct", "car_pct"])
    return (
        known.join(order, on="session_id")
        .sort("driver_id", "season", "round")
        .group_by("driver_id", maintain_order=True)
        .agg(
            -pl.col("car_pct").mean(),
            pl.col("car_se_pct").mean(),
            pl.col("rating_pct").last(),
            pl.col("rating_se_pct").last(),
        )
    )


def car_plane_picture(frames: RaceFrames | SeasonFrames) -> alt.LayerChart:
    """Draw drivers by their rating and their car's level.

    Args:
        frames: of a race or a season; drivers may lack a rating.
    """
    people = looks(frames.entries)
    found = levels(frames)
    names = pl.DataFrame(
        [(who.driver_id, who.label, who.colour, who.mate % len(SHAPES)) for who in people.values()],
        schema={"driver_id": pl.String(), "label": pl.String(), "colour": pl.String(),
                "mate": pl.Int64()},
        orient="row",
    )  # fmt: skip
    reach = [INTERVAL_Z * pl.col(f"{name}_se_pct").fill_null(0.0) for name in ("car", "rating")]
    placed = found.join(names, on="driver_id", maintain_order="left").with_columns(
        left=pl.col("car_pct") - reach[0],
        right=pl.col("car_pct") + reach[0],
        low=pl.col("rating_pct") - reach[1],
        high=pl.col("rating_pct") + reach[1],
    )
    across, up = _domain(placed, "left", "right"), _domain(placed, "low", "high")
    x = alt.Scale(domain=list(across), nice=False, zero=False)
    y = alt.Scale(domain=list(up), nice=False, zero=False)
    layers = [
        *_equal_pace(across, up, x, y),
        *_drivers(placed, x, y),
        *_labels(placed, _Plane(across, up), x, y),
        note(source_line(frames), -46, HEIGHT + 46),
    ]
    is_race = isinstance(frames, RaceFrames)
    about = about_race_or_season(frames)
    after = "after the race" if is_race else "after the last race; cars by the mean of their races"
    best = placed.sort("rating_pct", "driver_id", descending=[True, False]).head(1)
    who = f" The highest rating: {best['label'].item()}." if best.height else " Nobody is rated."
    drawn = layered(layers, width=WIDTH, height=HEIGHT)
    return finished(
        drawn,
        title=f"{about}: drivers and cars",
        subtitle=[
            f"Ratings {after}; team-mates differ by shape",
            "Bars: 90 % intervals. Dashed: driver and car together equally fast",
        ],
        description=(
            f"Driver rating against car level of {placed.height} drivers, {about}, in % of the "
            f"lap time.{who}"
        ),
    )


def _domain(placed: pl.DataFrame, low: str, high: str) -> tuple[float, float]:
    if placed.is_empty():
        return EMPTY[0]
    ends = [*placed[low], *placed[high]]
    return min(ends) - MARGIN_PCT, max(ends) + MARGIN_PCT


def _equal_pace(
    across: tuple[float, float], up: tuple[float, float], x: alt.Scale, y: alt.Scale
) -> list[alt.Chart]:
    """Lines along which rating and car add up to the same pace."""
    least, most = across[0] + up[0], across[1] + up[1]
    step = LINES_PCT
    while (most - least) / step > 12:
        step *= 2
    levels_pct = [step * number for number in range(int(least // step) + 1, int(most // step) + 1)]
    lines = []
    for level in levels_pct:
        start, end = max(across[0], level - up[1]), min(across[1], level - up[0])
        lines.append({"x": start, "y": level - start, "x2": end, "y2": level - end})
    return [
        alt.Chart(table(lines))
        .mark_rule(strokeDash=[3, 4], color="#c9c9c9", strokeWidth=1)
        .encode(
            x=alt.X(
                "x:Q", scale=x, axis=_axis("car: faster than the average car, % of the lap time")
            ),
            x2="x2:Q",
            y=alt.Y("y:Q", scale=y, axis=_axis("driver: rating, % of the lap time, faster is up")),
            y2="y2:Q",
        )
    ]


def _axis(title: str) -> alt.Axis:
    signed = "datum.value == 0 ? '0' : format(datum.value, '+.1f')"
    return alt.Axis(title=title, grid=True, gridColor=GRID, tickCount=8, labelExpr=signed)


def _drivers(placed: pl.DataFrame, x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    """Intervals and marks."""
    base = alt.Chart(rows(placed)).encode(color=alt.Color("colour:N", scale=None))
    car, driver = alt.X("car_pct:Q", scale=x), alt.Y("rating_pct:Q", scale=y)
    shapes = alt.Scale(domain=list(range(len(SHAPES))), range=list(SHAPES))
    bar: dict[str, Any] = {"opacity": 0.45, "strokeWidth": 1.3}
    return [
        base.mark_rule(**bar).encode(x=alt.X("left:Q", scale=x), x2="right:Q", y=driver),
        base.mark_rule(**bar).encode(x=car, y=alt.Y("low:Q", scale=y), y2="high:Q"),
        base.mark_point(size=85, filled=True, opacity=1).encode(
            x=car,
            y=driver,
            shape=alt.Shape("mate:O", scale=shapes, legend=None),
            stroke=alt.value("#ffffff"),
        ),
    ]


class _Plane(NamedTuple):
    """Where values stand on the paper, and the other way round."""

    across: tuple[float, float]
    up: tuple[float, float]

    def px(self, car_pct: float, rating_pct: float) -> tuple[float, float]:
        """Place of a value, px from the upper left."""
        (left, right), (low, high) = self
        wide = (car_pct - left) / (right - left) * WIDTH
        return wide, (high - rating_pct) / (high - low) * HEIGHT

    def pct(self, x: float, y: float) -> tuple[float, float]:
        """Value at a place."""
        (left, right), (low, high) = self
        return left + x / WIDTH * (right - left), high - y / HEIGHT * (high - low)


def _labels(placed: pl.DataFrame, plane: _Plane, x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    """Codes beside the marks, none over another; a thin line leads to one that is further off."""
    data = placed.to_dicts()
    points = [plane.px(row["car_pct"], row["rating_pct"]) for row in data]
    bars = []
    for row, (px, py) in zip(data, points, strict=True):
        left, top = plane.px(row["left"], row["high"])
        right, bottom = plane.px(row["right"], row["low"])
        bars += [Box(left, py - 1, right, py + 1), Box(px - 1, top, px + 1, bottom)]
    sizes = [(LETTER * len(row["label"]) + 4, LABEL_HEIGHT) for row in data]
    middles = beside(points, sizes, Box(2, 2, WIDTH - 2, HEIGHT - 2), bars)
    drawn = []
    for row, (px, py), (mx, my), (width, _) in zip(data, points, middles, sizes, strict=True):
        near = min(max(px, mx - width / 2), mx + width / 2)
        at_x, at_y = plane.pct(mx, my)
        drawn.append(
            {
                "label": row["label"],
                "x": at_x,
                "y": at_y,
                "near": plane.pct(near, my)[0],
                "from_x": row["car_pct"],
                "from_y": row["rating_pct"],
                "is_far": abs(near - px) + abs(my - py) > FAR,
            }
        )
    return _written(drawn, x, y)


def _written(drawn: list[dict[str, object]], x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    """Write labels on a white edge, so that lines do not strike them out."""
    base = alt.Chart(table(drawn))
    at = {"x": alt.X("x:Q", scale=x), "y": alt.Y("y:Q", scale=y)}
    text = base.mark_text(fontSize=TEXT, fontWeight="bold")
    white = base.mark_text(
        fontSize=TEXT, fontWeight="bold", color="#ffffff", stroke="#ffffff", strokeWidth=3
    )
    return [
        base.transform_filter("datum.is_far")
        .mark_rule(color=FAINT, strokeWidth=0.8)
        .encode(
            x=alt.X("from_x:Q", scale=x),
            x2="near:Q",
            y=alt.Y("from_y:Q", scale=y),
            y2="y:Q",
        ),
        white.encode(**at, text="label:N"),
        text.encode(**at, text="label:N", color=alt.value(INK)),
    ]
