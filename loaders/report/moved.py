"""What moved a grade: each component against the field's mean, and the largest things behind it.

    deviation = contribution − mean contribution of all drivers with a total

so that the deviations of a driver add up to the total less the field's mean total.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.v1.grade import TOTAL_WEIGHTS
from loaders.display_explain import ranges
from loaders.report.wording import number, plural, short_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loaders.explain_drive import Line
    from loaders.explain_sections import Sections
    from loaders.report.race import DriverResult, RaceResult

NAMES: Final = {
    "consistency": "pace against the car",
    "racecraft": "racecraft",
    "penalty": "mistakes and penalties",
}
"""Components of model v2 in words."""

NAMES_V1: Final = {**NAMES, "consistency": "consistency", "penalty": "penalties"}
"""Components of model v1 in words."""

TOLD_PASSES: Final = 0.3
"""Passes below which a line of racecraft is not told in a sentence."""

TOLD_LINES: Final = 2
"""Lines of racecraft that are told at most."""

TOLD_LOSS_PCT: Final = 1.0
"""Loss below which a slow lap is not told in a sentence, % of the lap time."""


@dataclass(frozen=True)
class Move:
    """How far one component moved a driver's total from the field's mean.

    Attributes:
        name: component in words.
        deviation: contribution less the field's mean, in the unit of the total.
    """

    name: str
    deviation: float


@dataclass(frozen=True)
class Moved:
    """What moved a driver's grade.

    Attributes:
        deviation: total less the field's mean total; the moves add up to it.
        mean_total: the field's mean total.
        moves: one a component, the largest first.
        because: what happened, in clauses; empty under model v1.
    """

    deviation: float
    mean_total: float
    moves: tuple[Move, ...]
    because: tuple[str, ...]


def moved(race: RaceResult) -> Mapping[str, Moved]:
    """Compare the drivers with a total.

    Returns:
        What moved each grade, by `driver_id`; nothing for drivers without a total, or whose
        evidence does not add up.
    """
    parts = {
        driver.entry["driver_id"]: own
        for driver in race.graded
        if (own := _contributions(driver, race)) is not None
    }
    if not parts:
        return {}
    names = NAMES if race.is_v2 else NAMES_V1
    count = len(parts)
    mean = {name: math.fsum(own[name] for own in parts.values()) / count for name in names}
    told: dict[str, Moved] = {}
    for driver in race.graded:
        own = parts.get(driver.entry["driver_id"])
        if own is None:
            continue
        moves = [Move(names[name], own[name] - mean[name]) for name in names]
        moves.sort(key=lambda move: -abs(move.deviation))
        told[driver.entry["driver_id"]] = Moved(
            math.fsum(move.deviation for move in moves),
            math.fsum(mean.values()),
            tuple(moves),
            () if driver.sections is None else tuple(_because(driver.sections)),
        )
    return told


def _contributions(driver: DriverResult, race: RaceResult) -> dict[str, float] | None:
    """What each component adds to the total."""
    if race.is_v2:
        if driver.sections is None:
            return None
        return {line["name"]: line["contribution"] for line in driver.sections["components"]}
    if driver.grade is None:
        return None
    return {
        name.removesuffix("_score"): weight * (driver.grade[name] or 0.0)
        for name, weight in TOTAL_WEIGHTS.items()
    }


def _because(sections: Sections) -> Iterable[str]:
    """Tell what happened: pace, the largest lines of racecraft, and what went wrong."""
    yield _pace(sections)
    lines = [
        line
        for line in sections["racecraft"]
        if line["name"] in RACECRAFT and abs(line["counted"] or 0.0) >= TOLD_PASSES
    ]
    lines.sort(key=lambda line: -abs(line["counted"]))
    for line in lines[:TOLD_LINES]:
        yield f"{happened(line)} ({number(line['counted'], '{:+.1f}')} passes)"
    yield from _mistakes(sections)


def _pace(sections: Sections) -> str:
    """Tell the pace against the car."""
    line = next(line for line in sections["pace"] if line["name"] == "car")
    median_ms = sections["laps"][0]["median_lap_ms"]
    faster = line["faster_pct"]
    if faster is None:
        return "pace not known"
    word = "faster" if faster >= 0 else "slower"
    seconds = "" if median_ms is None else f"{abs(faster) * median_ms * 1e-5:.2f} s a lap or "
    return f"{seconds}{abs(faster):.2f} % {word} than the car's level"


def _start(line: Line) -> str:
    beyond = line["beyond_usual_places"]
    word = "gained" if beyond >= 0 else "lost"
    return f"{word} {abs(beyond):.1f} places at the start beyond what is usual"


def happened(line: Line) -> str:
    """Tell a line of racecraft in words."""
    if line["name"] == "start":
        return _start(line)
    told = RACECRAFT[line["name"]]
    others = (
        plural(line["opponents"], "other driver")
        if line["opponent_id"] is None
        else short_name(line["opponent_name"] or line["opponent_id"])
    )
    if line["name"] in {"pass_made", "pass_suffered"}:
        return f"{told} {others} on lap {line['key']['lap_number']}"
    return f"{told} {others} for {plural(line['laps'], 'lap')}"


RACECRAFT: Final = {
    "pass_made": "passed",
    "pass_suffered": "passed by",
    "not_passed": "stayed behind",
    "not_suffered": "held off",
    "start": "start",
}
"""Lines of racecraft that count, in words."""


def _mistakes(sections: Sections) -> Iterable[str]:
    """Tell slow laps, a crash and the stewards' seconds."""
    slow: Sequence[Line] = [
        line
        for line in sections["mistakes"]
        if line["name"] == "slow_lap" and line["loss_pct"] >= TOLD_LOSS_PCT
    ]
    if slow:
        named = ranges(line["lap_number"] for line in slow)
        word = "lap" if len(slow) == 1 else "laps"
        yield f"{plural(len(slow), 'slow lap')} in clear air ({word} {named})"
    burden = {line["name"]: line for line in sections["burden"]}
    if burden["crash"]["counted"]:
        yield "retired by a crash, collision or spin"
    if burden["stewards"]["counted"]:
        yield f"{burden['stewards']['penalty_s']:.0f} s of penalties"
