"""Attack, defence and the start, summed up by driver."""

from __future__ import annotations

import polars as pl
import pytest

from engine.v2.calibration import StartConstants
from engine.v2.passes import PASS_EVENTS_SCHEMA
from engine.v2.racecraft import balances, drives, racecraft
from tests.frames import frame, laps

USUAL = StartConstants(usual_gain_places=(-0.8, -0.5, 0.5, 0.8))


def events(*rows: tuple[str, str, float, bool]) -> pl.DataFrame:
    """Laps at risk: who, behind whom, expectation, passed."""
    start = dict.fromkeys(PASS_EVENTS_SCHEMA) | {"session_id": "2025-1"}
    return pl.DataFrame(
        [
            {**start, "lap_number": 3 + number, "driver_id": who, "opponent_id": whom}
            | {"expectation": p, "is_passed": passed}
            for number, (who, whom, p, passed) in enumerate(rows)
        ],
        schema=PASS_EVENTS_SCHEMA,
    )


def test_both_sides_of_a_lap_at_risk_are_weighed_against_expectation() -> None:
    """A passes b at p = 0.1 and fails at 0.3; c fails behind a at 0.2."""
    found = balances(events(("a", "b", 0.1, True), ("a", "b", 0.3, False), ("c", "a", 0.2, False)))
    a, b, c = found.sort("driver_id").to_dicts()
    assert a["attack"] == pytest.approx(0.9 - 0.3)
    assert a["defence"] == pytest.approx(0.2)
    assert a["racecraft_variance"] == pytest.approx(0.09 + 0.21 + 0.16)
    assert (a["passes_made"], a["passes_suffered"]) == (1, 0)
    assert (a["attack_laps"], a["defence_laps"]) == (2, 1)
    assert b["attack"] == 0.0
    assert b["defence"] == pytest.approx(-0.9 + 0.3)
    assert c["attack"] == pytest.approx(-0.2)
    assert found.select(pl.col("attack").sum() + pl.col("defence").sum()).item() == pytest.approx(0)


def race(
    *,
    places: dict[str, int | None],
    grid: dict[str, int | None],
    driven: int = 6,
    track_status: str = "1",
    pit_lane: tuple[str, ...] = (),
) -> pl.DataFrame:
    """Drives of cars that come round lap 1 at the given places."""
    lap_rows = [
        {**row, "position": places[driver] if row["lap_number"] == 1 else None}
        | {"track_status": track_status, "lap_end_ms": 100_000 * int(str(row["lap_number"]))}
        for driver in places
        for row in laps(driver, [100.0] * driven)
    ]
    entry_rows = [
        {"driver_id": driver, "team_id": "t", "grid_position": slot}
        | {"is_pit_lane_start": driver in pit_lane}
        for driver, slot in grid.items()
    ]
    made = drives(frame("laps", lap_rows).lazy(), frame("entries", entry_rows).lazy())
    return made.collect().sort("driver_id")


def start_of(made: pl.DataFrame) -> dict[str, float | None]:
    """Start by driver, without any lap at risk."""
    found = racecraft(made, events(), USUAL)
    return dict(zip(found["driver_id"], found["start_places"], strict=True))


def test_a_start_is_measured_against_the_usual_one_from_the_slot() -> None:
    """A keeps pole, where 0.8 places are usually lost; b comes from 4 to 2, and gains 1.2."""
    found = start_of(race(places={"a": 1, "b": 2}, grid={"a": 1, "b": 4}))
    assert found == pytest.approx({"a": 0.8, "b": 1.2})


def test_a_start_is_limited_to_eight_places() -> None:
    """From pole to place 20 in a first-lap tangle."""
    assert start_of(race(places={"a": 20}, grid={"a": 1})) == {"a": -8.0}


def test_what_is_not_a_start_from_the_grid_is_not_measured() -> None:
    """From the pit lane, from an unknown slot or one without a mean, to an unknown place."""
    places: dict[str, int | None] = {"a": 3, "b": 4, "c": 5, "d": None}
    made = race(places=places, grid={"a": 4, "b": None, "c": 9, "d": 1}, pit_lane=("a",))
    assert start_of(made) == {"a": None, "b": None, "c": None, "d": None}
    assert racecraft(made, events(), USUAL)["racecraft_raw"].to_list() == [0.0] * 4


def test_a_red_flag_on_lap_one_undoes_the_start() -> None:
    """The grid is restored."""
    assert start_of(race(places={"a": 1}, grid={"a": 4}, track_status="15")) == {"a": None}


def test_racecraft_adds_half_the_start_to_the_passes() -> None:
    """A: pass at 0.1 and a start of 0.8: 0.9 + 0.4."""
    made = race(places={"a": 1, "b": 2}, grid={"a": 1, "b": 4})
    found = racecraft(made, events(("a", "b", 0.1, True)), USUAL).sort("driver_id")
    assert found["racecraft_raw"].to_list() == pytest.approx([0.9 + 0.4, -0.9 + 0.6])


def test_without_a_race_there_is_no_racecraft() -> None:
    """Five laps are too few; a driver without laps has none; six are enough."""
    five = race(places={"a": 1}, grid={"a": 1, "b": 2}, driven=5)
    found = racecraft(five, events(), USUAL).sort("driver_id")
    assert found["racecraft_raw"].to_list() == [None, None]
    assert found["racecraft_variance"].to_list() == [None, None]
    assert found["driven_laps"].to_list() == [5, 0]
    six = racecraft(race(places={"a": 1}, grid={"a": 1}), events(), USUAL)
    assert six["has_racecraft_evidence"].to_list() == [True]


def test_without_crossings_no_pass_would_show() -> None:
    """Lap times alone do not tell who was ahead."""
    rows = laps("a", [100.0] * 9)
    entry = frame("entries", [{"driver_id": "a", "team_id": "t", "grid_position": 1}])
    made = drives(frame("laps", rows).lazy(), entry.lazy()).collect()
    assert racecraft(made, events(), USUAL)["racecraft_raw"].to_list() == [None]
