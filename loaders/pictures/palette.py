"""Colours: teams as FastF1 has them, dark enough for white paper, and tyres by their letter.

A team's colour is FastF1's of that season; else FastF1's of the nearest season that has the team;
else that of `OLD_TEAMS`; else one of `OTHERS`, always the same for the same id. What is too light
for a line on white is darkened until its contrast is 3 : 1, hue kept. Colour never tells alone:
team-mates differ by dash and shape, and lines carry their driver's code.
"""

from __future__ import annotations

import colorsys
import json
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_CONTRAST: Final = 3.0
"""Contrast of a line or shape against white: WCAG 2.1, 1.4.11."""

TEXT_CONTRAST: Final = 4.5
"""Contrast of text against what it stands on: WCAG 2.1, 1.4.3."""

FASTF1_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "alfa": ("alfa romeo",),
    "rb": ("rb", "racing bulls"),
    "sauber": ("sauber", "kick sauber"),
}
"""FastF1's names of teams by Jolpica's id, where they differ by more than underscores."""

OLD_TEAMS: Final[Mapping[str, str]] = {
    "arrows": "#e8590c",
    "bar": "#495057",
    "benetton": "#1098ad",
    "bmw_sauber": "#1c4f9c",
    "brawn": "#7a9a01",
    "caterham": "#1b6b3a",
    "footwork": "#862e9c",
    "honda": "#495057",
    "hrt": "#8a6d3b",
    "jaguar": "#0b5d3b",
    "jordan": "#b08900",
    "ligier": "#1864ab",
    "lotus_f1": "#7d6608",
    "lotus_racing": "#1b6b3a",
    "manor": "#c2255c",
    "marussia": "#a51111",
    "mf1": "#d9480f",
    "minardi": "#343a40",
    "prost": "#1c3faa",
    "spyker": "#d9480f",
    "spyker_mf1": "#d9480f",
    "stewart": "#5c677d",
    "super_aguri": "#c92a2a",
    "team_lotus": "#1b6b3a",
    "toyota": "#c2255c",
    "tyrrell": "#364fc7",
    "virgin": "#a51111",
}
"""Teams since 1990 that FastF1 has no colours of, roughly as they were painted."""

OTHERS: Final = (
    "#0b7285",
    "#5f3dc4",
    "#2b8a3e",
    "#a61e4d",
    "#1864ab",
    "#8a6d3b",
    "#495057",
    "#c92a2a",
    "#862e9c",
    "#5c940d",
)
"""For all other teams."""

COMPOUND_LETTERS: Final[Mapping[str, str]] = {
    "HYPERSOFT": "HS",
    "ULTRASOFT": "US",
    "SUPERSOFT": "SS",
    "SOFT": "S",
    "MEDIUM": "M",
    "HARD": "H",
    "SUPERHARD": "SH",
    "INTERMEDIATE": "I",
    "WET": "W",
}
"""What stands in the mark of a stop; without a known compound it is a P."""

UNKNOWN_COMPOUND: Final = ("P", "#ffffff")

DASHES: Final = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2])
"""Lines of team-mates: solid, dashed, dotted, dash-dotted."""

SHAPES: Final = ("circle", "square", "triangle-up", "diamond")
"""Marks of team-mates."""


class _Season(NamedTuple):
    teams: Mapping[str, str]
    compounds: Mapping[str, str]


def team_colour(team_id: str, season: int) -> str:
    """Give a team's colour for lines on white, ``#rrggbb``."""
    return on_white(_team_colour(team_id, season))


def compound_mark(compound: str | None, season: int) -> tuple[str, str]:
    """Give a tyre's letter and fill; unknown ones are a P on white."""
    if compound is None:
        return UNKNOWN_COMPOUND
    colours = (found.compounds.get(compound) for _, found in _nearest(season))
    fill = next(filter(None, colours), UNKNOWN_COMPOUND[1])
    return COMPOUND_LETTERS[compound], fill


def luminance(colour: str) -> float:
    """Give the relative luminance of ``#rrggbb``: 0 black, 1 white (WCAG 2.1)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Give the contrast of two colours, 1 to 21 (WCAG 2.1)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def on_white(colour: str, least: float = MIN_CONTRAST) -> str:
    """Darken a colour until it can be seen on white; one that can stays as it is."""
    hue, light, saturation = colorsys.rgb_to_hls(
        *(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    )
    while contrast(colour, "#ffffff") < least:
        light *= 0.98
        parts = colorsys.hls_to_rgb(hue, light, saturation)
        colour = "#" + "".join(f"{round(part * 255):02x}" for part in parts)
    return colour


def text_on(fill: str) -> str:
    """Choose black or white for text on a fill, whichever is read better."""
    return max("#000000", "#ffffff", key=lambda ink: contrast(ink, fill))


def _team_colour(team_id: str, season: int) -> str:
    names = FASTF1_NAMES.get(team_id, (team_id.replace("_", " "),))
    for _, found in _nearest(season):
        for name in names:
            if name in found.teams:
                return found.teams[name]
    return OLD_TEAMS.get(team_id) or OTHERS[zlib.crc32(team_id.encode()) % len(OTHERS)]


@cache
def _nearest(season: int) -> tuple[tuple[int, _Season], ...]:
    """List FastF1's seasons, the nearest first; of two equally near, the earlier."""
    return tuple(sorted(fastf1_seasons().items(), key=lambda one: (abs(one[0] - season), one[0])))


@cache
def fastf1_seasons() -> Mapping[int, _Season]:
    """Read FastF1's colours by season from the installed library; none if it has none there.

    Its file of constants is read, because its functions want a loaded session, and importing them
    takes a second.
    """
    found = find_spec("fastf1")
    places = (found and found.submodule_search_locations) or []
    for place in places:
        path = Path(place) / "plotting" / "constants.json"
        if path.is_file():
            raw = json.loads(path.read_text(encoding="utf-8"))
            return {
                int(season): _Season(
                    {name: team["colors"]["fastf1"] for name, team in body["teams"].items()},
                    body["compound_colors"],
                )
                for season, body in raw.items()
            }
    return {}
