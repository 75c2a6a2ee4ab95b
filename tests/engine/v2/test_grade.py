"""The total of model v2, what is not known, and the grade for people."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.v2.calibration import (
    QUANTILES,
    CalibrationProfileV2,
    Normalization,
    Weights,
    profile_frame_v2,
    quantile_frame,
)
from engine.v2.grade import COMPONENTS_V2_SCHEMA, components, for_people, grade_v2, normal_cdf
from tests.profiles_v2 import V2_PROFILE

if TYPE_CHECKING:
    from collections.abc import Mapping

PHI = NormalDist().cdf

EASY = V2_PROFILE.model_copy(
    update={
        "name": "easy",
        "consistency": Normalization(car_share=0.0, mean=0.2, sd=0.5, spread=1.0),
        "racecraft": Normalization(car_share=-0.5, mean=0.0, sd=2.0, spread=0.5),
        "penalty": Normalization(car_share=0.0, mean=0.5, sd=1.0, spread=1.0),
        "weights": Weights(consistency=0.55, racecraft=0.45, penalty=0.10),
        "total_quantiles": tuple(-0.1 + 1.1 * step / 100 for step in range(QUANTILES)),
    }
)
"""Round numbers; the scale for people is straight from −0.1 to 1."""


def graded(*rows: Mapping[str, float | None], profile: CalibrationProfileV2 = EASY) -> pl.DataFrame:
    """Grades of rows that name only what matters, in order; all else is not known."""
    filled = [
        {**dict.fromkeys(COMPONENTS_V2_SCHEMA), "session_id": "2025-1", "driver_id": f"d{number}"}
        | dict(row)
        for number, row in enumerate(rows)
    ]
    made = grade_v2(
        pl.DataFrame(filled, schema=COMPONENTS_V2_SCHEMA).lazy(), profile_frame_v2([profile]).lazy()
    )
    return for_people(made, quantile_frame([profile]).lazy()).collect().sort("driver_id")


def test_the_distribution_function_is_right_to_1e_13() -> None:
    """Against the standard library, from one tail to the other; a null stays one."""
    z = [step / 1000 for step in range(-9000, 9001)]
    found = pl.DataFrame({"z": z}).select(phi=normal_cdf(pl.col("z")))["phi"]
    assert max(abs(a - PHI(b)) for a, b in zip(found, z, strict=True)) < 1e-13
    assert found.is_sorted()
    assert (
        pl.DataFrame({"z": [None]}, {"z": pl.Float64}).select(normal_cdf(pl.col("z"))).item()
        is None
    )


def test_the_total_by_hand() -> None:
    """C = Φ(1), R = Φ(0.5 · (1 − 0.5 · 0.4) / 2), P = Φ(−0.5)."""
    found = graded(
        {"pace_against_car_pct": 0.7, "car_pct": 0.4, "racecraft_raw": 1.0, "penalties_raw": 0.0}
    )
    consistency, racecraft, penalty = PHI(1.0), PHI(0.2), PHI(-0.5)
    assert found["consistency_score"].item() == pytest.approx(consistency, abs=1e-12)
    assert found["racecraft_score"].item() == pytest.approx(racecraft, abs=1e-12)
    assert found["penalty_score"].item() == pytest.approx(penalty, abs=1e-12)
    total = 0.55 * consistency + 0.45 * racecraft - 0.10 * penalty
    assert found["total_grade"].item() == pytest.approx(total, abs=1e-12)


def test_components_are_brought_together_with_the_error_of_one_race() -> None:
    """Error sqrt(0.188² + 1.6² / 64) = 0.275 %; b has no pace, c did not start."""
    drivers = {"session_id": "2025-1", "driver_id": ["a", "b", "c"]}
    rating = pl.LazyFrame({**drivers, "car_pct": 0.4, "pace_against_car_pct": [0.7, None, None]})
    laps = pl.LazyFrame({**drivers, "effective_laps": [64.0, None, None]})
    craft = pl.LazyFrame({**drivers, "racecraft_raw": 1.0, "racecraft_variance": 0.5})
    burden = pl.LazyFrame({**drivers, "penalties_raw": 0.0}).filter(pl.col("driver_id") != "c")
    found = components(rating, laps, craft, burden, V2_PROFILE.rating).sort("driver_id").collect()
    assert found.schema == COMPONENTS_V2_SCHEMA
    assert found["driver_id"].to_list() == ["a", "b"]
    error = (0.188**2 + 1.6**2 / 64) ** 0.5
    assert found["pace_against_car_se_pct"].to_list() == pytest.approx([error, None])


def test_no_score_is_cut_off_before_four_deviations() -> None:
    """3.9 deviations still count for more than 3.8; 5 count as 4."""
    found = graded(*({"pace_against_car_pct": 0.2 + 0.5 * z} for z in (3.8, 3.9, 4.0, 5.0)))
    scores = found["consistency_score"].to_list()
    assert scores[0] < scores[1] < scores[2] == scores[3] < 1.0


def test_without_pace_there_is_no_total() -> None:
    """Racecraft and penalties alone are no grade."""
    found = graded({"racecraft_raw": 3.0, "racecraft_variance": 1.0, "penalties_raw": 0.0})
    row = found.row(0, named=True)
    for name in ("consistency_score", "total_grade", "total_grade_low", "grade", "grade_high"):
        assert row[name] is None, name
    assert row["racecraft_score"] is not None
    assert not row["has_consistency_evidence"]


def test_what_is_not_known_counts_as_the_average() -> None:
    """Racecraft and penalties at their means make the same total, but have a score."""
    unknown, average = graded(
        {"pace_against_car_pct": 0.7},
        {"pace_against_car_pct": 0.7, "racecraft_raw": 0.0, "penalties_raw": 0.5},
    ).to_dicts()
    assert unknown["total_grade"] == pytest.approx(average["total_grade"], abs=1e-12)
    assert unknown["racecraft_score"] is None
    assert unknown["penalty_score"] is None
    assert (unknown["has_racecraft_evidence"], average["has_racecraft_evidence"]) == (False, True)
    assert (unknown["has_penalty_evidence"], average["has_penalty_evidence"]) == (False, True)


def test_the_interval_adds_the_shifts_of_pace_and_racecraft_as_squares() -> None:
    """By hand, 1.645 errors up and down; it is not symmetric near an end of the scale."""
    found = graded(
        {
            "pace_against_car_pct": 0.7,
            "pace_against_car_se_pct": 0.3,
            "racecraft_raw": 1.0,
            "racecraft_variance": 0.81,
            "penalties_raw": 0.5,
        }
    ).row(0, named=True)
    for direction, name in ((1, "total_grade_high"), (-1, "total_grade_low")):
        pace = PHI(1.0 + direction * 1.6448536 * 0.3 / 0.5) - PHI(1.0)
        craft = PHI(0.25 + direction * 1.6448536 * 0.5 * 0.9 / 2.0) - PHI(0.25)
        shift = ((0.55 * pace) ** 2 + (0.45 * craft) ** 2) ** 0.5
        assert found[name] == pytest.approx(found["total_grade"] + direction * shift, abs=1e-7)
    up = found["total_grade_high"] - found["total_grade"]
    assert up < found["total_grade"] - found["total_grade_low"]
    assert found["grade_low"] < found["grade"] < found["grade_high"]


def test_an_unknown_error_widens_nothing() -> None:
    """The interval is then a point."""
    row = graded({"pace_against_car_pct": 0.7}).row(0, named=True)
    assert row["total_grade_low"] == row["total_grade"] == row["total_grade_high"]


def test_the_grade_for_people_is_read_off_the_quantiles() -> None:
    """On a straight scale from −0.1 to 1, the total of 0.5 · 0.55 + 0.45 / 2 − 0.05 is half way."""
    found = graded({"pace_against_car_pct": 0.2}, {"pace_against_car_pct": 0.7})
    assert found["grade"].to_list() == pytest.approx(
        [100 * (0.45 + 0.1) / 1.1, 100 * (0.55 * PHI(1.0) + 0.175 + 0.1) / 1.1], abs=1e-9
    )


def test_beyond_the_training_years_the_grade_is_nought_or_a_hundred() -> None:
    """Better than all of them is 100, not more."""
    narrow = EASY.model_copy(
        update={"total_quantiles": tuple(0.4 + step / 1000 for step in range(QUANTILES))}
    )
    found = graded({"pace_against_car_pct": -1.5}, {"pace_against_car_pct": 2.0}, profile=narrow)
    assert found["grade"].to_list() == [0.0, 100.0]


def test_many_profiles_are_graded_at_once_each_on_its_own_scale() -> None:
    """As one by one."""
    row = {"session_id": "2025-1", "driver_id": "a", "pace_against_car_pct": 0.5, "car_pct": 1.0}
    components = pl.LazyFrame(
        [{**dict.fromkeys(COMPONENTS_V2_SCHEMA), **row}], schema=COMPONENTS_V2_SCHEMA
    )

    def grades(*profiles: CalibrationProfileV2) -> list[tuple[str, float, float]]:
        made = grade_v2(components, profile_frame_v2(profiles).lazy())
        found = for_people(made, quantile_frame(profiles).lazy()).collect().sort("profile_name")
        return list(found.select("profile_name", "total_grade", "grade").iter_rows())

    assert grades(EASY, V2_PROFILE) == grades(EASY) + grades(V2_PROFILE)
    assert grades(EASY) != grades(V2_PROFILE)


def test_a_better_raw_value_never_lowers_the_total() -> None:
    """Faster against the car, more passes, fewer mistakes."""
    steps = [-3.0 + step / 7 for step in range(43)]
    faster = graded(*({"pace_against_car_pct": value} for value in steps))
    craftier = graded(
        *({"pace_against_car_pct": 0.0, "racecraft_raw": 3 * value} for value in steps)
    )
    cleaner = graded(*({"pace_against_car_pct": 0.0, "penalties_raw": -value} for value in steps))
    for found in (faster, craftier, cleaner):
        assert len(found) == len(steps)
        ordered = found.with_columns(order=pl.col("driver_id").str.slice(1).cast(pl.Int32))
        assert ordered.sort("order")["total_grade"].is_sorted()
