"""Car pace from the drivers' levels."""

from __future__ import annotations

import polars as pl

from engine.v1.car_pace import car_pace
from tests.frames import SESSION_ID, frame


def pace(levels: dict[str, tuple[str, list[float]]]) -> dict[str, float | None]:
    """Base delta by driver, from team and lap deltas of each."""
    entries = frame(
        "entries", [{"driver_id": d, "team_id": team} for d, (team, _) in levels.items()]
    )
    rows = [
        (SESSION_ID, driver, lap, delta)
        for driver, (_, deltas) in levels.items()
        for lap, delta in enumerate(deltas, start=2)
    ]
    deltas = pl.LazyFrame(
        rows,
        schema={
            "session_id": pl.String,
            "driver_id": pl.String,
            "lap_number": pl.Int16,
            "lap_delta_s": pl.Float64,
        },
        orient="row",
    )
    result = car_pace(deltas, entries.lazy()).collect()
    return dict(result.select("driver_id", "car_base_delta_s").iter_rows())


def test_team_is_the_mean_of_its_drivers_medians_centred_on_the_median_team() -> None:
    """Teams at −1, 0 and 2: the middle one is the reference, one wild lap moves nothing."""
    found = pace(
        {
            "a1": ("a", [-1.2, -1.2, 9.0]),
            "a2": ("a", [-0.8]),
            "b1": ("b", [0.5]),
            "b2": ("b", [-0.5]),
            "c1": ("c", [2.0]),
        }
    )
    assert found == {"a1": -1.0, "a2": -1.0, "b1": 0.0, "b2": 0.0, "c1": 2.0}


def test_a_driver_without_laps_has_the_pace_of_his_car() -> None:
    """The team-mate shows what the car can do; a team that never ran is not known."""
    found = pace({"a1": ("a", [0.3]), "a2": ("a", []), "b1": ("b", [])})
    assert found == {"a1": 0.0, "a2": 0.0, "b1": None}
