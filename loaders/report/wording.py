"""How numbers, places and names are written on a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from loaders.display import NOT_KNOWN, UNCLASSIFIED

if TYPE_CHECKING:
    from datetime import date

    from loaders.explain_drive import Line

MINUS: Final = "\N{MINUS SIGN}"

MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def number(value: float | None, form: str) -> str:
    """Write a number with a real minus; one that is rounded to nothing has no sign.

    Args:
        value: None is not known.
        form: as of `str.format`.
    """
    if value is None or not math.isfinite(value):
        return NOT_KNOWN
    text = form.format(value)
    if not any(digit in text for digit in "123456789"):
        text = text.replace("-", "").replace("+", "")
    return text.replace("-", MINUS)


def grade(value: float | None) -> str:
    """Write a grade as a whole number."""
    return number(value, "{:.0f}")


def reach(low: float | None, high: float | None, form: str = "{:.0f}") -> str:
    """Write an interval."""
    if low is None or high is None:
        return ""
    joint = " to " if "+" in form else "–"
    return f"{number(low, form)}{joint}{number(high, form)}"


def day(value: date | None) -> str:
    """Write a date."""
    return "" if value is None else f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def grid(entry: Line) -> str:
    """Say where a driver started."""
    if entry["is_pit_lane_start"]:
        return "pit lane"
    return NOT_KNOWN if entry["grid_position"] is None else str(entry["grid_position"])


def finish(entry: Line) -> str:
    """Say where a driver finished: the place, or how it ended."""
    if entry["is_classified"] is False or entry["status"] in {"disqualified", "did_not_start"}:
        return UNCLASSIFIED.get(entry["status"], "NC")
    if entry["is_classified"] is None and entry["status"] in UNCLASSIFIED:
        return UNCLASSIFIED[entry["status"]]
    return NOT_KNOWN if entry["position"] is None else str(entry["position"])


def place(entry: Line) -> str:
    """Say the same in a sentence: P3, DNF."""
    told = finish(entry)
    return f"P{told}" if told.isdigit() else told


def short_name(name: str) -> str:
    """Write a name with an initial."""
    first, _, family = name.partition(" ")
    return f"{first[0]}. {family}" if family else first


def plural(count: int, one: str, many: str | None = None) -> str:
    """Count things: 1 lap, 2 laps."""
    return f"{count} {one if count == 1 else many or one + 's'}"
