"""Pages above the races: all seasons, one season, and a page that only says something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from engine.tables import SESSION, SessionKey
from loaders import lake
from loaders.pictures.palette import team_colour
from loaders.profiles import model_of, read_profile
from loaders.report.html import render
from loaders.report.wording import day, grade, reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loaders.explain_drive import Line
    from loaders.lake import Snapshot


@dataclass(frozen=True)
class RaceLine:
    """A race or sprint in a list.

    Attributes:
        key: which.
        name: event, with the kind of session.
        circuit: name of the circuit; empty if not known.
        date: as written.
        winner: full name; empty if not known.
        winner_colour: the team's.
        drivers: entered.
        graded: of them, with a grade.
        best: who has the best grade; empty if nobody is graded.
        best_colour: the team's.
        best_grade: the grade as shown, with its interval.
        best_value: the grade, whole.
    """

    key: SessionKey
    name: str
    circuit: str
    date: str
    winner: str
    winner_colour: str
    drivers: int
    graded: int
    best: str
    best_colour: str
    best_grade: str
    best_value: float | None

    @property
    def query(self) -> str:
        """What an address needs besides season and round."""
        return "" if self.key.session_kind == "race" else "?session=sprint"


@dataclass(frozen=True)
class SeasonLine:
    """A season in a list: races and sprints, and how many of them have grades."""

    season: int
    races: int
    graded: int


def list_races(seen: Snapshot, profile_name: str) -> tuple[RaceLine, ...]:
    """List the races and sprints of a lake, by season and round, a sprint before its race.

    Args:
        seen: the lake.
        profile_name: bundled profile or JSON file whose grades count.

    Raises:
        ProfileError: there is no such profile.
        LakeError: the lake cannot be read.
    """
    profile = read_profile(profile_name)
    entries = seen.scan("entries")
    grades = seen.scan("driver_metrics").filter(
        pl.col("profile_name") == profile.name,
        pl.col("model_version") == model_of(profile),
        pl.col("grade").is_not_null(),
    )
    people = entries.select(*SESSION, "driver_id", "driver_name", "team_id")
    best = (
        grades.sort("total_grade", "driver_id", descending=[True, False])
        .group_by(SESSION, maintain_order=True)
        .agg(
            pl.len().alias("graded"),
            pl.col("driver_id", "grade", "grade_low", "grade_high").first(),
        )
        .join(people, on=[*SESSION, "driver_id"], how="left")
        .select(
            *SESSION,
            "graded",
            "grade",
            "grade_low",
            "grade_high",
            best="driver_name",
            best_team="team_id",
        )
    )
    won = entries.filter(pl.col("position") == 1).group_by(SESSION).agg(
        winner=pl.col("driver_name").first(), winner_team=pl.col("team_id").first()
    )  # fmt: skip
    counted = entries.group_by(SESSION).agg(drivers=pl.len())
    plan = seen.scan("sessions")
    for one in (counted, won, best):
        plan = plan.join(one, on=SESSION, how="left")
    rows = lake.collect(plan, seen.lake).to_dicts()
    lines = [_line(row) for row in rows]
    return tuple(sorted(lines, key=lambda line: (*line.key[:2], line.key.session_kind == "race")))


def _line(row: Line) -> RaceLine:
    key = SessionKey(row["season"], row["round"], row["session_kind"])
    kind = " sprint" if key.session_kind == "sprint" else ""
    ends = reach(row["grade_low"], row["grade_high"])
    return RaceLine(
        key=key,
        name=f"{row['event_name']}{kind}",
        circuit=row["circuit_name"] or "",
        date=day(row["session_date"]),
        winner=row["winner"] or "",
        winner_colour=_colour(row["winner_team"], key.season),
        drivers=row["drivers"] or 0,
        graded=row["graded"] or 0,
        best=row["best"] or "",
        best_colour=_colour(row["best_team"], key.season),
        best_grade=grade(row["grade"]) + (f" ({ends})" if ends else ""),
        best_value=row["grade"],
    )


def _colour(team_id: str | None, season: int) -> str:
    return "" if team_id is None else team_colour(team_id, season)


def seasons_page(races: tuple[RaceLine, ...]) -> str:
    """Write the page of all seasons, the newest first, with the races of the newest."""
    counts: dict[int, list[int]] = {}
    for race in races:
        count = counts.setdefault(race.key.season, [0, 0])
        count[0] += 1
        count[1] += race.graded > 0
    seasons = [SeasonLine(season, *count) for season, count in sorted(counts.items(), reverse=True)]
    newest = next((line.season for line in seasons if line.graded), None)
    shown = tuple(race for race in races if race.key.season == newest)
    return render("seasons.html", seasons=seasons, newest=newest, races=shown, prefix="report/")


def season_page(season: int, races: tuple[RaceLine, ...], near: Mapping[str, int | None]) -> str:
    """Write the page of a season.

    Args:
        season: championship year.
        races: its races and sprints.
        near: `before` and `after`: the seasons next to it that there are.
    """
    return render("season.html", season=season, races=races, near=near, prefix="")


def message_page(title: str, text: str, home: str) -> str:
    """Write a page that only says something.

    Args:
        title: what it is.
        text: one or two sentences.
        home: address of the page of all seasons.
    """
    return render("message.html", title=title, text=text, home=home)
