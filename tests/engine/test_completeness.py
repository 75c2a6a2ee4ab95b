"""What makes a session incomplete, and what does not."""

from __future__ import annotations

import polars as pl
import pytest

from engine.completeness import MEASURED, blank, missing
from engine.tables import NORMALIZED, empty
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


def test_what_a_source_never_says_is_blank() -> None:
    """Known once is known; an empty table is one blank, whatever its columns; sessions apart."""
    ids = ("2025-1", "2025-2")
    known = {name: 1 for name in MEASURED["laps"] if name.endswith("_ms")}
    rows = [{"session_id": one, **lap} for one in ids for lap in laps("a", [90.0, 91.0])]
    rows[0] |= known
    written = {
        "sessions": frame("sessions", [{"session_id": one} for one in ids]),
        "laps": frame("laps", rows),
        "weather": frame("weather", [{"session_id": ids[1], "session_clock_ms": 0}]),
    }
    tables = {name: written.get(name, empty(name)).lazy() for name in NORMALIZED}
    found = blank(tables).collect()
    of_laps = found.filter(table_name="laps")
    unknown = set(MEASURED["laps"]) - {"lap_time_ms", "track_status", "is_in_lap", "is_out_lap"}
    assert set(of_laps.filter(session_id=ids[1])["column_name"]) == unknown
    assert set(of_laps.filter(session_id=ids[0])["column_name"]) == unknown - known.keys()
    others = found.filter(pl.col("table_name") != "laps").sort("session_id", "table_name")
    assert others.rows() == [
        ("2025-1", "entries", None),
        ("2025-1", "pit_stops", None),
        ("2025-1", "race_control", None),
        ("2025-1", "weather", None),
        ("2025-2", "entries", None),
        ("2025-2", "pit_stops", None),
        ("2025-2", "race_control", None),
    ]


@pytest.mark.parametrize(
    ("numbers", "is_doubtful"), [((2, 2), False), ((2, 4), True), ((2, None), True)]
)
def test_drivers_of_one_car_share_its_place(
    numbers: tuple[int, int | None], *, is_doubtful: bool
) -> None:
    """France 1951: two drove the car that won. Two cars, or a car nobody numbered, do not share."""
    entries: list[dict[str, object]] = [
        {"driver_id": driver, "position": 1, "driver_number": number}
        for driver, number in zip("ab", numbers, strict=True)
    ]
    said = [(driver, "position 1 is given twice") for driver in "ab"] if is_doubtful else []
    assert reasons(entries, {}, season=1951) == said
