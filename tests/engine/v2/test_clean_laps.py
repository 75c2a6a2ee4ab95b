"""Which laps are clean, why others are not, and what surrounds a lap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.v2.clean_laps import clean_laps
from tests.frames import frame, laps

if TYPE_CHECKING:
    import polars as pl

CARS = ("ann", "bea", "cid", "dot", "eve")


def race(seconds: float = 90.0, number: int = 6) -> list[dict[str, object]]:
    """Laps 1 to `number` of five equal cars."""
    return [row for car in CARS for row in laps(car, [seconds] * number)]


def found(rows: list[dict[str, object]], column: str, driver: str = "ann") -> list[object]:
    """One driver's values of a column, in lap order."""
    result: pl.DataFrame = clean_laps(frame("laps", rows).lazy()).collect()
    return result.filter(driver_id=driver).sort("lap_number")[column].to_list()


def change(rows: list[dict[str, object]], driver: str, lap: int, **values: object) -> None:
    """Change one lap."""
    next(r for r in rows if (r["driver_id"], r["lap_number"]) == (driver, lap)).update(values)


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ({}, None),
        ({"lap_time_ms": None}, "untimed"),
        ({"is_generated": True}, "untimed"),
        ({"is_in_lap": True}, "in_lap"),
        ({"is_out_lap": True}, "out_lap"),
        ({"track_status": "14"}, "neutralized"),
        ({"track_status": "6"}, "neutralized"),
        ({"track_status": "12"}, None),
        ({"lap_time_ms": 96_300}, None),
        ({"lap_time_ms": 96_301}, "off_pace"),
        ({"track_status": None, "is_in_lap": None, "is_out_lap": None}, None),
    ],
)
def test_a_lap_is_refused_for_a_reason(flaw: dict[str, object], reason: str | None) -> None:
    """The level is 90 s, 107 % of it 96.3 s; what a source does not know refuses nothing."""
    rows = race()
    change(rows, "ann", 4, **flaw)
    assert found(rows, "refused_for") == ["first_lap", None, None, reason, None, None]


def test_a_lap_on_which_all_are_slow_is_no_ones_pace() -> None:
    """95.5 s is 6.1 % above the level: a safety car, where track status is not known."""
    rows = race()
    for car in CARS:
        change(rows, car, 4, lap_time_ms=95_500)
    assert found(rows, "refused_for")[3] == "slow_field"


def test_tyres_age_from_stop_to_stop() -> None:
    """A stop at the end of lap 3 begins a stint; an in-lap or an out-lap alone tells as much."""
    for known in ({"is_in_lap": True}, {"is_in_lap": None}):
        rows = race()
        change(rows, "ann", 3, **known)
        change(rows, "ann", 4, is_out_lap=True if known["is_in_lap"] is None else None)
        assert found(rows, "stint_number") == [1, 1, 1, 2, 2, 2]
        assert found(rows, "tyre_age_laps") == [1, 2, 3, 1, 2, 3]


def test_the_source_knows_how_old_the_tyres_are() -> None:
    """A used set is older than its stint; where the source is silent, the stint is what is left."""
    rows = race()
    for lap in (1, 2, 3, 4):
        change(rows, "ann", lap, tyre_life_laps=lap + 5)
    assert found(rows, "tyre_age_laps") == [6, 7, 8, 9, 5, 6]


def test_the_gap_is_to_whoever_crossed_the_line_last() -> None:
    """Ann begins lap 2 0.4 s behind Bea, who is a lap ahead of nobody: laps do not matter."""
    rows = [
        {"driver_id": "bea", "lap_number": 1, "lap_time_ms": 90_000, "lap_end_ms": 100_000},
        {"driver_id": "bea", "lap_number": 2, "lap_time_ms": 90_000, "lap_end_ms": 190_000},
        {"driver_id": "bea", "lap_number": 3, "lap_time_ms": 90_000, "lap_end_ms": 280_000},
        {"driver_id": "ann", "lap_number": 1, "lap_time_ms": 180_400, "lap_end_ms": 190_400},
        {"driver_id": "ann", "lap_number": 2, "lap_time_ms": 92_600, "lap_end_ms": 283_000},
        {"driver_id": "ann", "lap_number": 3, "lap_time_ms": 90_000, "lap_end_ms": 373_000},
    ]
    assert found(rows, "gap_ahead_s") == [None, 0.4, 3.0]
    assert found(rows, "is_in_traffic") == [False, True, False]
    assert found(rows, "gap_ahead_s", "bea") == [None, None, 90.0]


def test_of_two_cars_on_the_same_millisecond_the_better_placed_was_ahead() -> None:
    """Whoever comes first by name changes nothing."""
    for first, second in (("ann", "bea"), ("bea", "ann")):
        rows: list[dict[str, object]] = [
            {"driver_id": driver, "lap_number": lap, "lap_end_ms": lap * 90_000, "position": place}
            for driver, place in ((first, 1), (second, 2))
            for lap in (1, 2)
        ]
        assert found(rows, "gap_ahead_s", second)[1] == 0.0
        assert found(rows, "gap_ahead_s", first)[1] is None


def test_a_missing_lap_leaves_the_gap_unknown() -> None:
    """Without lap 3 nobody knows where lap 4 began."""
    rows = [
        row | {"lap_end_ms": 90_000 * int(str(row["lap_number"])) + 100 * n}
        for n, row in enumerate(laps("ann", [90.0] * 5))
        if row["lap_number"] != 3
    ]
    assert found(rows, "gap_ahead_s")[2] is None
