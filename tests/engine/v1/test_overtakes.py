"""Exchanges of position, and what makes them a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.v1.inputs import TRACK_DIFFICULTY_SCHEMA
from engine.v1.overtakes import overtakes
from tests.frames import frame

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACKS = pl.LazyFrame({"circuit_id": ["here"], "track_difficulty": [0.7]}, TRACK_DIFFICULTY_SCHEMA)


def run(
    lines_s: dict[str, list[float | None]],
    *,
    laps: Mapping[tuple[str, int], Mapping[str, object]] | None = None,
    entries: Mapping[str, Mapping[str, object]] | None = None,
) -> pl.DataFrame:
    """Overtakes of cars that cross the finish line at the given seconds, lap by lap.

    `laps` and `entries` change single rows; `None` is a lap the car did not finish.
    """
    lap_rows = [
        {"driver_id": driver, "lap_number": lap, "lap_end_ms": round(at * 1000)}
        | dict((laps or {}).get((driver, lap), {}))
        for driver, crossings in lines_s.items()
        for lap, at in enumerate(crossings, start=1)
        if at is not None
    ]
    entry_rows = [
        {"driver_id": driver, "team_id": driver} | dict((entries or {}).get(driver, {}))
        for driver in lines_s
    ]
    table = frame("entries", entry_rows)
    pace = table.lazy().select(
        "session_id",
        "driver_id",
        car_base_delta_s=pl.col("driver_id").replace_strict(
            {"a": -0.5, "b": 0.25}, default=0.0, return_dtype=pl.Float64
        ),
    )
    sessions = frame("sessions", [{"circuit_id": "here"}])
    found = overtakes(
        frame("laps", lap_rows).lazy(), table.lazy(), sessions.lazy(), pace, TRACKS
    ).collect()
    return found.sort("lap_number", "driver_id", "overtake_number")


def events(found: pl.DataFrame) -> list[tuple[int, str, str, str]]:
    """Lap, who, whom, kind."""
    columns = ("lap_number", "driver_id", "opponent_id", "kind")
    return list(found.select(columns).iter_rows())


def test_crossing_the_line_in_opposite_order_is_a_pass() -> None:
    """B leads over the line on lap 1, a on lap 2."""
    found = run({"a": [101.0, 200.0], "b": [100.0, 201.0]})
    assert events(found) == [(2, "a", "b", "on_track")]


def test_a_retirement_gives_nobody_a_pass() -> None:
    """B stops after lap 1, c crawls round lap 2 and retires: a and d move up without a pass."""
    found = run(
        {"a": [103.0, 200.0], "b": [100.0, None], "c": [101.0, 290.0], "d": [104.0, 201.0]},
        entries={"b": {"status": "retired"}, "c": {"status": "retired"}},
    )
    assert events(found) == []


def test_a_lapped_car_gives_nobody_a_pass() -> None:
    """The leader's third crossing comes before b's second, yet both are never on one lap."""
    found = run({"a": [100.0, 190.0, 280.0], "b": [130.0, 285.0]})
    assert events(found) == []


@pytest.mark.parametrize(
    "flag",
    [("a", 2, "is_in_lap"), ("b", 2, "is_in_lap"), ("b", 2, "is_out_lap")],
)
def test_places_won_by_stops_are_pit_cycle(flag: tuple[str, int, str]) -> None:
    """Without sectors the whole in- or out-lap of either car counts as pit lane."""
    driver, lap, column = flag
    found = run({"a": [101.0, 200.0], "b": [100.0, 230.0]}, laps={(driver, lap): {column: True}})
    assert events(found) == [(2, "a", "b", "pit_cycle")]


def test_a_pass_before_the_pit_entry_is_on_track() -> None:
    """A passes b in sector 1 of lap 2; b pits at the end of it."""
    sectors: dict[str, object] = {"sector2_time_ms": 30_000, "sector3_time_ms": 40_000}
    found = run(
        {"a": [101.0, 200.0], "b": [100.0, 215.0]},
        laps={("a", 2): sectors, ("b", 2): {**sectors, "is_in_lap": True}},
    )
    assert events(found) == [(2, "a", "b", "on_track")]


def test_a_pass_taken_back_in_the_same_lap_is_two() -> None:
    """A leads at the end of sector 1, b again at the line."""
    found = run(
        {"a": [101.0, 201.0], "b": [100.0, 200.0]},
        laps={
            ("a", 2): {"sector2_time_ms": 30_000, "sector3_time_ms": 40_000},
            ("b", 2): {"sector2_time_ms": 29_000, "sector3_time_ms": 38_000},
        },
    )
    assert events(found) == [(2, "a", "b", "on_track"), (2, "b", "a", "on_track")]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("1", "on_track"),
        ("12", "on_track"),
        ("4", "neutralized"),
        ("46", "neutralized"),
        ("41", "on_track"),
        ("15", "neutralized"),
        (None, "on_track"),
    ],
)
def test_neutralized_laps_have_no_racing(status: str | None, kind: str) -> None:
    """All of the lap under safety car, or a red flag on it; a restart lap is raced."""
    both = {("a", 2): {"track_status": status}, ("b", 2): {"track_status": status}}
    found = run({"a": [101.0, 200.0], "b": [100.0, 201.0]}, laps=both)
    assert events(found) == [(2, "a", "b", kind)]


def test_the_start_compares_grid_and_lap_one() -> None:
    """A starts third and comes round first; the pit-lane starter b has no grid place to lose."""
    found = run(
        {"a": [100.0], "b": [101.0], "c": [102.0]},
        laps={("a", 1): {"position": 1}, ("b", 1): {"position": 2}, ("c", 1): {"position": 3}},
        entries={
            "a": {"grid_position": 3},
            "b": {"grid_position": None, "is_pit_lane_start": True},
            "c": {"grid_position": 1},
        },
    )
    assert events(found) == [(1, "a", "c", "start")]


def test_a_start_under_a_red_flag_is_neutralized() -> None:
    """The grid is restored afterwards, even if only one of the two was shown the flag."""
    found = run(
        {"a": [100.0], "b": [101.0]},
        laps={("a", 1): {"position": 1}, ("b", 1): {"position": 2, "track_status": "15"}},
        entries={"a": {"grid_position": 2}, "b": {"grid_position": 1}},
    )
    assert events(found) == [(1, "a", "b", "neutralized")]


def test_a_pass_is_not_lost_where_one_car_lacks_sectors() -> None:
    """The two are then compared at the finish line."""
    sectors = {"sector2_time_ms": 30_000, "sector3_time_ms": 40_000}
    found = run({"a": [101.0, 200.0], "b": [100.0, 201.0]}, laps={("a", 2): sectors})
    assert events(found) == [(2, "a", "b", "on_track")]


def test_laps_that_the_source_made_up_have_no_order() -> None:
    """A generated last lap carries an assumed time."""
    found = run({"a": [101.0, 200.0], "b": [100.0, 201.0]}, laps={("b", 2): {"is_generated": True}})
    assert events(found) == []


def test_circumstances_are_seen_from_the_car_that_passes() -> None:
    """A's car is 0.75 s faster; its mediums are four laps fresher and a step softer."""
    found = run(
        {"a": [101.0, 200.0, 300.0, 400.0], "b": [100.0, 201.0, 301.0, 401.0]},
        laps={
            ("a", 2): {"compound": "MEDIUM", "tyre_life_laps": 6},
            ("b", 2): {"compound": "HARD", "tyre_life_laps": 10},
        },
    ).row(0, named=True)
    assert found["car_pace_difference_s"] == pytest.approx(-0.75)
    assert found["tyre_age_difference_laps"] == 4.0
    assert found["compound_difference"] == 1.0
    assert found["track_difficulty"] == 0.7
    assert found["race_phase_pressure"] == 0.5


def test_what_timing_does_not_show_stays_null() -> None:
    """Wet tyres are no step of the ladder; exposure and battery are not in the data."""
    wet: dict[str, object] = {"compound": "INTERMEDIATE"}
    found = run(
        {"a": [101.0, 200.0], "b": [100.0, 201.0]}, laps={("a", 2): wet, ("b", 2): wet}
    ).row(0, named=True)
    for column in (
        "compound_difference",
        "tyre_age_difference_laps",
        "exposure_time_s",
        "ers_difference",
        "is_penalized",
    ):
        assert found[column] is None, column
