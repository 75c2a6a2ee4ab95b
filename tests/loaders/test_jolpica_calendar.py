"""A season's calendar as Jolpica has it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from loaders import administration
from loaders.jolpica_api import Race
from loaders.providers.jolpica_calendar import calendar_rows, fetch_calendar
from tests.replay import replay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loaders.settings import Settings


def race(**values: object) -> Race:
    """A race as the service writes it."""
    start = {
        "season": "2024",
        "round": "5",
        "raceName": "Chinese Grand Prix",
        "Circuit": {"circuitId": "shanghai", "circuitName": "Shanghai International Circuit"},
        "date": "2024-04-21",
        "time": "07:00:00Z",
    }
    return Race.model_validate(start | values)


def test_a_sprint_weekend_is_two_sessions() -> None:
    """Each with its own day and start, in UTC."""
    found = calendar_rows([race(Sprint={"date": "2024-04-20", "time": "03:00:00Z"})])
    assert found.select("session_kind", "session_date", "starts_at").rows() == [
        ("race", date(2024, 4, 21), datetime(2024, 4, 21, 7, tzinfo=UTC)),
        ("sprint", date(2024, 4, 20), datetime(2024, 4, 20, 3, tzinfo=UTC)),
    ]


def test_a_start_that_is_not_known_is_null() -> None:
    """Midnight would be a time."""
    assert calendar_rows([race(time=None)])["starts_at"].to_list() == [None]


@pytest.fixture
def replayed(settings: Settings, realdata: Path) -> Iterator[Settings]:
    """Settings that ask a replay of Jolpica and OpenF1."""
    with replay(realdata) as running:
        yield settings.model_copy(
            update={
                "jolpica_url": running.jolpica_url,
                "openf1_url": running.openf1_url,
                "allow_loopback": True,
            }
        )


@pytest.mark.realdata
def test_a_season_is_synchronized_once(replayed: Settings) -> None:
    """2023 has 22 Grands Prix and six sprints; the second time nothing changes."""
    calendar = fetch_calendar(2023, replayed)
    assert calendar.group_by("session_kind").len().sort("session_kind").rows() == [
        ("race", 22),
        ("sprint", 6),
    ]
    report = administration.sync_season(replayed, 2023)
    assert (len(report.added), report.unchanged) == (28, 0)
    again = administration.sync_season(replayed, 2023)
    assert (again.added, again.unchanged) == ((), 28)
    stored = administration.read_calendar(replayed, 2023)
    assert stored.filter(pl.col("status") != "scheduled").is_empty()
