"""A driver's row of a report: what its table, its sentences and its evidence show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.v2.calibration import CalibrationProfileV2
from engine.v2.grade import SCORED
from loaders.display import NOT_KNOWN
from loaders.display_explain import COMPONENTS
from loaders.pictures.palette import team_colour
from loaders.report.evidence import EvidenceTable, evidence_tables
from loaders.report.race import reason
from loaders.report.wording import finish, grade, grid, number, plural, reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loaders.explain_drive import Line
    from loaders.report.moved import Moved
    from loaders.report.race import DriverResult, RaceResult

PARTS: Final = tuple(f"{name}_score" for name in SCORED)
"""Columns of the components' scores, in the order of the table."""


@dataclass(frozen=True)
class Bar:
    """An interval as it is drawn: ends and value, 0..100, and the team's colour."""

    low: float
    high: float
    value: float
    colour: str


@dataclass(frozen=True)
class Part:
    """A component's score: the number, its text, and the measured value in words."""

    value: float | None
    text: str
    raw: str


@dataclass(frozen=True)
class MovedText:
    """What moved a grade, in two sentences."""

    headline: str
    detail: str


@dataclass(frozen=True)
class DriverRow:
    """A driver as the page shows him or her.

    Attributes:
        rank: place by the grade, shared by equals; empty if not graded.
        anchor: id of the driver's part of the page.
        name: full name.
        team: name of the team.
        colour: the team's, ``#rrggbb``.
        value: the grade, whole; None if not graded.
        text: the grade as shown.
        ends: its 90 % interval as shown; empty under model v1.
        bar: the interval as drawn; None where there is none.
        parts: scores of the components.
        start: grid slot.
        finish: place, or how it ended.
        gain: places won or lost; empty if not known.
        laps: completed laps.
        status: why it ended early, as the source says.
        reason: why not graded; empty if graded.
        sentence: grade and interval in words.
        moved: what moved the grade; None if not known.
        evidence: tables that unfold.
        is_refused: there is evidence that does not add up.
        explain: command that explains the grade.
    """

    rank: str
    anchor: str
    name: str
    team: str
    colour: str
    value: float | None
    text: str
    ends: str
    bar: Bar | None
    parts: tuple[Part, ...]
    start: str
    finish: str
    gain: str
    laps: str
    status: str
    reason: str
    sentence: str
    moved: MovedText | None
    evidence: tuple[EvidenceTable, ...]
    is_refused: bool
    explain: str


def driver_row(
    race: RaceResult, driver: DriverResult, place: int, told: Mapping[str, Moved]
) -> DriverRow:
    """Make a driver's row.

    Args:
        race: the race.
        driver: one of its drivers.
        place: among `race.drivers`, from 1.
        told: what moved the grades, of `loaders.report.moved.moved`.
    """
    entry = driver.entry
    value = driver.shown
    colour = team_colour(entry["team_id"], race.key.season)
    bar = _bar(driver, colour) if race.is_v2 else None
    own = told.get(entry["driver_id"])
    is_finisher = finish(entry).isdigit()
    option = "" if race.key.session_kind == "race" else f" --session {race.key.session_kind}"
    laps = entry["completed_laps"]
    return DriverRow(
        rank=_rank(race, value),
        anchor=f"driver-{place}",
        name=entry["driver_name"],
        team=entry["team_name"],
        colour=colour,
        value=value,
        text=shown_grade(race, value),
        ends=reach(driver.low, driver.high),
        bar=bar,
        parts=_parts(driver),
        start=grid(entry),
        finish=finish(entry),
        gain=_gain(entry) if is_finisher else "",
        laps=NOT_KNOWN if laps is None else str(laps),
        status="" if is_finisher else _status(entry),
        reason="" if value is not None else reason(driver, race),
        sentence=_sentence(race, driver),
        moved=None if own is None else moved_text(own),
        evidence=() if driver.sections is None else evidence_tables(driver.sections),
        is_refused=driver.is_refused,
        explain=f"drivegrade explain {race.key.season} {race.key.round} DRIVER{option}",
    )


def _rank(race: RaceResult, value: float | None) -> str:
    """Give the place by the grade; equal grades share the first of their places."""
    if value is None:
        return ""
    return str(1 + sum(each.shown is not None and each.shown > value for each in race.graded))


def _status(entry: Line) -> str:
    """Say why a drive ended, if the source knows more than that it did."""
    told = entry["status_text"] or ""
    return "" if told.casefold() == str(entry["status"]).replace("_", " ") else told


def shown_grade(race: RaceResult, value: float | None) -> str:
    """Write a grade of the race's model: a whole number, or the total of model v1."""
    return grade(value) if race.is_v2 else number(value, "{:.3f}")


def _bar(driver: DriverResult, colour: str) -> Bar | None:
    if driver.low is None or driver.high is None or driver.shown is None:
        return None
    return Bar(driver.low, driver.high, driver.shown, colour)


def _parts(driver: DriverResult) -> tuple[Part, ...]:
    """Scores with what was measured."""
    grades = driver.grade
    if grades is None:
        return ()
    raws = {}
    if driver.sections is not None:
        raws = {
            f"{line['name']}_score": number(line["raw"], COMPONENTS[line["name"]][1])
            for line in driver.sections["components"]
        }
    return tuple(
        Part(
            grades[name],
            number(grades[name], "{:.2f}"),
            raws.get(name, "") if grades[name] is not None else "",
        )
        for name in PARTS
    )


def _gain(entry: Line) -> str:
    if entry["grid_position"] is None or entry["position"] is None:
        return ""
    gained = entry["grid_position"] - entry["position"]
    return "±0" if gained == 0 else number(float(gained), "{:+.0f}")


def _sentence(race: RaceResult, driver: DriverResult) -> str:
    """Say what the grade means."""
    if not isinstance(race.profile, CalibrationProfileV2) or driver.shown is None:
        return ""
    ends = reach(driver.low, driver.high, "{:.1f}")
    trained = race.profile.provenance
    return (
        f"Grade {driver.shown:.1f}, 90 % interval {ends}: better than {driver.shown:.0f} % of the "
        f"driver-races of {trained.first_season}–{trained.last_season}."
    )


def moved_text(told: Moved) -> MovedText:
    """Write what moved a grade."""
    side = "above" if told.deviation >= 0 else "below"
    parts = ", ".join(f"{move.name} {number(move.deviation, '{:+.3f}')}" for move in told.moves)
    headline = (
        f"Total {number(told.mean_total + told.deviation, '{:.3f}')} is {abs(told.deviation):.3f} "
        f"{side} the field's mean of {number(told.mean_total, '{:.3f}')}:"
    )
    clauses = list(told.because)
    detail = f"{parts}."
    if clauses:
        first, *rest = clauses
        told_as = "; ".join([first[0].upper() + first[1:], *rest])
        detail += f" {told_as}."
    return MovedText(headline, detail)


def overlap(race: RaceResult) -> tuple[int, int]:
    """Count the graded drivers whose interval overlaps with the best one's, and all others."""
    best, *others = race.graded
    floor = best.low
    if floor is None:
        return 0, len(others)
    return sum(each.high is not None and each.high >= floor for each in others), len(others)


def overlap_sentence(race: RaceResult) -> str:
    """Say how firmly one race orders the drivers."""
    same, all_others = overlap(race)
    if not all_others:
        return ""
    return (
        f"The intervals of {same} of the {plural(all_others, 'other graded driver')} overlap with "
        "the best one's: one race tells the ends of the table apart, and little between them."
    )
