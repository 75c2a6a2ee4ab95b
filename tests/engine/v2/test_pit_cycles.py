"""Seconds lost at stops, against the field's stops."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.v2.clean_laps import REFUSALS
from engine.v2.pit_cycles import PIT_CYCLES_SCHEMA, driver_pit_cycles, pit_cycles, team_pit_cycles
from tests.frames import frame

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD: Mapping[str, list[float | None]] = {driver: [100.0] * 6 for driver in "wxyz"}
"""Four cars that never stop, 100 s a lap."""

LAP_FIT = pl.Schema(
    {
        "session_id": pl.String(),
        "driver_id": pl.String(),
        "lap_number": pl.Int16(),
        "lap_time_ms": pl.Int32(),
        "refused_for": pl.Enum(REFUSALS),
    }
)


def measured(
    times_s: Mapping[str, list[float | None]],
    stops: Mapping[str, tuple[int, ...]],
    *,
    pace_pct: Mapping[str, float | None] | None = None,
    neutral_laps: tuple[int, ...] = (),
    red: tuple[str, ...] = (),
) -> pl.DataFrame:
    """Pit cycles of cars with the given lap times and in-laps, beside the field."""
    rows: list[dict[str, object]] = []
    for driver, laps in {**FIELD, **times_s}.items():
        for number, time in enumerate(laps, start=1):
            pits = stops.get(driver, ())
            reason = "neutralized" if number in neutral_laps else None
            reason = "out_lap" if number - 1 in pits else reason
            reason = "in_lap" if number in pits else reason
            rows.append(
                {"session_id": "2025-1", "driver_id": driver, "lap_number": number}
                | {"lap_time_ms": None if time is None else round(time * 1000)}
                | {"refused_for": reason}
            )
    fit = pl.LazyFrame(
        {"session_id": "2025-1", "driver_id": driver, "pace_pct": (pace_pct or {}).get(driver, 0.0)}
        for driver in {**FIELD, **times_s}
    )
    events = [
        {"driver_id": driver, "stop_number": number, "actual_lap": lap}
        | {"is_under_red_flag": driver in red}
        for driver, laps_in in stops.items()
        for number, lap in enumerate(laps_in, start=1)
    ]
    found = pit_cycles(
        frame("strategy_events", events).lazy(), pl.LazyFrame(rows, schema=LAP_FIT), fit
    ).collect()
    assert found.schema == PIT_CYCLES_SCHEMA
    return found.sort("driver_id", "stop_number")


def stopping(in_lap_s: float, out_lap_s: float, lap: int = 3) -> list[float | None]:
    """Six laps of 100 s with a stop at the end of the given one."""
    times: list[float | None] = [100.0] * 6
    times[lap - 1 : lap + 1] = [in_lap_s, out_lap_s]
    return times


def test_a_stop_costs_what_its_two_laps_take_beyond_the_field() -> None:
    """5 + 17, 5 + 15 and 5 + 20 s: the median is 22 s."""
    found = measured(
        {"a": stopping(105, 117), "b": stopping(105, 115), "c": stopping(105, 120)},
        dict.fromkeys("abc", (3,)),
    )
    assert found["cost_s"].to_list() == pytest.approx([22.0, 20.0, 25.0])
    assert found["field_cost_s"].to_list() == pytest.approx([22.0] * 3)
    assert found["lost_s"].to_list() == pytest.approx([0.0, -2.0, 3.0])


def test_a_slow_car_is_not_charged_for_its_pace() -> None:
    """A is 2 % slower on every lap: its own laps would take 102 s."""
    found = measured(
        {"a": stopping(107, 117), "b": stopping(105, 115), "c": stopping(105, 120)},
        dict.fromkeys("abc", (3,)),
        pace_pct={"a": 100 * log(1.02)},
    )
    assert found["cost_s"].to_list() == pytest.approx([20.0, 20.0, 25.0])


def test_stops_under_a_safety_car_are_compared_with_one_another() -> None:
    """They cost 10 s and fewer; the stop on a green lap has nothing to be compared with."""
    slow: dict[str, list[float | None]] = {
        driver: [100.0, 100.0, 140.0, 140.0, 100.0, 100.0] for driver in "wxyz"
    }
    cheap: dict[str, list[float | None]] = {
        driver: [100.0, 100.0, 140.0 + cost, 140.0, 100.0, 100.0]
        for driver, cost in {"a": 8.0, "b": 10.0, "c": 12.0}.items()
    }
    found = measured(
        {**slow, **cheap, "d": [100.0, 100.0, 140.0, 140.0, 105.0, 120.0]},
        {"a": (3,), "b": (3,), "c": (3,), "d": (5,)},
        neutral_laps=(3, 4),
        pace_pct={"a": 5.0},
    )
    assert found["is_neutralized"].to_list() == [True, True, True, False]
    assert found["lost_s"].to_list() == pytest.approx([-2.0, 0.0, 2.0, None])


@pytest.mark.parametrize("out_lap_s", [225.0, 94.9])
def test_a_repair_is_compared_with_nothing_and_moves_no_median(out_lap_s: float) -> None:
    """A stands for two minutes, or seems to gain 0.1 s; the others' median is theirs."""
    found = measured(
        {"a": stopping(105, out_lap_s), "b": stopping(105, 115), "c": stopping(105, 117)}
        | {"d": stopping(105, 119)},
        dict.fromkeys("abcd", (3,)),
    )
    assert found["lost_s"].to_list() == pytest.approx([None, -2.0, 0.0, 2.0])


@pytest.mark.parametrize("missing", ["in_lap", "out_lap", "pace", "red"])
def test_a_stop_that_cannot_be_measured_has_no_row(missing: str) -> None:
    """No time of either lap, no pace, or a free stop."""
    times = {"in_lap": stopping(105, 115), "out_lap": stopping(105, 115)}.get(
        missing, stopping(105, 115)
    )
    if missing in {"in_lap", "out_lap"}:
        times[2 if missing == "in_lap" else 3] = None
    found = measured(
        {"a": times},
        {"a": (3,)},
        pace_pct={"a": None} if missing == "pace" else None,
        red=("a",) if missing == "red" else (),
    )
    assert found.is_empty()


def test_teams_and_drivers_sum_up_what_compares() -> None:
    """A loses 3 s and its team-mate b wins 2; d never stopped, and its team has no sum."""
    found = measured(
        {"a": stopping(105, 120), "b": stopping(105, 115), "c": stopping(105, 117)},
        dict.fromkeys("abc", (3,)),
    )
    entries = frame(
        "entries",
        [
            {"driver_id": driver, "team_id": team}
            for driver, team in {"a": "red", "b": "red", "c": "blue", "w": "green"}.items()
        ],
    )
    teams = team_pit_cycles(found.lazy(), entries.lazy()).collect().sort("team_id")
    assert teams["stops"].to_list() == [1, 0, 2]
    assert teams["pit_cycle_lost_s"].to_list() == pytest.approx([0.0, None, 1.0])
    assert teams["lost_per_stop_s"].to_list() == pytest.approx([0.0, None, 0.5])
    drivers = driver_pit_cycles(found.lazy()).collect().sort("driver_id")
    assert drivers["pit_cycle_lost_s"].to_list() == pytest.approx([3.0, -2.0, 0.0])
