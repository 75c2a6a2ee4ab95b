"""A season's calendar as Jolpica has it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from loaders.jolpica_api import Race
from loaders.providers.jolpica_calendar import calendar_rows, fetch_calendar
from loaders.settings import Settings
from tests.replay import replay

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.realdata
def test_a_season_has_its_sprints(realdata: Path, tmp_path: Path) -> None:
    """2023 has 22 Grands Prix and six sprints."""
    with replay(realdata) as running:
        asked = Settings(home=tmp_path, jolpica_url=running.jolpica_url, allow_loopback=True)
        calendar = fetch_calendar(2023, asked)
    assert calendar.group_by("session_kind").len().sort("session_kind").rows() == [
        ("race", 22),
        ("sprint", 6),
    ]
