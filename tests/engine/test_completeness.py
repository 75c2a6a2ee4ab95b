"""What makes a session incomplete, and what does not."""

from __future__ import annotations

import pytest

from engine.completeness import missing
from tests.frames import frame, laps


def reasons(
    entries: list[dict[str, object]], driven: dict[str, int], season: int = 2025
) -> list[tuple[str, str]]:
    """Driver and reason of everything that is missing."""
    start = {"session_id": f"{season}-1"}
    tables = {
        "sessions": frame("sessions", [{**start, "season": season}]),
        "entries": frame("entries", [{**start, "team_id": "t", **entry} for entry in entries]),
        "laps": frame(
            "laps", [{**row, **start} for d, n in driven.items() for row in laps(d, [90.0] * n)]
        ),
    }
    found = missing({name: table.lazy() for name, table in tables.items()}).collect()
    return sorted(found.select("driver_id", "reason").iter_rows())


@pytest.mark.parametrize(
    ("completed", "driven", "expected"),
    [
        (57, 57, []),
        (57, 56, []),
        (57, 55, [("a", "55 of 57 laps")]),
        (57, 0, [("a", "0 of 57 laps")]),
        (1, 3, []),  # laps after the one that was counted back to
        (0, 56, []),  # disqualified: credited with none
        (None, 10, []),
    ],
)
def test_laps_may_fall_short_by_one(
    completed: int | None, driven: int, expected: list[tuple[str, str]]
) -> None:
    """The lap on which the flag fell is counted by one source and not by the other."""
    entry = {"driver_id": "a", "position": 1, "completed_laps": completed}
    assert reasons([entry], {"a": driven} if driven else {}) == expected


def test_old_seasons_are_not_asked_for_laps() -> None:
    """Nobody published them before 1996."""
    entry = {"driver_id": "a", "position": 1, "completed_laps": 70}
    assert reasons([entry], {}, season=1988) == []
    assert reasons([entry], {}, season=1996) == [("a", "0 of 70 laps")]


def test_foreign_laps_and_doubtful_positions_are_named() -> None:
    """A driver of a support race, a winner without a place, and a place given twice."""
    entries: list[dict[str, object]] = [
        {"driver_id": "a", "is_classified": True, "completed_laps": 2},
        {"driver_id": "b", "position": 2, "completed_laps": 2},
        {"driver_id": "c", "position": 2, "completed_laps": 2},
    ]
    assert reasons(entries, {"a": 2, "b": 2, "c": 2, "guest": 3}) == [
        ("a", "classified without a position"),
        ("b", "position 2 is given twice"),
        ("c", "position 2 is given twice"),
        ("guest", "3 laps without an entry"),
    ]
