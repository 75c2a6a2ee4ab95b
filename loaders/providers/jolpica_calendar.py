"""Jolpica's calendar of a season: which sessions there are, where and when.

Jolpica lists what is to be held; an event that was cancelled is simply not there any more.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl
from pydantic import Field

from engine.tables import CalendarSessions
from loaders.http import open_client
from loaders.jolpica_api import NAME, PAGE_ROWS, Document, Race, source
from loaders.providers import ProviderError
from loaders.strict_json import read_json, validate_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loaders.settings import Settings


class _Table(Document):
    races: list[Race] = Field(alias="Races", max_length=PAGE_ROWS)


class _Page(Document):
    race_table: _Table = Field(alias="RaceTable")


class _Answer(Document):
    page: _Page = Field(alias="MRData")


def fetch_calendar(season: int, settings: Settings) -> pl.DataFrame:
    """Fetch a season's Grands Prix and sprints.

    Args:
        season: championship year.
        settings: where Jolpica answers.

    Returns:
        `engine.tables.CalendarSessions`; meeting keys are null, nothing is cancelled.

    Raises:
        ProviderError: no answer, or no race in it.
        ContractError: an answer that cannot be read.
    """
    origin = f"{NAME} {season}"
    with open_client(source(settings), settings) as client:
        reply = client.get(f"{season}/races.json", limit=PAGE_ROWS)
    answer = validate_records(
        [read_json(reply.content, origin, "races")], _Answer, origin, "races"
    )[0]
    races = answer.page.race_table.races
    if not races:
        raise ProviderError(f"{origin}: no calendar is published.\nNothing was changed.")
    return calendar_rows(races)


def calendar_rows(races: Sequence[Race]) -> pl.DataFrame:
    """Turn races into rows under contract: the Grand Prix, and the sprint if there is one."""
    frame = pl.DataFrame(list(_sessions(races)), schema=CalendarSessions.create_empty().schema)
    return CalendarSessions.validate(frame)


def _sessions(races: Sequence[Race]) -> Iterator[dict[str, object]]:
    for race in races:
        days = {"race": (race.date, race.time)}
        if race.sprint is not None:
            days["sprint"] = (race.sprint.date, race.sprint.time)
        for kind, (day, time) in days.items():
            yield {
                "season": int(race.season),
                "round": int(race.round),
                "session_kind": kind,
                "event_name": race.race_name,
                "circuit_id": race.circuit.circuit_id,
                "session_date": date.fromisoformat(day),
                "starts_at": None if time is None else datetime.fromisoformat(f"{day}T{time}"),
                "meeting_key": None,
                "is_cancelled": False,
            }
