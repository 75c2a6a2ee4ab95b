"""Profiles are checked when they are read."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from engine.errors import ProfileError
from engine.v1.calibration import CalibrationProfile, profile_frame
from tests.profiles import BASELINE_PROFILE

GOOD = BASELINE_PROFILE.model_dump()


@pytest.mark.parametrize(
    "change",
    [
        {"consistency_tolerance": 0.0},
        {"pace_advantage_scale": 0},
        {"strategy_lap_tolerance": 0.0},
        {"penalty_normalizer": -1.0},
        {"consistency_tolerance": "4.1"},
        {"consistency_tolerance": float("nan")},
        {"pace_boost_cap": float("inf")},
        {"consistancy_tolerance": 4.1},
        {"name": "../etc"},
        {"version": 0},
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused(change: dict[str, object]) -> None:
    """Zero divisors, text for numbers, NaN, misspelled fields and names that are paths."""
    with pytest.raises(ValidationError):
        CalibrationProfile.model_validate(GOOD | change)


def test_a_missing_field_is_refused() -> None:
    """No default stands in silently for a constant."""
    lacking = {name: value for name, value in GOOD.items() if name != "penalty_normalizer"}
    with pytest.raises(ValidationError, match="penalty_normalizer"):
        CalibrationProfile.model_validate(lacking)


def test_a_stint_target_of_zero_means_no_boost() -> None:
    """Zero is a choice there, not a divisor."""
    profile = CalibrationProfile.model_validate(GOOD | {"stint_target_laps": 0.0})
    assert profile.stint_target_laps == 0.0


def test_json_numbers_may_be_whole() -> None:
    """A person writes 6, not 6.0."""
    text = json.dumps(GOOD | {"strategy_lap_tolerance": 6})
    assert CalibrationProfile.model_validate_json(text).strategy_lap_tolerance == 6.0


def test_frames_need_profiles_of_different_names() -> None:
    """Grades are told apart by profile name."""
    with pytest.raises(ProfileError, match="share a name: baseline"):
        profile_frame([BASELINE_PROFILE, BASELINE_PROFILE])
    with pytest.raises(ProfileError, match="no calibration profile"):
        profile_frame([])
