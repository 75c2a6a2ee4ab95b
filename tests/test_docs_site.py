"""docs/ builds without a warning, offline, and every link in it leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import AliasChoices
from pydantic_core import PydanticUndefined

from loaders.settings import Settings
from tests.documents import PAGES, ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCS: Final = ROOT / "docs"
ENTRANCES: Final = {"search.html", "genindex.html"}
"""Pages that Sphinx makes by itself."""


class Page(HTMLParser):
    """What a page of the site links to, and what in it can be linked to.

    Attributes:
        links: values of href and src.
        anchors: values of id.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links and anchors."""
        for name, value in attrs:
            if name in {"href", "src"} and value and tag != "base":
                self.links.append(value)
            elif name == "id" and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it, elsewhere."""
    folder = tmp_path_factory.mktemp("site")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = re.search(r"sphinx-build (.+) build/docs$", makefile, re.MULTILINE)
    assert words is not None
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words[1].split(), str(folder), "-d", f"{folder}-d"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_built_and_listed(site: Path) -> None:
    """A page of docs/ that no list of the index names would be found by nobody."""
    listed = {urlsplit(link).path for link in Page(site / "index.html").links}
    for page in sorted(DOCS.glob("*.md")):
        name = f"{page.stem}.html"
        assert (site / name).is_file(), f"{page.name} was not built"
        assert name in listed or name == "index.html", f"name {page.stem} in docs/index.md"


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    """To a page, a heading of it, or a file; nothing is fetched from elsewhere to show it."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    assert len(pages) > 10
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            assert target.is_file() or target.name in ENTRANCES, f"{path.name} links to {link}"
            if parts.fragment and target in pages:
                anchors = pages[target].anchors
                assert unquote(parts.fragment) in anchors | {""}, f"{path.name} links to {link}"


def test_the_site_needs_no_other_host(site: Path) -> None:
    """Scripts, styles and pictures are its own."""
    for path in site.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<(script|img)[^>]+src=\"(https?:)?//", text), path.name
        assert not re.search(r"<link[^>]+stylesheet[^>]+href=\"(https?:)?//", text), path.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_links_to_is_there(page: Path) -> None:
    """As on a code host, where nothing is built."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        parts = urlsplit(link)
        if not parts.scheme and parts.path:
            assert (page.parent / unquote(parts.path)).exists(), f"{page.name} links to {link}"


def test_every_setting_is_told_with_its_default() -> None:
    """And none that there is not."""
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([A-Z0-9_]+)` \|.*\| (.+?) \|$", page, re.MULTILINE))
    defaults = {}
    for field in Settings.model_fields.values():
        assert isinstance(field.validation_alias, AliasChoices)
        defaults[str(field.validation_alias.choices[0])] = field.default
    assert set(told) == set(defaults)
    for name, default in defaults.items():
        if isinstance(default, bool):
            assert told[name] == "off", name
        elif isinstance(default, (int, float)) or default:
            shown = f"{default:g}" if isinstance(default, (int, float)) else str(default)
            is_computed = default is PydanticUndefined
            assert is_computed or told[name] == f"`{shown}`", name


def test_every_file_that_the_guides_name_is_there() -> None:
    """Who follows a guide to a file finds it."""
    for name in ("adding-a-provider.md", "adding-a-component.md"):
        text = (DOCS / name).read_text(encoding="utf-8")
        named = re.findall(r"`((?:engine|loaders|sql|tests|data)/[\w./]+)`", text)
        assert len(named) > 4
        for path in named:
            assert (ROOT / path).exists(), f"{name} names {path}"
