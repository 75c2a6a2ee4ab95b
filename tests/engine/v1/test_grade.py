"""Components and total of model v1, by numbers worked by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from engine.v1.calibration import profile_frame
from engine.v1.grade import grade, published
from tests.frames import frame
from tests.profiles import ALL_PROFILES, BASELINE

if TYPE_CHECKING:
    from collections.abc import Mapping


def graded(
    inputs: Mapping[str, object] | None = None, overtakes: list[dict[str, object]] | None = None
) -> dict[str, float]:
    """Grade of one driver under the baseline profile."""
    row = {"driver_id": "a", **(inputs or {})}
    events = [
        {"driver_id": "a", "overtake_number": number, "kind": "on_track", **event}
        for number, event in enumerate(overtakes or [], start=1)
    ]
    frame_ = grade(
        frame("driver_inputs", [row]).lazy(), frame("overtakes", events).lazy(), BASELINE.lazy()
    ).collect()
    return frame_.row(0, named=True)


def test_a_driver_without_evidence_is_in_the_middle() -> None:
    """C 0.5, R 0, P 0, S 0.5: the total is 0.275."""
    found = graded()
    assert found["consistency_raw"] == 0.5
    assert found["team_strategy_raw"] == 0.5
    assert found["total_grade"] == pytest.approx(0.275)


def test_consistency_without_boosts() -> None:
    """Expected 0; laps ±0.82 s are a fifth of 4.1 s away: 0.8, which N stretches to 1.0."""
    found = graded({"lap_deltas_s": [0.82, -0.82] * 3})
    assert found["consistency_raw"] == pytest.approx(0.8)
    assert found["consistency_score"] == pytest.approx(1.0)


def test_pace_boost_is_capped() -> None:
    """A car 1.4 s faster: 1.2 s of advantage over 3 s would be 0.4, the cap is 0.25."""
    found = graded({"car_base_delta_s": -1.4, "lap_deltas_s": [-1.4 + 2.05] * 4})
    assert found["consistency_raw"] == pytest.approx(0.5 * 1.25)


@pytest.mark.parametrize(
    ("stops", "boost"),
    [
        ([], 1.35),  # 30 laps on end are twice the target: capped at 0.35
        ([11.0], 1.0),  # 30 laps, one stop: 15 on average, no more than the target
        ([40.0], 1.35),  # the stop came after 39 laps of running, of which 30 were clean
        ([1.0], 1.35),  # a stop on lap 1 ends no stint
        ([9.0, 9.0, 17.0], 1.0),  # a lap listed twice is one stop: 30/3 = 10
    ],
)
def test_stint_boost(stops: list[float], boost: float) -> None:
    """Base 0.5 shows the factor: 2.05 s of 4.1 s."""
    found = graded({"lap_deltas_s": [2.05, -2.05] * 15, "actual_pit_laps": stops})
    assert found["consistency_raw"] == pytest.approx(0.5 * boost)


def test_form_moves_the_expectation_with_the_predecessors_signs() -> None:
    """0.2·0.5 + 0.05·0.5 for perfect form; −0.15 for errors all the way."""
    perfect = {"form_consistency_score": 1.0, "form_start_precision_score": 1.0}
    assert graded(perfect)["expected_delta_s"] == pytest.approx(0.125)
    assert graded({"form_error_rate": 1.0})["expected_delta_s"] == pytest.approx(-0.15)


def test_unknown_form_is_neutral_and_zero_is_not_unknown() -> None:
    """A consistency of 0 is the worst there is, not a missing value."""
    assert graded()["expected_delta_s"] == 0.0
    assert graded({"form_consistency_score": 0.0})["expected_delta_s"] == pytest.approx(-0.1)


def test_one_neutral_success() -> None:
    """All differences 0, difficulty and phase 0.5, two seconds of attack."""
    found = graded(overtakes=[{"exposure_time_s": 2.0}])
    assert found["racecraft_raw"] == pytest.approx(0.24101535854799097, abs=1e-15)
    assert found["on_track_events"] == 1


def test_unknown_exposure_is_five_seconds() -> None:
    """D = 1/(1+e^−1) and 1 − e^−1."""
    expected = 1 / (1 + math.exp(-1)) * (1 - math.exp(-1))
    assert graded(overtakes=[{}])["racecraft_raw"] == pytest.approx(expected)


def test_failure_costs_half_and_a_penalized_move_is_a_fifth() -> None:
    """1 − 0.5 + 0.2 of one move."""
    one = graded(overtakes=[{"exposure_time_s": 2.0}])["racecraft_raw"]
    three = graded(
        overtakes=[
            {"exposure_time_s": 2.0},
            {"exposure_time_s": 2.0, "is_success": False},
            {"exposure_time_s": 2.0, "is_penalized": True},
        ]
    )
    assert three["racecraft_raw"] == pytest.approx(0.7 * one)


def test_only_on_track_events_count() -> None:
    """A place won in the pits, at the start or under yellow is counted and worth nothing."""
    kinds = ("pit_cycle", "start", "neutralized")
    found = graded(overtakes=[{"kind": kind} for kind in kinds])
    assert found["racecraft_raw"] == 0.0
    assert (found["on_track_events"], found["pit_cycle_events"]) == (0, 3)


def test_total_weighs_consistency_racecraft_and_penalties() -> None:
    """Perfect laps, endless passes, a full burden: 0.55 + 0.45 − 0.10; strategy is not in it."""
    found = graded(
        {"lap_deltas_s": [0.0] * 10, "penalty_time_losses_s": [30.0]}, overtakes=[{}] * 10
    )
    assert found["total_grade"] == pytest.approx(0.90)


@pytest.mark.parametrize(
    ("inputs", "missing"),
    [
        ({"lap_deltas_s": []}, {"consistency", "total"}),
        ({"has_lap_clocks": False}, {"racecraft", "total"}),
        ({"has_race_control": False}, {"penalty"}),
        ({"actual_pit_laps": []}, {"team_strategy"}),
        ({"optimal_pit_laps": []}, {"team_strategy"}),
        ({}, set()),
    ],
)
def test_what_rests_on_nothing_is_not_published(
    inputs: Mapping[str, object], missing: set[str]
) -> None:
    """No laps: no consistency. No clocks: no racecraft. A total needs both, and nothing else."""
    full = {"lap_deltas_s": [0.5], "actual_pit_laps": [20.0], "optimal_pit_laps": [21.0]}
    driver_inputs = frame("driver_inputs", [{"driver_id": "a", **full, **inputs}]).lazy()
    scored = grade(driver_inputs, frame("overtakes", []).lazy(), BASELINE.lazy())
    row = published(scored, driver_inputs).collect().row(0, named=True)
    kept = scored.collect().row(0, named=True)
    for name in ("consistency", "racecraft", "penalty", "team_strategy"):
        assert row[f"has_{name}_evidence"] is (name not in missing)
        assert row[f"{name}_score"] == (None if name in missing else kept[f"{name}_score"])
    assert row["total_grade"] == (None if "total" in missing else kept["total_grade"])
    assert (row["expected_delta_s"] is None) is ("consistency" in missing)
    assert (row["on_track_events"] is None) is ("racecraft" in missing)


def test_every_profile_grades_every_driver() -> None:
    """Two drivers under three profiles are six grades, each with its profile's name."""
    inputs = frame("driver_inputs", [{"driver_id": "a"}, {"driver_id": "b"}])
    found = grade(
        inputs.lazy(), frame("overtakes", []).lazy(), profile_frame(ALL_PROFILES).lazy()
    ).collect()
    assert sorted(found.select("driver_id", "profile_name").iter_rows()) == [
        (driver, profile) for driver in "ab" for profile in ("baseline", "no_stint", "strict")
    ]
