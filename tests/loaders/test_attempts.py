"""What the calendar tells of attempts to ingest, of what is due and of what is under way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from engine.tables import SessionKey
from loaders import administration, jobs
from loaders.calendar import fail_attempt, sync_calendar
from loaders.connection import run_file
from loaders.errors import SessionBusyError, WarehouseError
from loaders.postgres import connect, read
from loaders.providers import ProviderError
from loaders.settings import Settings
from tests.loaders.test_calendar import BAHRAIN, CANADA, MIAMI, Event, calendar, on, store
from tests.warehouse import ask, start_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loaders.connection import Connection


@pytest.fixture
def connection(warehouse_settings: Settings) -> Iterator[Connection]:
    """An empty warehouse that knows the baseline profile."""
    with connect(warehouse_settings) as made:
        start_over(made)
        yield made


SIMULATED = Event("Simulated Grand Prix", "nowhere", "2099-03-01")


def in_2099(connection: Connection) -> list[tuple[str, str | None, int]]:
    """Status, reason and attempts of the sessions of 2099."""
    rows = read(connection, "calendar", 2099)
    return rows.select("status", "status_reason", "attempts").rows()


def test_an_ingest_is_counted_and_its_failure_noted(
    connection: Connection, warehouse_settings: Settings, tmp_path: Path
) -> None:
    """By the first line of its reason; what the calendar does not have is not noted."""
    sync_calendar(connection, 2099, calendar((9, SIMULATED)), tmp_path)
    for attempts in (1, 2):
        with pytest.raises(ProviderError) as raised:
            jobs.ingest(SessionKey(2099, 9), warehouse_settings, provider_name="simulated")
        first_line = str(raised.value).splitlines()[0]
        assert in_2099(connection) == [("failed", first_line, attempts)]
    with pytest.raises(ProviderError):
        jobs.ingest(SessionKey(2099, 8), warehouse_settings, provider_name="simulated")
    assert len(in_2099(connection)) == 1


def test_an_ingest_that_succeeds_is_ingested(
    connection: Connection, warehouse_settings: Settings
) -> None:
    """After a failure too; each attempt counts, also one that changes nothing."""
    sprint = SessionKey(2099, 2, "sprint")
    jobs.ingest(sprint, warehouse_settings, provider_name="simulated")
    ask(connection, "update public.calendar_events set status = 'scheduled' returning 1")
    with pytest.raises(ProviderError):
        jobs.ingest(sprint, warehouse_settings, provider_name="nobody")
    assert in_2099(connection)[0][0] == "failed"
    jobs.ingest(sprint, warehouse_settings, provider_name="simulated", force=True)
    assert in_2099(connection) == [("ingested", None, 2)]
    assert jobs.ingest(sprint, warehouse_settings, provider_name="simulated").load.changed_rows == 0
    assert in_2099(connection) == [("ingested", None, 3)]


def test_a_busy_session_has_not_failed(
    connection: Connection, warehouse_settings: Settings, tmp_path: Path
) -> None:
    """Another process is loading it."""
    sync_calendar(connection, 2099, calendar((1, SIMULATED)), tmp_path)
    race = SessionKey(2099, 1)
    with connect(warehouse_settings) as other:
        run_file(other, "queries/lock_session", race.session_id)
        with pytest.raises(SessionBusyError):
            jobs.ingest(race, warehouse_settings, provider_name="simulated")
    assert in_2099(connection) == [("scheduled", None, 1)]


def test_what_cannot_be_noted_hides_nothing(
    connection: Connection, warehouse_settings: Settings
) -> None:
    """The calendar is gone: the source's own error comes through."""
    ask(connection, "alter table public.calendar_events rename to away")
    try:
        with (
            pytest.raises(ProviderError, match="the source's own"),
            administration.attempt(warehouse_settings, SessionKey(2099, 1)),
        ):
            raise ProviderError("the source's own")
    finally:
        ask(connection, "alter table public.away rename to calendar_events")


def test_an_unreachable_database_is_told_before_anything_is_fetched() -> None:
    """Although the provider does not exist either."""
    nowhere = Settings(database_url=SecretStr("postgresql://127.0.0.1:1/x"))
    with pytest.raises(WarehouseError):
        jobs.ingest(SessionKey(2099, 1), nowhere, provider_name="nobody")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no laps\n  of anybody", "no laps"),
        ("asked https://me:hunter2@host/x?year=1", "asked https://host/x?year=1"),
        ("password=hunter2 token: hunter2", "password=… token: …"),
        ("\x1b[31mred\x00", " [31mred "),
        ("x" * 301, "x" * 299 + "…"),
        ("x" * 300, "x" * 300),
    ],
)
def test_a_reason_is_short_and_has_no_secrets(said: str, shown: str) -> None:
    """Everybody can read the calendar."""
    assert administration.public_reason(ProviderError(said)) == shown


# What is due, and what is under way


def at(clock: str, day: int = 3) -> datetime:
    """A moment of May 2026, UTC; the race of Miami starts on the third at 14:00."""
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 5, day, hour, minute, tzinfo=UTC)


def due(settings: Settings, now: datetime) -> list[tuple[str, str]]:
    """What is due, and why."""
    rows = administration.due_sessions(settings, now)
    return rows.select("session_id", "why").rows()


def test_a_session_is_due_when_it_is_over(
    connection: Connection, warehouse_settings: Settings, tmp_path: Path
) -> None:
    """A Grand Prix after three hours, a sprint after two; the one that waits longest is first."""
    season = calendar(
        (4, MIAMI), (4, on(MIAMI, -1), "sprint"), (5, CANADA), (None, BAHRAIN, "cancelled")
    )
    sync_calendar(connection, 2026, season, tmp_path)
    assert due(warehouse_settings, at("15:59", day=2)) == []
    sprint, race = ("2026-4-sprint", "not ingested"), ("2026-4", "not ingested")
    assert due(warehouse_settings, at("16:00", day=2)) == [sprint]
    assert due(warehouse_settings, at("16:59")) == [sprint]
    assert due(warehouse_settings, at("17:00")) == [sprint, race]
    ask(connection, "update public.calendar_events set starts_at = null returning 1")
    assert due(warehouse_settings, at("17:00")) == []


@pytest.mark.parametrize(
    ("attempts", "pause"), [(1, 30), (2, 60), (3, 120), (6, 960), (7, 960), (8, None)]
)
def test_a_failed_session_is_tried_again_after_a_pause(
    connection: Connection,
    warehouse_settings: Settings,
    tmp_path: Path,
    *,
    attempts: int,
    pause: int | None,
) -> None:
    """Twice as long each time (minutes), up to 16 hours; after eight attempts never."""
    sync_calendar(connection, 2026, calendar((4, MIAMI)), tmp_path)
    ask(
        connection,
        "update public.calendar_events set status = 'failed', attempts = $1::integer, "
        "last_attempt_at = '2026-05-03 18:00+00' returning 1",
        attempts,
    )
    if pause is None:
        assert due(warehouse_settings, at("18:00", day=30)) == []
        return
    ready = at("18:00") + timedelta(minutes=pause)
    assert due(warehouse_settings, ready - timedelta(seconds=1)) == []
    assert due(warehouse_settings, ready) == [("2026-4", "not ingested")]


def test_an_incomplete_session_is_due_when_it_should_be_fetched_again(
    connection: Connection, warehouse_settings: Settings
) -> None:
    """What is ingested and complete never is."""
    store(connection, 4, MIAMI)
    assert due(warehouse_settings, at("14:00", day=30)) == []
    refetch = "update public.calendar_events set refetch_at = '2026-05-04 14:00+00' returning 1"
    ask(connection, refetch)
    assert due(warehouse_settings, at("13:59", day=4)) == []
    assert due(warehouse_settings, at("14:00", day=4)) == [("2026-4", "incomplete")]


def test_a_session_is_live_from_its_start_until_it_is_due(
    connection: Connection, warehouse_settings: Settings, tmp_path: Path
) -> None:
    """Told by the clock; what is ingested or cancelled is not live."""
    season = calendar((4, MIAMI), (None, on(BAHRAIN)._replace(day=MIAMI.day), "cancelled"))
    sync_calendar(connection, 2026, season, tmp_path)
    fail_attempt(connection, SessionKey(2026, 4), "too early")

    def told(clock: str) -> list[tuple[str, str | None]]:
        rows = administration.read_calendar(warehouse_settings, 2026, at(clock))
        return rows.select("status", "status_reason").rows()

    failed, cancelled = ("failed", "too early"), ("cancelled", "cancelled in the calendar")
    assert told("13:59") == [failed, cancelled]
    assert told("14:00") == [("live", None), cancelled]
    assert told("16:59") == [("live", None), cancelled]
    assert told("17:00") == [failed, cancelled]
    store(connection, 4, MIAMI)
    assert told("16:59") == [("ingested", None), cancelled]
