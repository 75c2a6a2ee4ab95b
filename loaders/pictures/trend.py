"""How a driver's grades went, race by race, with their intervals: one panel a driver.

    the line and its marks   the grade of each race; it breaks where a race is not graded
    the band or thin line    its 90 % interval
    a bar                    the mean of a season, if more than one is shown
    a cross at the bottom    a race that was entered and is not graded

Panels share their axes, so that drivers can be compared; a race not entered is a gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import altair as alt
import polars as pl

from engine.tables import ENTRY, SESSION
from loaders.pictures.drivers import looks
from loaders.pictures.frames import PictureError
from loaders.pictures.style import (
    FAINT,
    GRID,
    INK,
    SMALL,
    TEXT,
    at_y,
    finished,
    layered,
    note,
    rows,
    source_line,
    table,
)

if TYPE_CHECKING:
    from loaders.pictures.drivers import Look
    from loaders.pictures.frames import CareerFrames

MAX_DRIVERS: Final = 6
"""Panels of a picture."""

WIDTH: Final = 570
"""Width of a panel, px."""

HEIGHT: Final = 170
"""Height of a panel, px."""

LONG: Final = 30
"""Races from which on seasons stand on the axis, not rounds."""

EVENT_LETTERS: Final = 17
"""Letters of an event's name below its race."""


def drives(frames: CareerFrames) -> pl.DataFrame:
    """Give a row per driver and race of the years, entered or not.

    Returns:
        `driver_id`, `session_id`, `race` (0, 1, … by time), `season`, `is_entered`, `grade`,
        `grade_low`, `grade_high`; the last three null where not graded.
    """
    races = frames.sessions.sort("season", "round").with_row_index("race")
    asked = pl.DataFrame({"driver_id": frames.driver_ids}, schema={"driver_id": pl.String()})
    entered = frames.entries.select(*ENTRY, is_entered=pl.lit(value=True))
    grades = frames.grades.select(*ENTRY, "grade", "grade_low", "grade_high")
    return (
        asked.join(
            races.select(*SESSION, pl.col("race").cast(pl.Int32), "season"),
            how="cross",
            maintain_order="left_right",
        )
        .join(entered, on=ENTRY, how="left", maintain_order="left")
        .join(grades, on=ENTRY, how="left", maintain_order="left")
        .with_columns(pl.col("is_entered").fill_null(value=False))
    )


def trend_picture(frames: CareerFrames) -> alt.VConcatChart:
    """Draw the grades of some drivers over a season or a career.

    Args:
        frames: `loaders.pictures.frames.career_frames`; drives may lack grades.

    Raises:
        PictureError: more than `MAX_DRIVERS` drivers are asked for.
    """
    if len(frames.driver_ids) > MAX_DRIVERS:
        raise PictureError(
            f"{len(frames.driver_ids)} drivers are asked for; a picture has room for "
            f"{MAX_DRIVERS}: name fewer"
        )
    people = looks(frames.entries)
    all_drives = drives(frames)
    panels = [
        _panel(frames, people[driver], all_drives.filter(driver_id=driver), is_last=number == last)
        for last in [len(frames.driver_ids) - 1]
        for number, driver in enumerate(frames.driver_ids)
    ]
    names = ", ".join(people[driver].driver_name for driver in frames.driver_ids)
    years = frames.sessions["season"].unique().sort().to_list()
    when = f"{years[0]}" if len(years) == 1 else f"{years[0]}–{years[-1]}"
    kind = "sprint" if frames.session_kind == "sprint" else "race"
    graded = all_drives["grade"].count()
    return finished(
        alt.vconcat(*panels, spacing=14),
        title=f"{names}, {when}" if len(names) < 50 else f"Grades, {when}",
        subtitle=[f"Grade of each {kind} with its 90 % interval: % of all drives that were worse"],
        description=(
            f"Grades of {names} in the {kind}s of {when} with their 90 % intervals; "
            f"{graded} of {all_drives['is_entered'].sum()} drives are graded."
        ),
    )


def _panel(frames: CareerFrames, who: Look, mine: pl.DataFrame, *, is_last: bool) -> alt.LayerChart:
    races = frames.sessions.height
    x = alt.Scale(domain=[-0.7, races - 0.3], nice=False, zero=False)
    y = alt.Scale(domain=[0, 100], nice=False, zero=False)
    is_long = races > LONG
    teams = frames.entries.filter(driver_id=who.driver_id)["team_id"].n_unique()
    layers = [
        *_guides(frames, x, y, is_long=is_long, is_last=is_last),
        *_drives(who, mine, x, y, is_long=is_long),
        note(who.driver_name, 0, -17, fontSize=TEXT, fontWeight="bold", color=INK),
        note(_summary(who, mine, teams), WIDTH, -16, align="right"),
    ]
    if is_last:
        below = HEIGHT + (30 if is_long else 116)
        layers += [
            note(
                f"× entered, not graded{'; bar: mean of the season' if is_long else ''}", -46, below
            ),
            note(source_line(frames), -46, below + 18),
        ]
    return layered(layers, width=WIDTH, height=HEIGHT)


def _summary(who: Look, mine: pl.DataFrame, teams: int) -> str:
    """Say how the races went on the whole, and for whom if for one team alone."""
    graded = mine.drop_nulls("grade")
    races = f"{graded.height} race" + ("" if graded.height == 1 else "s")
    if graded.is_empty():
        mean = "not graded"
    else:
        mean = f"mean of {races}: {sum(graded['grade']) / graded.height:.0f}"
    return mean if teams != 1 else f"{who.team_name} · {mean}"


def _guides(
    frames: CareerFrames, x: alt.Scale, y: alt.Scale, *, is_long: bool, is_last: bool
) -> list[alt.Chart]:
    """Lines at the quarters, and below the last panel the races or seasons."""
    quarters = alt.Axis(values=[0, 25, 50, 75, 100], title="grade", grid=True, gridColor=GRID)
    middle = (
        alt.Chart(table([{"y": 50}]))
        .mark_rule(color=FAINT, strokeWidth=1, strokeDash=[2, 3])
        .encode(y=alt.Y("y:Q", scale=y, axis=quarters))
    )
    races = frames.sessions.sort("season", "round").with_row_index("race")
    if is_long:
        marks = races.group_by("season", maintain_order=True).agg(
            start=pl.col("race").cast(pl.Float64).min() - 0.5
        )
        every = -(-marks.height // 14)
        marks = marks.with_columns(
            said=pl.when(pl.int_range(pl.len()) % every == 0)
            .then(pl.col("season").cast(pl.String))
            .otherwise(pl.lit(""))
        )
        base = alt.Chart(rows(marks)).encode(x=alt.X("start:Q", scale=x, axis=None))
        lines = base.mark_rule(color=GRID, strokeWidth=1)
        named = base.mark_text(align="left", baseline="top", fontSize=SMALL, color=INK, dx=2)
        text = named.encode(y=at_y(HEIGHT + 6), text="said:N")
    else:
        event = pl.col("event_name").str.replace(" Grand Prix", "").str.head(EVENT_LETTERS)
        marks = races.with_columns(
            start=pl.col("race").cast(pl.Float64), said=pl.format("{}  {}", event, "round")
        ).select("start", "said")
        base = alt.Chart(rows(marks)).encode(x=alt.X("start:Q", scale=x, axis=None))
        lines = base.mark_rule(color=GRID, strokeWidth=1)
        named = base.mark_text(
            align="right", baseline="middle", angle=270, fontSize=SMALL, color=INK
        )
        text = named.encode(y=at_y(HEIGHT + 8), text="said:N")
    return [lines, middle, *([text] if is_last else [])]


def _drives(
    who: Look, mine: pl.DataFrame, x: alt.Scale, y: alt.Scale, *, is_long: bool
) -> list[alt.Chart]:
    """The band, the line, the marks; season means; crosses."""
    data = rows(mine)
    base = alt.Chart(data).encode(x=alt.X("race:Q", scale=x))
    grade = alt.Y("grade:Q", scale=y)
    graded = base.transform_filter("isValid(datum.grade)")
    colour: dict[str, Any] = {"color": who.colour}
    interval = {"y": alt.Y("grade_low:Q", scale=y), "y2": "grade_high:Q"}
    faint = 0.16 if is_long else 0.35
    drawn = [graded.mark_rule(opacity=faint, strokeWidth=1.2, **colour).encode(**interval)]
    if is_long:
        drawn.append(graded.mark_point(size=14, filled=True, opacity=0.8, **colour).encode(y=grade))
        means = (
            mine.drop_nulls("grade")
            .group_by("season", maintain_order=True)
            .agg(
                pl.col("grade").mean(),
                start=pl.col("race").min() - 0.4,
                end=pl.col("race").max() + 0.4,
            )
        )
        bars = alt.Chart(rows(means)).encode(x=alt.X("start:Q", scale=x), x2="end:Q", y=grade)
        drawn += [
            bars.mark_rule(color="#ffffff", strokeWidth=5),
            bars.mark_rule(color=INK, strokeWidth=2.6),
        ]
    else:
        drawn += [
            base.mark_area(opacity=0.18, **colour).encode(**interval),
            base.mark_line(strokeWidth=2, strokeDash=who.dash, **colour).encode(y=grade),
            graded.mark_point(shape=who.shape, size=60, filled=True, opacity=1, **colour).encode(
                y=grade
            ),
        ]
    missing = base.transform_filter("datum.is_entered && !isValid(datum.grade)")
    size = 22 if is_long else 60
    drawn.append(
        missing.mark_point(shape="cross", angle=45, size=size, filled=True, color=FAINT, opacity=1)
        .encode(y=at_y(HEIGHT - 6))
    )  # fmt: skip
    return drawn
