"""HTML of our pages as a tree, for tests: strict, so that a page that is not well-formed fails."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VOID = {"meta", "link", "br", "img", "hr", "input"}
"""Elements without an end."""


@dataclass
class Element:
    """An element: its name, attributes, and what is in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    inside: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, in order."""
        return "".join(each if isinstance(each, str) else each.text for each in self.inside)

    def walk(self) -> Iterator[Element]:
        """Give it and all elements in it, in order."""
        yield self
        for each in self.inside:
            if isinstance(each, Element):
                yield from each.walk()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Find elements by name and attributes; `class_` is one of the classes."""
        name = attributes.pop("class_", None)
        return [
            each
            for each in self.walk()
            if each.tag == tag
            and (name is None or name in each.attributes.get("class", "").split())
            and all(each.attributes.get(key) == value for key, value in attributes.items())
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        """Find the only such element."""
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} elements {tag} {attributes}"
        return found[0]

    @property
    def value(self) -> float | None:
        """The whole number behind what is shown; None if it is text."""
        found = self.all("data")
        return float(found[0].attributes["value"]) if found else None


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag}: an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def parse(page: str) -> Element:
    """Read a page; it must be well-formed, its ids unique, and what it refers to there."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert len(parser.open) == 1, f"left open: {[each.tag for each in parser.open]}"
    document = parser.open[0]
    ids = [each.attributes["id"] for each in document.walk() if "id" in each.attributes]
    assert len(ids) == len(set(ids)), "an id twice"
    for each in document.walk():
        href = each.attributes.get("href", "")
        named = [href[1:]] if href.startswith("#") else []
        named += each.attributes.get("aria-labelledby", "").split()
        assert set(named) <= set(ids), f"{each.tag} refers to {named}"
    return document


def assert_stands_alone(document: Element) -> None:
    """See that a page runs nothing and loads nothing."""
    for each in document.walk():
        assert each.tag not in {"script", "iframe", "object", "embed", "form", "base"}, each.tag
        for name, value in each.attributes.items():
            assert not name.startswith("on"), f"{each.tag} {name}"
            assert name != "style", f"{each.tag}: style {value}, which the policy refuses"
            if name in {"src", "href", "xlink:href", "srcset", "action", "poster"}:
                assert value.startswith(("#", "data:")), f"{each.tag} {name}={value}"
    style = document.one("style").text
    assert "@import" not in style
    assert "url(" not in style


def added(table: Element) -> tuple[float, float | None]:
    """Add up the cells of a table that count; and the sum that it shows."""
    body, foot = table.one("tbody"), table.one("tfoot")
    parts = [cell.value for cell in body.all("td", class_="counts")]
    total = foot.all("td", class_="counts")[0].value
    return math.fsum(part for part in parts if part is not None), total
