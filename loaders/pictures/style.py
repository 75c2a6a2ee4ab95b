"""What all pictures have in common: type, paper, title, and the source line below.

Pictures are at most 640 px wide, so that their text can still be read on a telephone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import altair as alt
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loaders.pictures.frames import Graded, RaceFrames, SeasonFrames

Drawn = TypeVar("Drawn", alt.LayerChart, alt.VConcatChart)

FONT: Final = "Arial, Helvetica, Liberation Sans, DejaVu Sans, sans-serif"
"""Faces of nearly equal widths, one of which every system has."""

INK: Final = "#1a1a1a"
FAINT: Final = "#5f6368"
GRID: Final = "#e4e4e4"
SMALL: Final = 11
TEXT: Final = 12
HEAD: Final = 17
"""Sizes of type, px."""


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Give a frame as data of a chart: vocabularies as text."""
    texts = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Enum)]
    return frame.with_columns(pl.col(texts).cast(pl.String))


def table(values: list[dict[str, Any]]) -> pl.DataFrame:
    """Give rows as data of a chart."""
    return pl.DataFrame(values, infer_schema_length=None)


def at_x(px: float) -> alt.XValue:
    """Place a mark across, px; named by its class, as a bare value is sought among all classes."""
    return alt.XValue(px)  # type: ignore[no-untyped-call]  # the library's own constructor


def at_y(px: float) -> alt.YValue:
    """Place a mark down, px: `at_x`."""
    return alt.YValue(px)  # type: ignore[no-untyped-call]  # the library's own constructor


def note(text: str, x: float, y: float, **mark: Any) -> alt.Chart:
    """Write a line at a place of the picture, px from the upper left corner of its area."""
    look: dict[str, Any] = {"align": "left", "baseline": "top", "fontSize": SMALL, "color": FAINT}
    drawn: alt.Chart = (
        alt.Chart(table([{"text": text}]))
        .mark_text(**look | mark)
        .encode(text="text:N", x=at_x(x), y=at_y(y))
    )
    return drawn


def key(
    shape: str, colour: str, text: str, x: float, y: float = -10, **mark: Any
) -> tuple[alt.Chart, alt.Chart]:
    """Explain a mark above the picture: the mark, and its name at the right."""
    base = alt.Chart(table([{"text": text}])).encode(x=at_x(x), y=at_y(y))
    drawn: dict[str, Any] = {"size": 110, "filled": True, "opacity": 1, "color": colour} | mark
    return (
        base.mark_point(shape=shape, **drawn),
        base.mark_text(align="left", fontSize=SMALL, color=INK, dx=10).encode(text="text:N"),
    )


def layered(layers: Sequence[alt.Chart], width: float, height: float) -> alt.LayerChart:
    """Lay charts over one another in an area, px; the last is on top."""
    return alt.LayerChart(layer=list(layers), width=width, height=height)


def source_line(frames: Graded) -> str:
    """Say where the numbers are from: providers, model, profile and version, day of grading."""
    graded = frames.grades.drop_nulls("grade") if frames.grades.height else frames.grades
    sources = graded["data_source"] if graded.height else frames.sessions["data_source"]
    providers = ", ".join(sources.unique().sort().to_list()) or "none"
    versions = graded["profile_version"].unique().sort().to_list()
    version = ", ".join(map(str, versions)) or str(frames.profile.version)
    parts = [
        f"Drive Grade · data: {providers}",
        f"model {frames.profile.model_version}",
        f"profile {frames.profile.name} version {version}",
    ]
    if frames.graded_at is not None:
        parts.append(f"graded {frames.graded_at:%Y-%m-%d}")
    return " · ".join(parts)


def finished(
    chart: Drawn,
    *,
    title: str,
    subtitle: list[str],
    description: str,
) -> Drawn:
    """Give a picture its title, what screen readers say, and the type and paper of all."""
    styled: Drawn = (
        chart.properties(
            title=alt.TitleParams(text=title, subtitle=subtitle), description=description
        )
        .configure(
            font=FONT,
            background="#ffffff",
            padding={"left": 8, "right": 8, "top": 8, "bottom": 8},
            aria=False,
        )
        .configure_title(
            anchor="start",
            frame="bounds",
            fontSize=HEAD,
            color=INK,
            subtitleFontSize=TEXT,
            subtitleColor=FAINT,
            subtitleLineHeight=16,
            offset=10,
        )
        .configure_axis(
            labelFontSize=TEXT,
            titleFontSize=TEXT,
            titleFontWeight="normal",
            labelColor=INK,
            titleColor=INK,
            gridColor=GRID,
            domainColor=FAINT,
            tickColor=FAINT,
        )
        .configure_view(stroke=None)
    )
    return styled


def about_race_or_season(frames: RaceFrames | SeasonFrames) -> str:
    """Name the race, or the season and what of it: ``2023 season``, ``2023 sprints``."""
    if hasattr(frames, "session"):
        return event_title(frames)
    return f"{frames.season} {'season' if frames.session_kind == 'race' else 'sprints'}"


def event_title(frames: Graded) -> str:
    """Name the race: ``2023 British Grand Prix``; a sprint says so, none is just the season."""
    if frames.sessions.is_empty():
        return "No session"
    row = frames.sessions.row(0, named=True)
    kind = ", sprint" if row["session_kind"] == "sprint" else ""
    return f"{row['season']} {row['event_name']}{kind}"
