"""Model v1 row by row in plain Python, written from its formulas alone.

What `engine.v1.grade` is measured against, and checked with: it shares nothing with the engine but
the inputs, which it reads as JSON lines, one driver and session a line, events and all.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Row = dict[str, Any]


def clamp(value: float) -> float:
    """Limit to 0..1."""
    return min(1.0, max(0.0, value))


def normalized(raw: float) -> float:
    """Stretch the middle of the raw scale over 0..1."""
    return clamp(0.5 + (raw - 0.5) / 0.6)


def known(value: float | None, otherwise: float) -> float:
    """Give the value, or what a missing field means."""
    return otherwise if value is None else value


def expected_delta_s(row: Row) -> float:
    """Lap delta expected of car and form, in s."""
    return (
        known(row["car_base_delta_s"], 0.0)
        + known(row["car_track_adjustment_s"], 0.0)
        + 0.2 * (known(row["form_consistency_score"], 0.5) - 0.5)
        + 0.05 * (known(row["form_start_precision_score"], 0.5) - 0.5)
        - 0.15 * known(row["form_error_rate"], 0.0)
    )


def average_stint_laps(laps: int, pit_laps: list[float]) -> float:
    """Average stint length, in laps."""
    stops = {lap for lap in pit_laps if lap >= 2}
    if laps <= 0 or not stops:
        return float(laps)
    last = max(stops)
    return laps / (len(stops) + 1) if last <= laps else (last - 1) / len(stops)


def consistency(row: Row, profile: Mapping[str, float]) -> float:
    """Consistency before normalisation."""
    deltas = row["lap_deltas_s"]
    if not deltas:
        return 0.5
    expected = expected_delta_s(row)
    deviation = sum(abs(delta - expected) for delta in deltas) / len(deltas)
    base = clamp(1 - deviation / profile["consistency_tolerance"])
    advantage = max(-expected - profile["pace_min_advantage"], 0.0)
    pace = 1 + min(advantage / profile["pace_advantage_scale"], profile["pace_boost_cap"])
    target = profile["stint_target_laps"]
    length = average_stint_laps(len(deltas), row["actual_pit_laps"])
    stint = 1.0
    if length > target > 0:
        stint = 1 + min((length - target) / target, profile["stint_boost_cap"])
    return clamp(base * pace * stint)


def team_strategy(row: Row, profile: Mapping[str, float]) -> float:
    """Team strategy before normalisation."""
    optimal, actual = row["optimal_pit_laps"], row["actual_pit_laps"]
    base = 0.5
    if optimal and actual:
        count = max(len(optimal), len(actual))
        distance = sum(
            abs(optimal[min(i, len(optimal) - 1)] - actual[min(i, len(actual) - 1)])
            for i in range(count)
        )
        base = clamp(1 - distance / count / profile["strategy_lap_tolerance"])
    return clamp(base - 0.5 * clamp(known(row["degradation_penalty_score"], 0.0)))


def event_value(event: Row) -> float:
    """What one event adds to racecraft."""
    logit = (
        -1.2 * known(event["car_pace_difference_s"], 0.0)
        - 0.05 * known(event["tyre_age_difference_laps"], 0.0)
        - 0.15 * known(event["compound_difference"], 0.0)
        - 0.01 * known(event["ers_difference"], 0.0)
        + 1.5 * known(event["track_difficulty"], 0.5)
        + 0.5 * known(event["race_phase_pressure"], 0.5)
    )
    difficulty = min(0.95, max(0.05, 1 / (1 + math.exp(-logit))))
    move = difficulty * (1 - math.exp(-known(event["exposure_time_s"], 5.0) / 5))
    move *= 0.2 if event["is_penalized"] else 1.0
    return move if event["is_success"] else -0.5 * move


def graded(row: Row, profile: Mapping[str, float]) -> Row:
    """Grade one driver in one session."""
    events = row["overtakes"] or []
    on_track = [event for event in events if event["kind"] == "on_track"]
    losses = sum(max(loss, 0.0) for loss in row["penalty_time_losses_s"])
    scores = {
        "consistency_score": normalized(consistency(row, profile)),
        "team_strategy_score": normalized(team_strategy(row, profile)),
        "racecraft_score": normalized(clamp(sum(map(event_value, on_track)))),
        "penalty_score": normalized(clamp(losses / profile["penalty_normalizer"])),
    }
    total = (
        0.55 * scores["consistency_score"]
        + 0.45 * scores["racecraft_score"]
        - 0.10 * scores["penalty_score"]
    )
    return {
        "session_id": row["session_id"],
        "driver_id": row["driver_id"],
        **scores,
        "on_track_events": len(on_track),
        "pit_cycle_events": len(events) - len(on_track),
        "total_grade": total,
    }


def grade_lines(path: Path, profile: Mapping[str, float]) -> list[Row]:
    """Grade every line of a file."""
    with path.open(encoding="utf-8") as lines:
        return [graded(json.loads(line), profile) for line in lines]
