"""The calendar of the simulated season, with its races held yesterday."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loaders.calendar import sync_calendar
from loaders.postgres import connect, read
from loaders.providers import simulated
from tests.loaders.test_calendar import Event, calendar
from tests.warehouse import ask, start_over

if TYPE_CHECKING:
    from engine.tables import SessionKey
    from loaders.connection import Connection
    from loaders.settings import Settings

OVER = "update public.calendar_events set starts_at = now() - interval '1 day' returning 1"


def hold_season(settings: Settings, *sessions: SessionKey) -> None:
    """Empty the warehouse, and have these simulated sessions in the calendar, held yesterday."""
    rows = []
    for session in sessions:
        facts = simulated.fetch(session, settings)["sessions"].row(0, named=True)
        event = Event(facts["event_name"], facts["circuit_id"], str(facts["session_date"]))
        rows.append((session.round, event, session.session_kind))
    with connect(settings) as connection:
        start_over(connection)
        ask(connection, "delete from public.calendar_events returning 1")
        sync_calendar(connection, 2099, calendar(*rows), settings.lake)
        ask(connection, OVER)


def told(connection: Connection, season: int = 2099) -> dict[str, tuple[str, str | None, int]]:
    """What the calendar tells of each session: status, reason and attempts."""
    rows = read(connection, "calendar", season).to_dicts()
    return {
        f"{row['season']}-{row['round']}-{row['session_kind']}": (
            row["status"],
            row["status_reason"],
            row["attempts"],
        )
        for row in rows
    }
