"""Who is drawn how: label, colour, dash and shape of each driver, the same in all pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from loaders.pictures import palette

if TYPE_CHECKING:
    import polars as pl

LABEL_LENGTH: Final = 12
"""Letters of a label; longer names are cut."""


class Look(NamedTuple):
    """How a driver is drawn.

    Attributes:
        driver_id: who.
        label: three-letter code, or the family name where there is none; nobody else's.
        driver_name: full name.
        team_id: the team last driven for.
        team_name: its name.
        colour: the team's, ``#rrggbb``.
        mate: 0 for the first of the team by id, 1 for the second, …
    """

    driver_id: str
    label: str
    driver_name: str
    team_id: str
    team_name: str
    colour: str
    mate: int

    @property
    def dash(self) -> list[int]:
        """Lengths of strokes and gaps of the driver's line, px."""
        return palette.DASHES[self.mate % len(palette.DASHES)]

    @property
    def shape(self) -> str:
        """Shape of the driver's marks."""
        return palette.SHAPES[self.mate % len(palette.SHAPES)]


def looks(entries: pl.DataFrame) -> dict[str, Look]:
    """Decide how drivers are drawn.

    Args:
        entries: rows of `engine.tables.Entries`, of one or more sessions; of several entries the
            last by time counts.

    Returns:
        By driver id, sorted by it.
    """
    last: dict[str, dict[str, object]] = {}
    for row in sorted(entries.to_dicts(), key=_moment):
        last[row["driver_id"]] = row
    codes = [row["driver_code"] for row in last.values()]
    found: dict[str, Look] = {}
    mates: dict[str, int] = {}
    taken: set[str] = set()
    for driver_id, row in sorted(last.items()):
        name, team_id = str(row["driver_name"]), str(row["team_id"])
        code = row["driver_code"]
        label = (
            str(code)
            if code and codes.count(code) == 1
            else name.rsplit(maxsplit=1)[-1][:LABEL_LENGTH]
        )
        if label in taken:
            label = name if name not in taken else driver_id
        taken.add(label)
        mate = mates[team_id] = mates.get(team_id, -1) + 1
        season = int(str(row["session_id"])[:4])
        colour = palette.team_colour(team_id, season)
        found[driver_id] = Look(
            driver_id, label, name, team_id, str(row["team_name"]), colour, mate
        )
    return found


def _moment(row: dict[str, str]) -> tuple[int, int]:
    """Place of an entry in time: season and round."""
    season, number, *_ = row["session_id"].split("-")
    return int(season), int(number)
