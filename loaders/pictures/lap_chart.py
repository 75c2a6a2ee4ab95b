"""A race lap by lap: places, stops with the tyre fitted, passes, safety cars, and the grades.

    a line per driver      the team's colour; team-mates solid and dashed; labelled at both ends
    a lettered disc        the tyre fitted at a stop: S, M, H, I, W; P where it is not known
    a small triangle       a pass on track that racecraft counts
    a cross                the end of a drive that was not finished
    shaded laps            safety car, virtual safety car or red flag, named above

At the right stand the official order and the grades; a thin line leads from the last lap there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl

from loaders.pictures import lap_rows
from loaders.pictures.drivers import looks
from loaders.pictures.labels import spread
from loaders.pictures.palette import DASHES, text_on
from loaders.pictures.style import (
    GRID,
    INK,
    SMALL,
    TEXT,
    at_x,
    at_y,
    event_title,
    finished,
    key,
    layered,
    note,
    rows,
    source_line,
)

if TYPE_CHECKING:
    from loaders.pictures.drivers import Look
    from loaders.pictures.frames import RaceFrames

ROW: Final = 26
"""Height of a place, px."""

WIDTH: Final = 460
"""Width of the laps' area, px."""

LEAD: Final = 14
"""From the last lap to the labels at the right, px."""

SHADES: Final = {"SC": "#f3dfa2", "VSC": "#faf1d3", "RED": "#f2b8b0"}
"""Fill of neutralized laps."""

NAME_WIDTH: Final = 30
"""Width of the name of a neutralization, px."""


def lap_chart_picture(frames: RaceFrames) -> alt.LayerChart:
    """Draw the places of a session by lap.

    Args:
        frames: `loaders.pictures.frames.race_frames`; laps, stops and grades may be lacking.
    """
    people = looks(frames.entries)
    drivers = _looked(lap_rows.drivers(frames), people)
    line = _looked(lap_rows.places(frames), people)
    last_lap = max([1, *line["lap_number"]])
    depth = max([drivers.height, 1, *line["position"].drop_nulls()])
    x = alt.Scale(domain=[0, last_lap], nice=False, zero=False)
    y = alt.Scale(domain=[depth + 0.5, 0.5], nice=False, zero=False)
    height = ROW * depth
    stretches = lap_rows.neutralized(frames)
    layers = [
        *_shades(stretches, last_lap, height, x),
        *_lines(line, x, y),
        *_marks(frames, x, y),
        *_ends(frames, people, last_lap, x, y),
        *_labels(drivers, y),
        *_legend(height),
        note(source_line(frames), -44, height + 70),
    ]
    drawn = layered(layers, width=WIDTH, height=height)
    told = "at the right the official order and the grade (0 to 100)"
    lacking = [] if stretches is not None else ["Safety cars and flags are not known."]
    if frames.laps.is_empty():
        lacking = ["No laps are known."]
    return finished(
        drawn,
        title=f"{event_title(frames)}: lap by lap",
        subtitle=[f"Place at the end of each lap; {told}", *lacking],
        description=_description(frames, drivers, stretches),
    )


def _looked(frame: pl.DataFrame, people: dict[str, Look]) -> pl.DataFrame:
    """Add how each driver is drawn."""
    who = [
        (one.driver_id, one.label, one.colour, one.mate % len(DASHES)) for one in people.values()
    ]
    schema = {"driver_id": pl.String(), "label": pl.String(), "colour": pl.String(),
              "mate": pl.Int64()}  # fmt: skip
    return frame.join(
        pl.DataFrame(who, schema=schema, orient="row"), on="driver_id", maintain_order="left"
    )


def _shades(
    stretches: pl.DataFrame | None, last_lap: int, height: int, x: alt.Scale
) -> list[alt.Chart]:
    """Shade neutralized laps and name them above."""
    if stretches is None or stretches.is_empty():
        return []
    first, last = pl.col("first_lap") - 1, pl.col("last_lap").clip(upper_bound=last_lap)
    shaded = stretches.with_columns(
        start=first, end=last, fill=pl.col("kind").replace_strict(SHADES, return_dtype=pl.String())
    )
    middles = shaded.select((pl.col("start") + pl.col("end")) / 2 * WIDTH / last_lap).to_series()
    moved = spread(middles.to_list(), NAME_WIDTH, WIDTH - NAME_WIDTH / 2)
    shaded = shaded.with_columns(middle=pl.Series(moved, dtype=pl.Float64()) * last_lap / WIDTH)
    base = alt.Chart(rows(shaded))
    return [
        base.mark_rect(opacity=1).encode(
            x=alt.X("start:Q", scale=x),
            x2="end:Q",
            y=at_y(0),
            y2=alt.value(height),
            color=alt.Color("fill:N", scale=None),
        ),
        base.mark_text(fontSize=SMALL, color=INK, fontWeight="bold").encode(
            x=alt.X("middle:Q", scale=x), y=at_y(-7), text="kind:N"
        ),
    ]


def _lines(line: pl.DataFrame, x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    ticks = alt.Axis(title="lap", tickMinStep=1, tickCount=10, grid=True, gridColor=GRID)
    dashes = alt.Scale(domain=list(range(len(DASHES))), range=list(DASHES))
    return [
        alt.Chart(rows(line))
        .mark_line(strokeWidth=2.2, strokeCap="butt", strokeJoin="round")
        .encode(
            x=alt.X("lap_number:Q", scale=x, axis=ticks),
            y=alt.Y("position:Q", scale=y, axis=None),
            detail="driver_id:N",
            color=alt.Color("colour:N", scale=None),
            strokeDash=alt.StrokeDash("mate:O", scale=dashes, legend=None),
        )
    ]


def _ends(
    frames: RaceFrames, people: dict[str, Look], last_lap: int, x: alt.Scale, y: alt.Scale
) -> list[alt.Chart]:
    """Lead finished drives to their place in the official order, and cross the others."""
    ends = _looked(lap_rows.endings(frames), people)
    led = alt.Chart(rows(ends.filter(~pl.col("is_early"))))
    ended = alt.Chart(rows(ends.filter("is_early")))
    margin = last_lap * (1 + (LEAD - 3) / WIDTH)
    to_label = led.transform_calculate(edge=str(margin)).mark_rule(strokeWidth=1)
    cross = ended.mark_point(
        shape="cross", angle=45, size=80, filled=True, opacity=1, strokeWidth=1
    )
    return [
        to_label.encode(
            x=alt.X("lap_number:Q", scale=x),
            x2="edge:Q",
            y=alt.Y("position:Q", scale=y),
            y2="rank:Q",
            color=alt.Color("colour:N", scale=None),
        ),
        cross.encode(
            x=alt.X("lap_number:Q", scale=x),
            y=alt.Y("position:Q", scale=y),
            fill=alt.value(INK),
            stroke=alt.value("#ffffff"),
        ),
    ]


def _marks(frames: RaceFrames, x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    """Passes as triangles, and stops as discs with the letter of the new tyre."""
    made = alt.Chart(rows(lap_rows.passes(frames)))
    stops = lap_rows.stops(frames)
    inks = {fill: text_on(fill) for fill in stops["fill"].unique()}
    ink = pl.col("fill").replace_strict(inks, return_dtype=pl.String())
    stopped = alt.Chart(rows(stops.with_columns(ink=ink)))
    at = {"x": alt.X("lap_number:Q", scale=x), "y": alt.Y("position:Q", scale=y)}
    return [
        made.mark_point(shape="triangle-up", size=60, filled=True, opacity=1, strokeWidth=1).encode(
            **at, fill=alt.value(INK), stroke=alt.value("#ffffff")
        ),
        stopped.mark_point(
            shape="circle", size=165, filled=True, opacity=1, strokeWidth=1.2
        ).encode(**at, fill=alt.Fill("fill:N", scale=None), stroke=alt.value(INK)),
        stopped.mark_text(fontSize=9, fontWeight="bold", dy=0.5).encode(
            **at, text="letter:N", color=alt.Color("ink:N", scale=None)
        ),
    ]


def _labels(drivers: pl.DataFrame, y: alt.Scale) -> list[alt.Chart]:
    """Grid at the left; order and grade at the right."""
    early = pl.col("status").is_in(lap_rows.ENDED_EARLY)
    none = pl.col("status").str.starts_with("did_not")
    named = drivers.with_columns(
        said=pl.when(pl.col("grade").is_not_null())
        .then(pl.col("grade").round(0).cast(pl.Int32).cast(pl.String))
        .otherwise(pl.lit("–")),
        ending=pl.when(none)
        .then(pl.lit(" dns"))
        .when(pl.col("status") == "disqualified")
        .then(pl.lit(" dsq"))
        .when(early)
        .then(pl.lit(" ret"))
        .otherwise(pl.lit("")),
    ).with_columns(right=pl.format("{}  {}{}", "rank", "label", "ending"))
    right = alt.Chart(rows(named)).encode(y=alt.Y("rank:Q", scale=y))
    left = alt.Chart(rows(named.drop_nulls("start"))).encode(y=alt.Y("start:Q", scale=y))
    code = alt.Color("colour:N", scale=None)
    edge = WIDTH + LEAD
    return [
        left.mark_text(align="right", fontSize=TEXT).encode(x=at_x(-9), text="label:N"),
        right.mark_text(align="left", fontSize=TEXT).encode(x=at_x(edge), text="right:N"),
        right.mark_square(size=70, opacity=1).encode(x=at_x(edge + 78), color=code),
        right.mark_text(align="right", fontSize=TEXT, fontWeight="bold").encode(
            x=at_x(edge + 106), text="said:N"
        ),
        note("grid", -9, -14, align="right"),
        note("order", edge, -14),
        note("grade", edge + 106, -14, align="right"),
    ]


def _legend(height: int) -> list[alt.Chart]:
    """Explain the marks below the laps."""
    y = height + 52
    return [
        *key(
            "circle",
            "#ffffff",
            "stop, letter: new tyre",
            -36,
            y,
            size=120,
            stroke=INK,
            strokeWidth=1.2,
        ),
        *key("triangle-up", INK, "pass on track", 116, y, size=60),
        *key("cross", INK, "retired", 222, y, size=95, angle=45),
        note("team-mates: solid, dashed", 300, y - 5, color=INK),
    ]


def _description(frames: RaceFrames, drivers: pl.DataFrame, stretches: pl.DataFrame | None) -> str:
    """Say what a reader of the picture sees first."""
    names = [row["label"] for row in drivers.head(3).to_dicts()]
    told = [
        f"Places by lap of {drivers.height} drivers in the {event_title(frames)}.",
        f"First in the official order: {', '.join(names)}." if names else "",
    ]
    told += [
        f"{row['kind']} on laps {row['first_lap']} to {row['last_lap']}."
        for row in ([] if stretches is None else stretches.to_dicts())
    ]
    return " ".join(filter(None, told))
