"""A season at a glance: a cell per driver and round, the darker the better the grade.

Drivers stand by the mean of their grades, the best on top, who has none last. A cell has the grade
in numbers; ``–`` marks who drove and is not graded, ``·`` who was entered and did not start;
empty is who was not entered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl

from engine.tables import ENTRY, NO_START, SESSION
from loaders.pictures.drivers import looks
from loaders.pictures.palette import text_on
from loaders.pictures.style import (
    FAINT,
    INK,
    SMALL,
    TEXT,
    at_x,
    at_y,
    finished,
    layered,
    note,
    rows,
    source_line,
)

if TYPE_CHECKING:
    from loaders.pictures.drivers import Look
    from loaders.pictures.frames import SeasonFrames

ROW: Final = 22
"""Height of a row, px."""

WIDTH: Final = 500
"""Width of the cells' area, px."""

MAX_CELL: Final = 42
"""Width of a cell at most, px."""

SHADES: Final = (
    "#f4f6f8",
    "#e3ebf3",
    "#cfdeed",
    "#b5cee4",
    "#95b9d8",
    "#709fc8",
    "#4d83b5",
    "#2f679f",
    "#184b82",
    "#0b2f5c",
)
"""Fill by grade, one for every ten: light to dark, so that it survives without colour."""

EVENT_LETTERS: Final = 17
"""Letters of an event's name above its column."""


def cells(frames: SeasonFrames) -> pl.DataFrame:
    """Give a row per entry of the season.

    Returns:
        `driver_id`, `session_id`, `column` (0, 1, … by round), `grade` (null if not graded), and
        `said`: the rounded grade, ``–`` for a drive that is not graded, ``·`` for none.
    """
    columns = frames.sessions.sort("round").with_row_index("column")
    no_start = pl.col("status").cast(pl.String).is_in(NO_START)
    grade = pl.col("grade")
    return (
        frames.entries.select(*ENTRY, "status")
        .join(columns.select(*SESSION, pl.col("column").cast(pl.Int32)), on=SESSION)
        .join(frames.grades.select(*ENTRY, "grade"), on=ENTRY, how="left")
        .select(
            "driver_id",
            *SESSION,
            "column",
            "grade",
            said=pl.when(grade.is_not_null())
            .then(grade.round(0).cast(pl.Int32).cast(pl.String))
            .when(no_start)
            .then(pl.lit("·"))
            .otherwise(pl.lit("–")),
        )
        .sort("driver_id", "column")
    )


def standing(frames: SeasonFrames) -> pl.DataFrame:
    """Order the drivers by the mean of their grades.

    Returns:
        `driver_id`, `row` (0 is the best), `mean` (null without a grade), `graded` (drives).
    """
    return (
        cells(frames)
        .group_by("driver_id")
        .agg(mean=pl.col("grade").mean(), graded=pl.col("grade").count().cast(pl.Int32))
        .sort("mean", "driver_id", descending=[True, False], nulls_last=True)
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int32))
    )


def heat_map_picture(frames: SeasonFrames) -> alt.LayerChart:
    """Draw the grades of a season.

    Args:
        frames: `loaders.pictures.frames.season_frames`; drives may lack grades.
    """
    table = standing(frames)
    rounds = max(frames.sessions.height, 1)
    width = min(WIDTH, MAX_CELL * rounds)
    height = ROW * max(table.height, 1)
    x = alt.Scale(domain=[0, rounds], nice=False, zero=False)
    y = alt.Scale(domain=[max(table.height, 1), 0], nice=False, zero=False)
    foot = height + 12
    layers = [
        *_cells(cells(frames).join(table, on="driver_id"), x, y),
        *_rounds(frames, x),
        *_drivers(table, looks(frames.entries), width, y),
        note("– drove, not graded;  · entered, did not start;  blank: not entered", -64, foot),
        note(source_line(frames), -64, foot + 18),
    ]
    kind = "sprints" if frames.session_kind == "sprint" else "races"
    best = table.drop_nulls("mean").head(1).to_dicts()
    who = looks(frames.entries)
    first = (
        f" Best mean: {who[best[0]['driver_id']].driver_name}, {best[0]['mean']:.0f}."
        if best
        else ""
    )
    drawn = layered(layers, width=width, height=height)
    return finished(
        drawn,
        title=f"{frames.season} {kind}: grades of all drives",
        subtitle=[
            "Grade: % of all drives that were worse; darker is better. At the right the mean"
        ],
        description=(
            f"Grades of {table.height} drivers in {frames.sessions.height} {kind} of "
            f"{frames.season}, one cell a drive, the best mean on top.{first}"
        ),
    )


def _cells(placed: pl.DataFrame, x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    step = (pl.col("grade") // (100 / len(SHADES))).clip(0, len(SHADES) - 1).cast(pl.Int32)
    names = dict(enumerate(SHADES))
    inks = {shade: text_on(shade) for shade in SHADES}
    looked = placed.with_columns(
        left=pl.col("column"),
        right=pl.col("column") + 1,
        top=pl.col("row"),
        bottom=pl.col("row") + 1,
        fill=step.replace_strict(names, default=None, return_dtype=pl.String()),
    ).with_columns(
        ink=pl.col("fill").replace_strict(inks, default=FAINT, return_dtype=pl.String()),
        middle=pl.col("column") + 0.5,
        centre=pl.col("row") + 0.5,
    )
    filled = alt.Chart(rows(looked.drop_nulls("fill")))
    base = alt.Chart(rows(looked))
    return [
        filled.mark_rect(stroke="#ffffff", strokeWidth=1.2).encode(
            x=alt.X("left:Q", scale=x, axis=None),
            x2="right:Q",
            y=alt.Y("top:Q", scale=y, axis=None),
            y2="bottom:Q",
            fill=alt.Fill("fill:N", scale=None),
        ),
        base.mark_text(fontSize=SMALL).encode(
            x=alt.X("middle:Q", scale=x),
            y=alt.Y("centre:Q", scale=y),
            text="said:N",
            color=alt.Color("ink:N", scale=None),
        ),
    ]


def _rounds(frames: SeasonFrames, x: alt.Scale) -> list[alt.Chart]:
    """Name the rounds above their columns."""
    named = (
        frames.sessions.sort("round")
        .with_row_index("column")
        .select(
            middle=pl.col("column") + 0.5,
            name=pl.format(
                "{}  {}",
                "round",
                pl.col("event_name").str.replace(" Grand Prix", "").str.head(EVENT_LETTERS),
            ),
        )
    )
    return [
        alt.Chart(rows(named))
        .mark_text(angle=270, align="left", baseline="middle", fontSize=SMALL, color=INK)
        .encode(x=alt.X("middle:Q", scale=x), y=at_y(-6), text="name:N")
    ]


def _drivers(
    table: pl.DataFrame, people: dict[str, Look], width: float, y: alt.Scale
) -> list[alt.Chart]:
    """Drivers with team colour at the left, their means at the right."""
    mean = pl.col("mean")
    said = pl.when(mean.is_not_null()).then(mean.round(0).cast(pl.Int32).cast(pl.String))
    named = table.with_columns(
        centre=pl.col("row") + 0.5,
        said=said.otherwise(pl.lit("–")),
        label=pl.col("driver_id").replace_strict(
            {one: look.label for one, look in people.items()}, return_dtype=pl.String()
        ),
        colour=pl.col("driver_id").replace_strict(
            {one: look.colour for one, look in people.items()}, return_dtype=pl.String()
        ),
    )
    base = alt.Chart(rows(named)).encode(y=alt.Y("centre:Q", scale=y))
    return [
        base.mark_text(align="right", fontSize=TEXT, color=INK).encode(x=at_x(-18), text="label:N"),
        base.mark_square(size=90, opacity=1).encode(
            x=at_x(-8), color=alt.Color("colour:N", scale=None)
        ),
        base.mark_text(align="right", fontSize=TEXT, fontWeight="bold", color=INK).encode(
            x=at_x(width + 26), text="said:N"
        ),
        note("mean", width + 28, -16, align="right"),
    ]
