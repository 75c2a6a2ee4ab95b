"""Pictures of a race for its report, as SVG within the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from loaders.pictures.car_plane import car_plane_picture
from loaders.pictures.components import components_picture
from loaders.pictures.frames import race_frames
from loaders.pictures.lap_chart import lap_chart_picture
from loaders.pictures.render import as_svg

if TYPE_CHECKING:
    from engine.tables import SessionKey
    from loaders.settings import Settings

PICTURES: Final = {
    "components": (
        components_picture,
        "What each grade is made of: the weighted scores of the components",
    ),
    "laps": (
        lap_chart_picture,
        "Lap chart: positions, stops, passes and safety cars",
    ),
    "plane": (
        car_plane_picture,
        "Driver against car: ratings after the race, with their intervals",
    ),
}
"""Each picture with its caption, in the order of the page."""


@dataclass(frozen=True)
class Drawing:
    """A picture within a page.

    Attributes:
        svg: the SVG element.
        caption: what it shows.
    """

    svg: Markup
    caption: str


def race_drawings(settings: Settings, session: SessionKey, profile: str) -> tuple[Drawing, ...]:
    """Draw the pictures of a race graded under a profile of model v2."""
    frames = race_frames(settings, session, profile)
    return tuple(
        Drawing(_bare(as_svg(draw(frames), title_id=f"picture-{name}")), caption)
        for name, (draw, caption) in PICTURES.items()
    )


def _bare(svg: str) -> Markup:
    """Take the root's style off, which the page's policy would refuse: its style sheet has it."""
    return Markup(svg.replace(' style="max-width:100%;height:auto"', "", 1))  # noqa: S704 - escaped
