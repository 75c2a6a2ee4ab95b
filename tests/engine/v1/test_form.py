"""Form from residuals and the start."""

from __future__ import annotations

import polars as pl
import pytest

from engine.v1.form import form
from tests.frames import SESSION_ID, frame


def measured(
    deltas: list[float], grid: int | None = 5, first_position: int | None = 5
) -> dict[str, float | None]:
    """Form of one driver from lap deltas, grid place and position after lap 1."""
    entries = frame("entries", [{"driver_id": "a", "team_id": "t", "grid_position": grid}])
    laps = frame("laps", [{"driver_id": "a", "lap_number": 1, "position": first_position}])
    schema = {
        "session_id": pl.String,
        "driver_id": pl.String,
        "lap_number": pl.Int16,
        "lap_delta_s": pl.Float64,
    }
    rows = [(SESSION_ID, "a", lap, delta) for lap, delta in enumerate(deltas, start=2)]
    lap_deltas = pl.LazyFrame(rows, schema=schema, orient="row")
    row = form(lap_deltas, laps.lazy(), entries.lazy()).collect().row(0, named=True)
    return {name.removeprefix("form_"): row[name] for name in row if name.startswith("form_")}


def test_scatter_lowers_consistency() -> None:
    """Median |r| of 0.2 s is a spread of 0.29652 s, a fifth of the 1.5 s scale."""
    found = measured([0.0, 0.2, -0.2, 0.2, -0.2])
    assert found["consistency_score"] == pytest.approx(1 - 0.29652 / 1.5)


def test_one_slow_lap_in_five_is_an_error_and_no_scatter() -> None:
    """A lap lost to a mistake counts once, as an error."""
    found = measured([0.0, 0.0, 0.0, 0.0, 3.0])
    assert found["error_rate"] == pytest.approx(0.2)
    assert found["consistency_score"] == 1.0


def test_below_five_clean_laps_form_is_not_known() -> None:
    """Four laps show no spread; a zero here would pose as a measurement."""
    found = measured([0.0, 0.1, 0.2, 0.3])
    assert found["consistency_score"] is None
    assert found["error_rate"] is None


@pytest.mark.parametrize(
    ("grid", "first", "precision"),
    [(5, 5, 0.5), (5, 3, 0.6), (5, 9, 0.3), (20, 1, 1.0), (None, 3, None), (5, None, None)],
)
def test_start_compares_the_grid_with_lap_one(
    grid: int | None, first: int | None, precision: float | None
) -> None:
    """Each place is a twentieth; a pit-lane start has no grid place to compare."""
    assert measured([], grid, first)["start_precision_score"] == pytest.approx(precision)
