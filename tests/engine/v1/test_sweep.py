"""What a sweep says of a profile, worked by hand."""

from __future__ import annotations

import polars as pl
import pytest

from engine.v1.sweep import SWEEP_SCHEMA, sweep
from tests.frames import frame

FIVE = ("a", "b", "c", "d", "e")


def graded(totals: dict[str, float | None], **others: object) -> pl.DataFrame:
    """Publish these totals for these drivers under one profile."""
    rows = [
        {
            "driver_id": driver,
            "profile_name": "baseline",
            "profile_version": 1,
            "model_version": "v1",
            "data_source": "hand",
            "inputs_hash": "0" * 64,
            "total_grade": total,
            **others,
        }
        for driver, total in totals.items()
    ]
    return frame("driver_metrics", rows)


def swept(metrics: pl.DataFrame, positions: dict[str, int]) -> dict[str, object]:
    """Sweep one race in which these drivers were classified in these positions."""
    entries = [
        {"driver_id": driver, "team_id": driver, "position": place, "is_classified": True}
        for driver, place in positions.items()
    ]
    found = sweep(
        metrics.lazy(), frame("entries", entries).lazy(), frame("sessions", [{}]).lazy()
    ).collect()
    assert found.schema == SWEEP_SCHEMA
    return found.row(0, named=True)


def test_mean_and_deviation_are_over_those_with_a_total() -> None:
    """0.2 and 0.6: mean 0.4, deviation 0.2; a driver without a total counts nowhere."""
    row = swept(graded({"a": 0.2, "b": 0.6, "c": None}), {"a": 1, "b": 2, "c": 3})
    assert row["driver_races"] == 2
    assert row["total_grade_mean"] == pytest.approx(0.4)
    assert row["total_grade_deviation"] == pytest.approx(0.2)
    assert row["order_correlation"] is None


@pytest.mark.parametrize(
    ("totals", "correlation"),
    [
        ([0.9, 0.8, 0.7, 0.6, 0.5], 1.0),
        ([0.5, 0.6, 0.7, 0.8, 0.9], -1.0),
        ([0.9, 0.8, 0.7, 0.5, 0.6], 0.9),  # 1 − 6 · (1 + 1) / (5 · 24)
    ],
)
def test_order_is_the_rank_correlation_with_the_finish(
    totals: list[float], correlation: float
) -> None:
    """The best grade won: 1; the worst did: −1."""
    row = swept(
        graded(dict(zip(FIVE, totals, strict=True))), dict(zip(FIVE, range(1, 6), strict=True))
    )
    assert row["order_correlation"] == pytest.approx(correlation)


def test_equal_grades_have_no_order() -> None:
    """Not a number is no correlation."""
    row = swept(graded(dict.fromkeys(FIVE, 0.5)), dict(zip(FIVE, range(1, 6), strict=True)))
    assert row["order_correlation"] is None


def test_scores_at_the_end_of_the_scale_are_counted() -> None:
    """One of two consistency scores is 1; a score that nobody has gives null."""
    one, other = (
        graded({driver: 0.5}, consistency_score=score) for driver, score in (("a", 1.0), ("b", 0.3))
    )
    row = swept(pl.concat([one, other]), {"a": 1, "b": 2})
    assert row["consistency_score_mean"] == pytest.approx(0.65)
    assert row["consistency_score_share_at_end"] == pytest.approx(0.5)
    assert row["racecraft_score_mean"] is None
    assert row["racecraft_score_share_at_end"] is None
