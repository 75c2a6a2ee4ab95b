"""How much hangs on each constant of the profile: what grades do when it is moved.

A row per constant, the most important on top; a mark per driver and direction: ▲ filled above the
row's middle when the constant goes up, ▽ hollow below it when it goes down. The driver who moves
most is named. At the right stands the largest change of rank, and how many drivers change theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import altair as alt
import polars as pl

from loaders.pictures.drivers import looks
from loaders.pictures.frames import RaceFrames
from loaders.pictures.regrading import SHARE, UP, moves
from loaders.pictures.style import (
    FAINT,
    INK,
    SMALL,
    TEXT,
    about_race_or_season,
    at_x,
    finished,
    key,
    layered,
    note,
    rows,
    source_line,
    table,
)

if TYPE_CHECKING:
    from loaders.pictures.frames import SeasonFrames
    from loaders.pictures.regrading import Moves

ROW: Final = 34
"""Height of a constant's row, px."""

WIDTH: Final = 330
"""Width of the changes' area, px."""

NAMES: Final = 190
"""Room for the constants' names at the left, px."""

MIN_REACH: Final = 2.0
"""Half of the axis at least, grade points."""


def ranking(moved: Moves) -> pl.DataFrame:
    """Order the constants by the largest change of a grade.

    Returns:
        `constant`, `row` (0 moves most), `largest` (absolute change, points), `driver_id` of who
        moves by it, `change`, `direction`, `ranks_moved` (drivers whose rank changes in either
        direction), `largest_rank` (places, in either direction).
    """
    ranks = (pl.col("rank_after") - pl.col("rank_before")).abs()
    largest = pl.col("change").abs()
    return (
        moved.drivers.sort(largest, "driver_id", descending=[True, False])
        .group_by("constant", maintain_order=True)
        .agg(
            pl.col("driver_id", "change", "direction").first(),
            largest=largest.max(),
            ranks_moved=pl.col("driver_id").filter(ranks > 0).n_unique().cast(pl.Int32),
            largest_rank=ranks.max(),
        )
        .sort("largest", "constant", descending=[True, False])
        .with_row_index("row")
        .with_columns(pl.col("row").cast(pl.Int32))
    )


def sensitivity_picture(
    frames: RaceFrames | SeasonFrames, training: pl.DataFrame, share: float = SHARE
) -> alt.LayerChart:
    """Draw how the grades of a race, or a season's means, hang on each constant.

    Args:
        frames: with the evidence; drivers may lack grades.
        training: `loaders.pictures.frames.training_evidence`, or no rows.
        share: by how much constants are moved, above 0 and below 1.
    """
    moved = moves(frames, training, share)
    order = ranking(moved)
    height = ROW * max(order.height, 1)
    reach = max([MIN_REACH, *order["largest"]]) * 1.22
    x = alt.Scale(domain=[-reach, reach], nice=False, zero=False)
    y = alt.Scale(domain=[max(order.height, 1), 0], nice=False, zero=False)
    labels = {one: look.label for one, look in looks(frames.entries).items()}
    layers = [
        *_rules(order, reach, x, y),
        *_marks(moved, order, x, y),
        *_movers(order, labels, x, y),
        *_sides(order, y),
        *key("triangle-up", INK, f"constant {share:.0%} up", 6 - NAMES, -12, size=50),
        *key("triangle-down", INK, f"{share:.0%} down", 140 - NAMES, -12, size=50, filled=False,
             strokeWidth=1.2),
        note(source_line(frames), -NAMES, height + 46),
    ]  # fmt: skip
    is_race = isinstance(frames, RaceFrames)
    about = about_race_or_season(frames)
    what = "grade" if is_race else "mean grade of the season"
    scale = (
        "scale made anew for each from the training years"
        if moved.has_own_scale
        else "on the profile's scale: the training years are not in the lake"
    )
    first = order.head(1).to_dicts()
    most = (
        f" Most hangs on {first[0]['constant']}: {first[0]['largest']:.1f} points." if first else ""
    )
    drawn = layered(layers, width=WIDTH, height=height)
    return finished(
        drawn,
        title=f"{about}: what hangs on the constants",
        subtitle=[
            f"Change of each driver's {what} when one constant is moved",
            *([] if first else ["Nobody is graded."]),
            f"Means: by {share:.0%} of the standard deviation; {scale}",
        ],
        description=(
            f"Changes of the drivers' {what} in {about} when one of {order.height} constants is "
            f"moved by {share:.0%} up or down.{most}"
        ),
    )  # fmt: skip


def _rules(order: pl.DataFrame, reach: float, x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    """A line per constant, and zero."""
    signed = "datum.value == 0 ? '0' : format(datum.value, '+')"
    axis = alt.Axis(title="change of the grade, points", tickCount=7, labelExpr=signed)
    lines = order.select(middle=pl.col("row") + 0.5, left=pl.lit(-reach), right=pl.lit(reach))
    return [
        alt.Chart(rows(lines))
        .mark_rule(color="#e4e4e4", strokeWidth=1)
        .encode(
            x=alt.X("left:Q", scale=x, axis=axis),
            x2="right:Q",
            y=alt.Y("middle:Q", scale=y, axis=None),
        ),
        alt.Chart(table([{"zero": 0}]))
        .mark_rule(color=FAINT, strokeWidth=1)
        .encode(x=alt.X("zero:Q", scale=x)),
    ]


def _marks(moved: Moves, order: pl.DataFrame, x: alt.Scale, y: alt.Scale) -> list[alt.Chart]:
    is_up = pl.col("direction") == UP
    placed = moved.drivers.join(order.select("constant", "row"), on="constant").select(
        "direction",
        "change",
        place=pl.col("row") + pl.when(is_up).then(0.3).otherwise(0.7),
    )
    at = {"x": alt.X("change:Q", scale=x), "y": alt.Y("place:Q", scale=y)}
    up, down = (alt.Chart(rows(placed.filter(which))) for which in (is_up, ~is_up))
    return [
        up.mark_point(shape="triangle-up", size=42, filled=True, opacity=0.65, color=INK).encode(
            **at
        ),
        down.mark_point(
            shape="triangle-down", size=42, filled=False, opacity=0.8, color=INK, strokeWidth=1.1
        ).encode(**at),
    ]


def _movers(
    order: pl.DataFrame, labels: dict[str, str], x: alt.Scale, y: alt.Scale
) -> list[alt.Chart]:
    """Name who moves most, on the far side of the mark."""
    named = order.with_columns(
        label=pl.col("driver_id").replace_strict(labels, return_dtype=pl.String()),
        place=pl.col("row") + pl.when(pl.col("direction") == UP).then(0.3).otherwise(0.7),
        is_right=pl.col("change") >= 0,
    )
    drawn = []
    for is_right in (True, False):
        base = alt.Chart(rows(named.filter(is_right=is_right)))
        text = base.mark_text(
            align="left" if is_right else "right",
            dx=7 if is_right else -7,
            fontSize=SMALL,
            color=INK,
        )
        drawn.append(
            text.encode(x=alt.X("change:Q", scale=x), y=alt.Y("place:Q", scale=y), text="label:N")
        )
    return drawn


def _sides(order: pl.DataFrame, y: alt.Scale) -> list[alt.Chart]:
    """Names of constants at the left, changes of rank at the right."""
    said = order.with_columns(
        middle=pl.col("row") + 0.5,
        ranks=pl.when(pl.col("ranks_moved") == 0)
        .then(pl.lit("none"))
        .otherwise(pl.format("{} by up to {}", "ranks_moved", "largest_rank")),
    )
    base = alt.Chart(rows(said)).encode(y=alt.Y("middle:Q", scale=y))
    return [
        base.mark_text(align="left", fontSize=TEXT, color=INK).encode(
            x=at_x(-NAMES), text="constant:N"
        ),
        base.mark_text(align="left", fontSize=TEXT, color=INK).encode(
            x=at_x(WIDTH + 10), text="ranks:N"
        ),
        note("ranks that change", WIDTH + 10, -16),
    ]
