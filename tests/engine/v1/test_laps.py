"""Clean laps and the field they are measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.v1.laps import lap_deltas
from tests.frames import frame, laps

if TYPE_CHECKING:
    import polars as pl


def deltas(table: pl.DataFrame) -> dict[tuple[str, int], float]:
    """Deltas by driver and lap, rounded to the millisecond."""
    rows = lap_deltas(table.lazy()).collect().select("driver_id", "lap_number", "lap_delta_s")
    return {(driver, lap): round(delta, 3) for driver, lap, delta in rows.iter_rows()}


def field(*times: float) -> list[dict[str, object]]:
    """Lap 2 of as many cars as there are times."""
    return [row for n, time in enumerate(times) for row in laps(f"car{n}", [time], first_lap=2)]


def test_delta_is_against_the_median_of_the_same_lap() -> None:
    """Three cars at 90, 91 and 93 s: the middle one is the field."""
    assert deltas(frame("laps", field(90, 91, 93))) == {
        ("car0", 2): -1.0,
        ("car1", 2): 0.0,
        ("car2", 2): 2.0,
    }


def test_a_slow_lap_of_the_whole_field_changes_no_delta() -> None:
    """Rain that costs everybody ten seconds is nobody's fault."""
    rows = [
        row
        for n, pace in enumerate((90, 91, 93))
        for row in laps(f"car{n}", [pace, pace + 10], first_lap=2)
    ]
    found = deltas(frame("laps", rows))
    assert [found[f"car{n}", 2] for n in range(3)] == [found[f"car{n}", 3] for n in range(3)]


@pytest.mark.parametrize(
    "flaw",
    [
        {"lap_number": 1},
        {"is_in_lap": True},
        {"is_out_lap": True},
        {"track_status": "24"},
        {"track_status": "2"},
        {"track_status": "67"},
        {"lap_time_ms": None},
        {"lap_time_ms": 98_000},  # 107 % of 91 s is 97.4 s
    ],
)
def test_laps_that_are_not_clean_are_left_out(flaw: dict[str, object]) -> None:
    """One flaw is enough, and the lap does not move the field either."""
    rows = field(90, 91, 92, 91)
    rows[3] |= flaw
    found = deltas(frame("laps", rows))
    assert found == {("car0", 2): -1.0, ("car1", 2): 0.0, ("car2", 2): 1.0}


def test_a_source_without_flags_still_has_clean_laps() -> None:
    """Unknown pit flags and track status are no reason to drop a lap."""
    unknown = {"is_in_lap": None, "is_out_lap": None, "track_status": None}
    rows = [row | unknown for row in field(90, 91, 93)]
    assert len(deltas(frame("laps", rows))) == 3


def test_two_cars_are_no_field() -> None:
    """Measured against the mean of himself and one rival, a driver would look half as far off."""
    assert deltas(frame("laps", field(90, 91))) == {}
