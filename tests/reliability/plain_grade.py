"""Scores of both models in plain Python, one driver at a time: what the plans are compared with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.v1.calibration import CalibrationProfile
    from engine.v2.calibration import CalibrationProfileV2, Normalization

    Scores = dict[str, float | None]

EXPECTATION: Final = {
    "car_base_delta_s": (1.0, 0.0),
    "car_track_adjustment_s": (1.0, 0.0),
    "form_consistency_score": (0.2, 0.5),
    "form_start_precision_score": (0.05, 0.5),
    "form_error_rate": (-0.15, 0.0),
}
"""Weight of each value in the expected delta, and the value that moves nothing."""


def clamped(value: float) -> float:
    """Limit to 0..1."""
    return min(1.0, max(0.0, value))


def stretched(raw: float) -> float:
    """Score of a raw value of model v1."""
    return clamped(0.5 + (raw - 0.5) / 0.6)


def plain_v1(
    given: Mapping[str, Any], racecraft: float | None, profile: CalibrationProfile
) -> Scores:
    """Consistency, penalties and the total of a driver, from what he is graded on.

    Args:
        given: the driver's row of `driver_inputs`.
        racecraft: his score in it, which is taken as it is.
        profile: what to grade with.
    """
    hoped = 0.0
    for name, (weight, neutral) in EXPECTATION.items():
        value = neutral if given[name] is None else given[name]
        hoped += weight * (value - neutral)
    deltas, stops = given["lap_deltas_s"], given["actual_pit_laps"]
    raw = _consistency(deltas, stops, hoped, profile) if deltas else None
    lost = sum(max(loss, 0.0) for loss in given["penalty_time_losses_s"])
    burden = clamped(lost / profile.penalty_normalizer)
    score, penalty = None if raw is None else stretched(raw), stretched(burden)
    is_known = score is not None and racecraft is not None
    total = 0.55 * (score or 0.0) + 0.45 * (racecraft or 0.0) - 0.10 * penalty
    has_messages = given["has_race_control"]
    return {
        "consistency_raw": raw,
        "consistency_score": score,
        "expected_delta_s": hoped if deltas else None,
        "penalties_raw": burden if has_messages else None,
        "penalty_score": penalty if has_messages else None,
        "total_grade": total if is_known else None,
    }


def _consistency(
    deltas: Sequence[float], stops: Sequence[float], hoped: float, profile: CalibrationProfile
) -> float:
    """How closely laps follow what was hoped for, with its two boosts."""
    off = sum(abs(delta - hoped) for delta in deltas) / len(deltas)
    base = clamped(1.0 - off / profile.consistency_tolerance)
    ahead = max(-hoped - profile.pace_min_advantage, 0.0) / profile.pace_advantage_scale
    length, ended = float(len(deltas)), {stop for stop in stops if stop >= 2}
    if ended:
        last = max(ended)
        length = length / (len(ended) + 1) if last <= length else (last - 1) / len(ended)
    target, stint = profile.stint_target_laps, 1.0
    if 0 < target < length:
        stint += min((length - target) / target, profile.stint_boost_cap)
    return clamped(base * (1.0 + min(ahead, profile.pace_boost_cap)) * stint)


def plain_v2(given: Mapping[str, Any], profile: CalibrationProfileV2) -> Scores:
    """All scores, the total and the grade of a driver.

    Args:
        given: the driver's row of `grade_evidence`.
        profile: what to grade with.
    """
    parts = {
        "consistency": ("pace_against_car_pct", profile.consistency),
        "racecraft": ("racecraft_raw", profile.racecraft),
        "penalty": ("penalties_raw", profile.penalty),
    }
    scores = {
        part: _phi(given[raw], given["scored_car_pct"], constants)
        for part, (raw, constants) in parts.items()
    }
    consistency, racecraft, penalty = (0.5 if score is None else score for score in scores.values())
    weights = profile.weights
    total = weights.consistency * consistency + weights.racecraft * racecraft
    total -= weights.penalty * penalty
    is_known = scores["consistency"] is not None
    return {
        **{f"{part}_score": score for part, score in scores.items()},
        "total_grade": total if is_known else None,
        "grade": _percentage(total, profile.total_quantiles) if is_known else None,
    }


def _phi(raw: float | None, car: float | None, constants: Normalization) -> float | None:
    """Score of a raw value of model v2."""
    if raw is None:
        return None
    z = (raw + constants.car_share * (car or 0.0) - constants.mean) / constants.sd
    return 0.5 * (1.0 + math.erf(min(4.0, max(-4.0, z)) * constants.spread / math.sqrt(2.0)))


def _percentage(total: float, quantiles: Sequence[float]) -> float:
    """Place of a total among the training years' totals, straight between the quantiles."""
    below = [percent for percent, quantile in enumerate(quantiles) if quantile <= total]
    if not below:
        return 0.0
    if below[-1] == len(quantiles) - 1:
        return 100.0
    low, high = quantiles[below[-1]], quantiles[below[-1] + 1]
    return below[-1] + (total - low) / (high - low)
