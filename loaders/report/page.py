"""The page of a race: what stands on it, in the order in which it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loaders.pictures.palette import team_colour
from loaders.report.html import render
from loaders.report.meaning import meaning, sources
from loaders.report.moved import moved
from loaders.report.race import no_grades, regrade_command
from loaders.report.rows import driver_row, overlap_sentence, shown_grade
from loaders.report.wording import day, grid, place, plural, reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loaders.report.drawings import Drawing
    from loaders.report.meaning import Fact
    from loaders.report.race import DriverResult, RaceResult
    from loaders.report.rows import DriverRow

PART_HEADINGS: Final = ("Pace against the car", "Racecraft", "Mistakes")
PART_HEADINGS_V1: Final = ("Consistency", "Racecraft", "Penalties")


@dataclass(frozen=True)
class Highlight:
    """A fact of the headline: its name, the value, more about it, and a team's colour."""

    name: str
    value: str
    more: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Trail:
    """Links to the pages above, relative to the race's."""

    home: str
    season: str


@dataclass(frozen=True)
class RacePage:
    """What the template shows.

    Attributes:
        title: event, year and kind of session.
        season: championship year.
        where: circuit and round.
        facts: winner, best drive and date.
        trail: links to the pages above; None in a file.
        notice: why nobody is graded; empty if somebody is.
        remedy: command that grades the race; empty if none would.
        is_v2: grades have intervals.
        rows: graded drivers, best first.
        not_graded: the others, in the official order.
        summary: sentences above the table.
        caption: of the table.
        grade_heading: of the column of grades.
        part_headings: of the components.
        legend: what the columns hold.
        pictures: drawings.
        moves_lead: what the deviations are.
        meaning: what a grade is and is not.
        sources: where everything is from.
        commands: how to make the page again.
    """

    title: str
    season: int
    where: str
    facts: tuple[Highlight, ...]
    trail: Trail | None
    notice: str
    remedy: str
    is_v2: bool
    rows: tuple[DriverRow, ...]
    not_graded: tuple[DriverRow, ...]
    summary: tuple[str, ...]
    caption: str
    grade_heading: str
    part_headings: tuple[str, ...]
    legend: str
    pictures: tuple[Drawing, ...]
    moves_lead: str
    meaning: tuple[str, ...]
    sources: tuple[Fact, ...]
    commands: str


def race_page(
    race: RaceResult, pictures: Sequence[Drawing] = (), trail: Trail | None = None
) -> str:
    """Write the page of a race as HTML that needs no network.

    Args:
        race: what the lake has of it.
        pictures: drawings to show, in their order.
        trail: links to the pages above, where the page is served.
    """
    return render("race.html", page=_page(race, tuple(pictures), trail))


def _page(race: RaceResult, pictures: tuple[Drawing, ...], trail: Trail | None) -> RacePage:
    told = moved(race)
    rows = [driver_row(race, driver, number, told) for number, driver in enumerate(race.drivers, 1)]
    graded = tuple(rows[: len(race.graded)])
    return RacePage(
        title=title(race),
        season=race.key.season,
        where=_where(race),
        facts=tuple(_facts(race)),
        trail=trail,
        notice="" if graded else no_grades(race),
        remedy=regrade_command(race) if race.is_regradable else "",
        is_v2=race.is_v2,
        rows=graded,
        not_graded=tuple(rows[len(graded) :]),
        summary=_summary(race) if graded else (),
        caption=_caption(race),
        grade_heading="Grade" if race.is_v2 else "Total",
        part_headings=PART_HEADINGS if race.is_v2 else PART_HEADINGS_V1,
        legend=_legend(race),
        pictures=pictures if graded else (),
        moves_lead=_moves_lead(race),
        meaning=meaning(race),
        sources=sources(race),
        commands=commands(race),
    )


def title(race: RaceResult) -> str:
    """Name a race: Chinese Grand Prix 2025, sprint."""
    kind = ", sprint" if race.key.session_kind == "sprint" else ""
    return f"{race.session['event_name']} {race.key.season}{kind}"


def _where(race: RaceResult) -> str:
    parts = (race.session["circuit_name"], day(race.session["session_date"]))
    return " · ".join([part for part in parts if part] + [f"Round {race.key.round}"])


def _facts(race: RaceResult) -> list[Highlight]:
    """Say who won, and whose drive was graded best."""
    facts = []
    if race.winner is not None:
        more = f"{race.winner.entry['team_name']}, from {_from(race.winner)}"
        if race.winner.shown is not None:
            more += f"; {_grade(race, race.winner)}"
        facts.append(_highlight(race, "Winner", race.winner, more))
    if race.graded:
        facts.append(_best(race))
    return facts


def _best(race: RaceResult) -> Highlight:
    """Say whose drive was graded best, or how many share that."""
    best = race.graded[0]
    equal = sum(driver.shown == best.shown for driver in race.graded)
    if equal > 1:
        return Highlight("Best drive", plural(equal, "driver"), _grade(race, best))
    more = f"{best.entry['team_name']}, from {_from(best)} to {place(best.entry)}"
    return _highlight(race, "Best drive", best, f"{more}; {_grade(race, best)}")


def _highlight(race: RaceResult, name: str, driver: DriverResult, more: str) -> Highlight:
    colour = team_colour(driver.entry["team_id"], race.key.season)
    return Highlight(name, driver.entry["driver_name"], more, colour)


def _from(driver: DriverResult) -> str:
    told = grid(driver.entry)
    if told == "pit lane":
        return "the pit lane"
    return f"grid {told}" if told.isdigit() else "an unknown slot"


def _grade(race: RaceResult, driver: DriverResult) -> str:
    told, ends = shown_grade(race, driver.shown), reach(driver.low, driver.high)
    return f"grade {told} ({ends})" if ends else f"total {told}"


def _summary(race: RaceResult) -> tuple[str, ...]:
    if not race.is_v2:
        return (
            (
                "Grades of model v1: a weighted sum of scores, without an interval and without "
                "evidence that unfolds."
            ),
        )
    sentences = [
        (
            "A grade is the share of all drives that were worse; 50 is the middling one. One race "
            "tells little, so read each grade with its interval."
        ),
        overlap_sentence(race),
    ]
    return tuple(filter(None, sentences))


def _caption(race: RaceResult) -> str:
    count = f"{len(race.graded)} of {len(race.drivers)} drivers graded"
    return f"{title(race)}: {count}, best first"


def _legend(race: RaceResult) -> str:
    if not race.is_v2:
        return "Scores are 0 to 1. Total: 0.55 × consistency + 0.45 × racecraft − 0.10 × penalties."
    return (
        "Components are scores of 0 to 1, 0.5 for the average driver-race, with what was measured "
        "below: per cent of the lap time against the car, passes beyond what was to be expected, "
        "and the burden of mistakes and penalties, of which less is better. In the bars the dot "
        "is the grade, the thin mark is 50."
    )


def _moves_lead(race: RaceResult) -> str:
    where = "" if not race.is_v2 else " The evidence unfolds below each driver."
    return (
        "Each driver's total against the mean of the graded field, component by component; the "
        f"parts add up to the difference.{where}"
    )


def commands(race: RaceResult) -> str:
    """Give the commands that make the page again."""
    key = race.key
    option = "" if key.session_kind == "race" else f" --session {key.session_kind}"
    chosen = "" if race.profile.name == "v2" else f" --profile {race.profile.name}"
    brought = {
        "jolpica": "drivegrade history import DUMP",
        "simulated": "drivegrade demo",
    }.get(race.data_source, f"drivegrade ingest {key.season} {key.round}{option}")
    lines = [
        brought,
        regrade_command(race),
        f"drivegrade report {key.season} {key.round}{option}{chosen} -o report.html",
    ]
    if race.is_v2 and race.graded:
        lines.append(f"drivegrade explain {key.season} {key.round} DRIVER{option}")
    return "\n".join(lines)
