"""Files: SVG that is XML, the same twice, spoken; PNG of the size that was asked for."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from loaders.pictures.components import components_picture
from loaders.pictures.lap_chart import lap_chart_picture
from loaders.pictures.render import as_png, as_svg
from loaders.pictures.style import FONT

if TYPE_CHECKING:
    from loaders.pictures.frames import RaceFrames

SVG = "{http://www.w3.org/2000/svg}"
MAX_WIDTH = 640


def test_svg_is_xml_and_the_same_twice(race: RaceFrames) -> None:
    """Well-formed, equal byte for byte, no script, nothing from elsewhere, text as text."""
    drawn = as_svg(lap_chart_picture(race), title_id="laps")
    assert drawn == as_svg(lap_chart_picture(race), title_id="laps")
    root = ET.fromstring(drawn)  # noqa: S314 - made here
    assert root.tag == f"{SVG}svg"
    assert float(root.attrib["width"]) <= MAX_WIDTH
    assert "max-width:100%" in root.attrib["style"]
    assert not list(root.iter(f"{SVG}script"))
    assert "href=" not in drawn
    words = {"".join(node.itertext()) for node in root.iter(f"{SVG}text")}
    assert {"SC", "VSC", "H", "lap", "grid"} <= words
    assert FONT.split(",", maxsplit=1)[0] in drawn


def test_svg_is_spoken_and_its_ids_are_its_own(race: RaceFrames) -> None:
    """Title and description come first; two pictures of one page share no id."""
    chart = components_picture(race)
    roots = [
        ET.fromstring(as_svg(chart, title_id=name))  # noqa: S314 - made here
        for name in ("first", "second")
    ]
    title, description = list(roots[0])[:2]
    assert roots[0].attrib["role"] == "img"
    assert roots[0].attrib["aria-labelledby"] == "first-title first-desc"
    assert (title.tag, title.attrib["id"]) == (f"{SVG}title", "first-title")
    assert title.text == "2023 A Grand Prix: what the grades are made of"
    assert "2 of 4 drivers are graded. Best: Ann Driver" in (description.text or "")
    ids = [{node.attrib["id"] for node in root.iter() if "id" in node.attrib} for root in roots]
    assert not ids[0] & ids[1]


def test_png_has_the_size_asked_for(race: RaceFrames) -> None:
    """Twice the pixels in each direction at scale 2."""
    chart = components_picture(race)
    files = [as_png(chart, scale) for scale in (1.0, 2.0)]
    one, two = (struct.unpack(">II", file[16:24]) for file in files)
    assert files[0][:8] == b"\x89PNG\r\n\x1a\n"
    assert 0 < one[0] <= MAX_WIDTH
    assert all(abs(large - 2 * small) <= 1 for small, large in zip(one, two, strict=True))
