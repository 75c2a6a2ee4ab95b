"""Profiles that tests grade with."""

from __future__ import annotations

from engine.v1.calibration import CalibrationProfile, profile_frame
from loaders.settings import RESOURCES

BASELINE_PROFILE = CalibrationProfile.model_validate_json(
    (RESOURCES / "data" / "calibration" / "baseline.json").read_bytes()
)
STRICT_PROFILE = BASELINE_PROFILE.model_copy(
    update={
        "name": "strict",
        "consistency_tolerance": 1.3,
        "stint_target_laps": 22.0,
        "strategy_lap_tolerance": 3.0,
        "penalty_normalizer": 5.0,
    }
)
NO_STINT_PROFILE = BASELINE_PROFILE.model_copy(
    update={"name": "no_stint", "stint_target_laps": 0.0, "pace_boost_cap": 0.0}
)

BASELINE = profile_frame([BASELINE_PROFILE])
ALL_PROFILES = (BASELINE_PROFILE, STRICT_PROFILE, NO_STINT_PROFILE)
