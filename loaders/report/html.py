"""Pages from templates: everything escaped, one style within the page, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES: Final = Path(__file__).parent / "templates"
"""Folder of the templates and the style sheet."""

STYLE: Final = (TEMPLATES / "report.css").read_text(encoding="utf-8")
"""The style sheet of all pages."""

CONTENT_POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy of all pages: this style sheet, and nothing else."""

_environment: Final = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """Make a page.

    Args:
        template: name of a file in `TEMPLATES`.
        values: what it shows; text is escaped, `markupsafe.Markup` is not.
    """
    page = _environment.get_template(template)
    return page.render(style=Markup(STYLE), policy=CONTENT_POLICY, **values)  # noqa: S704 - ours
