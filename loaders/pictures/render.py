"""A chart as SVG or PNG, without a browser or JavaScript on the reader's side.

SVG keeps its text as text, scales to the width of the page, says its title and description to
screen readers, and has ids of its own, so that several stand in one page. Equal charts give equal
bytes on a machine: text is measured with its fonts.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from xml.sax.saxutils import escape

import altair as alt
import vl_convert

_ROOT: Final = re.compile(r"<svg\b[^>]*>")
_IDS: Final = re.compile(r'\bid="([^"]+)"')


def as_svg(chart: alt.TopLevelMixin, *, title_id: str = "picture") -> str:
    """Draw a chart as an SVG element.

    Args:
        chart: a picture of this package.
        title_id: prefix of all ids in it; another for each picture of one page.
    """
    spec = _spec(chart)
    drawn = vl_convert.vegalite_to_svg(json.dumps(spec))
    for name in sorted(set(_IDS.findall(drawn))):
        drawn = drawn.replace(f'id="{name}"', f'id="{title_id}-{name}"')
        drawn = drawn.replace(f"url(#{name})", f"url(#{title_id}-{name})")
    root = _ROOT.search(drawn)
    if root is None:
        raise AssertionError("the drawing library gave no SVG element")
    spoken = (
        f'<title id="{title_id}-title">{escape(_title(spec))}</title>'
        f'<desc id="{title_id}-desc">{escape(spec.get("description", ""))}</desc>'
    )
    named = (
        f' role="img" aria-labelledby="{title_id}-title {title_id}-desc"'
        ' style="max-width:100%;height:auto">'
    )
    return root.group()[:-1] + named + spoken + drawn[root.end() :]


def as_png(chart: alt.TopLevelMixin, scale: float = 2.0) -> bytes:
    """Draw a chart as PNG on white.

    Args:
        chart: a picture of this package.
        scale: pixels of the file per pixel of the chart.
    """
    return bytes(vl_convert.vegalite_to_png(json.dumps(_spec(chart)), scale=scale))


def _spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Declare a chart, however many rows it has."""
    with alt.data_transformers.enable("default", max_rows=None):
        spec: dict[str, Any] = chart.to_dict()
    return spec


def _title(spec: dict[str, Any]) -> str:
    """Take a chart's title as one line."""
    title = spec.get("title", "")
    text = title.get("text", "") if isinstance(title, dict) else title
    return " ".join(text) if isinstance(text, list) else str(text)
