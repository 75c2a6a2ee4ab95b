"""OpenF1's answers from the recorded weekends, for the replay server.

A year's calendar is made whole: rounds that are not recorded stand in as meetings and sessions
derived from the history tables, and one test meeting comes before them, as in the real service.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Row = dict[str, Any]

ENDPOINTS = frozenset(
    {
        "drivers", "laps", "meetings", "overtakes", "pit", "position", "race_control",
        "session_result", "sessions", "starting_grid", "stints", "weather",
    }
)  # fmt: skip

SYNTHETIC_MEETING_KEY = 900_000
SYNTHETIC_SESSION_KEY = 9_000_000
PUBLIC_URL = "https://api.openf1.org/v1"


class NotRecordedError(Exception):
    """Nobody recorded what was asked; the text is the command that would."""


class OpenF1:
    """Answers of the twelve endpoints, filtered by equality on any attribute."""

    def __init__(self, realdata: Path) -> None:
        self._folder, self._history = realdata / "openf1", realdata / "history"
        self._read = cache(lambda path: json.loads(path.read_bytes()) if path.is_file() else [])
        self._calendar = cache(self._calendar_of)

    def answer(self, endpoint: str, filters: Mapping[str, Sequence[str]]) -> list[Row]:
        """Give the rows of an endpoint that match all filters; several values mean any of them.

        Raises:
            NotRecordedError: the endpoint or the session is not among the recorded.
        """
        command = _command(endpoint, filters)
        if endpoint not in ENDPOINTS:
            raise NotRecordedError(command)
        if endpoint in ("meetings", "sessions"):
            rows = [row for year in self._years() for row in self._calendar(year)[endpoint]]
            return [row for row in rows if _matches(row, filters)]
        files = [self._read(path) for path in sorted(self._folder.glob(f"*/{endpoint}.json"))]
        identity = {
            name: filters[name] for name in ("session_key", "meeting_key") if name in filters
        }
        of_session = [row for rows in files for row in rows if _matches(row, identity)]
        if not of_session and not self._is_empty(endpoint, identity):
            raise NotRecordedError(command)
        return [row for row in of_session if _matches(row, filters)]

    def _is_empty(self, endpoint: str, identity: Mapping[str, Sequence[str]]) -> bool:
        """Tell a recorded session without rows from one that is not recorded.

        The grid hangs on the qualifying session; asked for another one, the service has none.
        """
        for path in self._folder.glob(f"*/{endpoint}.json"):
            weekend = self._read(path.with_name("sessions.json"))
            results = self._read(path.with_name("session_result.json"))
            is_recorded = any(_matches(row, identity) for row in results)
            is_listed = any(_matches(row, identity) for row in weekend)
            if is_listed and (endpoint == "starting_grid" or is_recorded):
                return True
        return False

    def _years(self) -> list[int]:
        return sorted({int(folder.name[:4]) for folder in self._folder.iterdir()})

    def _calendar_of(self, year: int) -> dict[str, list[Row]]:
        """Meetings and sessions of a year, recorded or synthetic, by date."""
        found: dict[str, list[Row]] = {"meetings": [], "sessions": []}
        recorded = set()
        for folder in self._folder.glob(f"{year}_*"):
            recorded.add(int(folder.name[5:]))
            for endpoint in found:
                found[endpoint] += self._read(folder / f"{endpoint}.json")
        races = (
            pl.read_parquet(self._history / "races.parquet")
            .join(
                pl.read_parquet(self._history / "circuits.parquet"),
                on="circuitId",
                suffix="_circuit",
            )
            .filter(pl.col("year") == year, ~pl.col("round").is_in(recorded))
            .sort("round")
        )
        for race in races.to_dicts():
            found["meetings"].append(_meeting(race))
            found["sessions"] += _sessions(race)
        first = min(found["meetings"], key=lambda row: row["date_start"])
        found["meetings"].append(_testing(first))
        return {
            name: sorted(rows, key=lambda row: row["date_start"]) for name, rows in found.items()
        }


def _matches(row: Row, filters: Mapping[str, Sequence[str]]) -> bool:
    return all(name in row and _text(row[name]) in wanted for name, wanted in filters.items())


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _command(endpoint: str, filters: Mapping[str, Sequence[str]]) -> str:
    query = "&".join(f"{name}={value}" for name, values in filters.items() for value in values)
    file = f"$DRIVEGRADE_REALDATA/openf1/YEAR_ROUND/{endpoint}.json"
    return f'curl --create-dirs -o "{file}" "{PUBLIC_URL}/{endpoint}?{query}"'


def _place(race: Row) -> Row:
    return {
        "circuit_key": race["circuitId"],
        "circuit_short_name": race["location"],
        "country_code": race["country"][:3].upper(),
        "country_key": race["circuitId"],
        "country_name": race["country"],
        "gmt_offset": "00:00:00",
        "is_cancelled": False,
        "location": race["location"],
        "meeting_key": SYNTHETIC_MEETING_KEY + race["raceId"],
        "year": race["year"],
    }


def _start(date: str, time: str | None) -> datetime:
    return datetime.fromisoformat(f"{date}T{time or '13:00:00'}+00:00")


def _meeting(race: Row) -> Row:
    start = _start(race["date"], race["time"])
    return {
        **_place(race),
        "date_start": (start - timedelta(days=2)).isoformat(),
        "date_end": (start + timedelta(hours=2)).isoformat(),
        "meeting_name": race["name"],
        "meeting_official_name": f"FORMULA 1 {race['name'].upper()} {race['year']}",
    }


def _sessions(race: Row) -> list[Row]:
    starts = {"Race": _start(race["date"], race["time"])}
    if race["sprint_date"] is not None:
        starts["Sprint"] = _start(race["sprint_date"], race["sprint_time"])
    return [
        {
            **_place(race),
            "date_start": start.isoformat(),
            "date_end": (start + timedelta(hours=2)).isoformat(),
            "session_key": SYNTHETIC_SESSION_KEY + 10 * race["raceId"] + number,
            "session_name": name,
            "session_type": "Race",
        }
        for number, (name, start) in enumerate(starts.items())
    ]


def _testing(first: Row) -> Row:
    """The test meeting before a season: a meeting like others, but no round."""
    start = datetime.fromisoformat(first["date_start"]) - timedelta(days=14)
    return {
        **first,
        "meeting_key": SYNTHETIC_MEETING_KEY,
        "meeting_name": "Pre-Season Testing",
        "meeting_official_name": "FORMULA 1 PRE-SEASON TESTING",
        "date_start": start.isoformat(),
        "date_end": (start + timedelta(days=2)).isoformat(),
    }
