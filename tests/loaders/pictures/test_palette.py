"""Colours: FastF1's, seen on white, and told apart without them."""

from __future__ import annotations

import pytest

from loaders.pictures import palette
from loaders.pictures.components import FILLS
from loaders.pictures.heat_map import SHADES
from loaders.pictures.lap_chart import SHADES as NEUTRALIZED
from loaders.pictures.style import FAINT, INK

SEASONS = (1950, 1997, 2012, *range(2018, 2028))

TEAMS = (
    *palette.OLD_TEAMS, *palette.FASTF1_NAMES, "ferrari", "mclaren", "mercedes", "haas", "alpine",
    "red_bull", "renault", "williams", "audi", "cadillac", "nobody-heard-of",
)  # fmt: skip


@pytest.mark.parametrize("season", SEASONS)
def test_every_team_is_seen_on_white(season: int) -> None:
    """Contrast of a line is at least 3 : 1, FastF1's light ones included."""
    for team in TEAMS:
        assert palette.contrast(palette.team_colour(team, season), "#ffffff") >= 3.0, team


def test_colours_are_those_of_fastf1() -> None:
    """As they are where dark enough; darker, of the same hue, where not."""
    assert sorted(palette.fastf1_seasons()) == list(range(2018, 2027))
    assert palette.team_colour("ferrari", 2025) == "#e80020"
    assert palette.team_colour("alfa", 2023) == "#900000"
    assert palette.team_colour("aston_martin", 2023) == "#00665e"
    assert palette.team_colour("rb", 2025) == palette.on_white("#fcd700") != "#fcd700"


def test_a_season_without_colours_takes_the_nearest() -> None:
    """Then the small palette of old teams, then always the same one for an id."""
    assert palette.team_colour("ferrari", 1990) == palette.team_colour("ferrari", 2018)
    assert palette.team_colour("alfa", 2030) == palette.team_colour("alfa", 2023)
    assert palette.team_colour("jordan", 1999) == palette.on_white(palette.OLD_TEAMS["jordan"])
    assert palette.team_colour("lola", 1997) == palette.team_colour("lola", 1970)


def test_without_fastf1_there_are_colours_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed version without the file takes nothing away but the paint."""
    monkeypatch.setattr(palette, "_nearest", lambda _: ())
    assert palette.contrast(palette.team_colour("ferrari", 2023), "#ffffff") >= 3.0
    assert palette.compound_mark("SOFT", 2023) == ("S", "#ffffff")


@pytest.mark.parametrize("season", [2018, 2019, 2026])
def test_tyres_are_told_by_letters_that_can_be_read(season: int) -> None:
    """Each its own, black or white on the paint; one that is not known says so."""
    marks = [palette.compound_mark(name, season) for name in palette.COMPOUND_LETTERS]
    assert len({letter for letter, _ in marks}) == len(marks)
    for _, fill in [*marks, palette.compound_mark(None, season)]:
        assert palette.contrast(palette.text_on(fill), fill) >= 4.5
    assert palette.compound_mark(None, season)[0] == "P"


def test_shades_survive_without_colour() -> None:
    """A better grade is darker; parts of a bar, and what text stands on, differ in luminance."""
    lights = [palette.luminance(shade) for shade in SHADES]
    assert lights == sorted(lights, reverse=True)
    for shade in SHADES:
        assert palette.contrast(palette.text_on(shade), shade) >= 4.5
    dark, light = FILLS["consistency"], FILLS["racecraft"]
    assert palette.contrast(dark, light) >= 3.0
    for shade in (*NEUTRALIZED.values(), "#ffffff"):
        assert palette.contrast(INK, shade) >= 7.0
    assert palette.contrast(FAINT, "#ffffff") >= 4.5


def test_team_mates_differ_by_dash_and_shape() -> None:
    """As many of each, all different."""
    assert len({tuple(dash) for dash in palette.DASHES}) == len(palette.DASHES) == 4
    assert len(set(palette.SHAPES)) == len(palette.SHAPES) == 4
