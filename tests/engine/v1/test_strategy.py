"""Stops, the field's stops, and the score of the pit wall."""

from __future__ import annotations

import polars as pl
import pytest

from engine.v1.grade import grade
from engine.v1.strategy import pit_laps, strategy_events
from tests.frames import frame
from tests.profiles import BASELINE


def race(
    *stops: list[int], status: dict[int, str] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Thirty laps for as many cars as there are lists of stops; each stop fits new hard tyres."""
    lap_rows, stop_rows = [], []
    for n, pits in enumerate(stops):
        life = 0
        for lap in range(1, 31):
            life = 1 if lap - 1 in pits else life + 1
            lap_rows.append(
                {
                    "driver_id": f"car{n}",
                    "lap_number": lap,
                    "tyre_life_laps": life,
                    "compound": "HARD",
                    "track_status": (status or {}).get(lap, "1"),
                }
            )
        stop_rows += [{"driver_id": f"car{n}", "lap_number": lap} for lap in pits]
    return frame("laps", lap_rows), frame("pit_stops", stop_rows)


def events(laps: pl.DataFrame, stops: pl.DataFrame) -> dict[tuple[str, int], float | None]:
    """Field's lap by driver and actual lap."""
    found = strategy_events(laps.lazy(), stops.lazy()).collect()
    rows = found.select("driver_id", "actual_lap", "optimal_lap").iter_rows()
    return {(driver, lap): optimal for driver, lap, optimal in rows}


def test_optimum_is_the_median_of_cars_on_as_many_stops() -> None:
    """Three one-stoppers share a reference; the lone two-stopper has none."""
    found = events(*race([10], [12], [17], [8, 20]))
    assert found == {
        ("car0", 10): 12.0,
        ("car1", 12): 12.0,
        ("car2", 17): 12.0,
        ("car3", 8): None,
        ("car3", 20): None,
    }


def test_driving_through_the_pit_lane_is_no_stop() -> None:
    """Behind a safety car in the pit lane, or for a drive-through, the tyres go on ageing."""
    laps, _ = race([10], [12], [14])
    through = frame(
        "pit_stops", [{"driver_id": f"car{n}", "lap_number": lap} for n in range(3) for lap in (5,)]
    )
    assert events(laps, through) == {}


def test_a_car_that_retires_in_the_pits_made_no_stop() -> None:
    """There is no lap on other tyres after it."""
    laps, stops = race([30], [30], [30])
    assert events(laps, stops) == {}


def test_a_stop_under_a_red_flag_is_listed_and_left_out() -> None:
    """The tyre change of lap 15 is free; the field's stop is that of lap 10, 11 and 12."""
    laps, stops = race([10, 15], [11, 15], [12, 15], status={15: "15"})
    found = strategy_events(laps.lazy(), stops.lazy()).collect()
    assert found.filter("is_under_red_flag")["actual_lap"].unique().to_list() == [15]
    assert found.filter("is_under_red_flag")["optimal_lap"].null_count() == 3
    counted = pit_laps(found.lazy()).collect()
    assert sorted(counted["actual_pit_laps"].to_list()) == [[10.0], [11.0], [12.0]]
    assert counted["optimal_pit_laps"].to_list() == [[11.0]] * 3


def test_a_stop_before_the_red_flag_counts() -> None:
    """The red of lap 11 does not make the stop of lap 10 free."""
    laps, stops = race([10], [10], [10], status={11: "15"})
    assert events(laps, stops) == {(f"car{n}", 10): 10.0 for n in range(3)}


def test_where_tyres_are_not_known_every_visit_counts() -> None:
    """Old sources have pit stops and no tyres."""
    laps, stops = race([10], [12], [14])
    bare = laps.with_columns(
        compound=pl.lit(None, dtype=laps.schema["compound"]),
        tyre_life_laps=pl.lit(None, dtype=pl.Int16),
    )
    assert len(events(bare, stops)) == 3


def test_a_stop_seven_laps_late_costs_degradation() -> None:
    """Seven late, four are tolerated, three of ten are held against it."""
    laps, stops = race([10], [10], [17])
    counted = pit_laps(strategy_events(laps.lazy(), stops.lazy())).collect()
    late = counted.filter(pl.col("driver_id") == "car2")
    assert late["degradation_penalty_score"].to_list() == pytest.approx([0.3])


@pytest.mark.parametrize(
    ("field", "own", "degradation", "raw"),
    [
        ([20.0], [20.0], 0.0, 1.0),
        ([20.0], [23.0], 0.0, 0.5),  # 3 of 6 laps
        ([20.0, 40.0], [20.0], 0.0, 0.0),  # the missing stop repeats lap 20: (0 + 20) / 2
        ([20.0], [], 0.0, 0.5),
        ([], [20.0], 1.0, 0.0),
        ([20.0], [20.0], 0.4, 0.8),
    ],
)
def test_score_is_the_distance_from_the_fields_stops(
    field: list[float], own: list[float], degradation: float, raw: float
) -> None:
    """Six laps away leave nothing; without stops on either side the score is neutral."""
    inputs = frame(
        "driver_inputs",
        [
            {
                "driver_id": "a",
                "optimal_pit_laps": field,
                "actual_pit_laps": own,
                "degradation_penalty_score": degradation,
            }
        ],
    )
    graded = grade(inputs.lazy(), frame("overtakes", []).lazy(), BASELINE.lazy()).collect()
    assert graded["team_strategy_raw"].to_list() == pytest.approx([raw])
