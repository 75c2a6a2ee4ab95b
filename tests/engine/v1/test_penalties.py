"""Penalties out of race control's messages."""

from __future__ import annotations

import pytest

from engine.v1.grade import grade
from engine.v1.penalties import penalty_events
from tests.frames import frame
from tests.profiles import BASELINE

ENTRIES = frame(
    "entries",
    [
        {"driver_id": "magnussen", "team_id": "haas", "driver_number": 20},
        {"driver_id": "russell", "team_id": "mercedes", "driver_number": 63},
        {"driver_id": "nobody", "team_id": "none", "driver_number": None},
    ],
)


def read(*messages: str, laps: tuple[int, ...] = ()) -> list[tuple[str, str, float]]:
    """Driver, kind and cost of the penalties in the messages, in order."""
    lap_numbers = laps or (7,) * len(messages)
    rows = [
        {"message_number": number, "message": message, "lap_number": lap}
        for number, (message, lap) in enumerate(zip(messages, lap_numbers, strict=True), start=1)
    ]
    found = penalty_events(frame("race_control", rows).lazy(), ENTRIES.lazy()).collect()
    ordered = found.sort("driver_id", "penalty_number")
    return list(ordered.select("driver_id", "kind", "time_loss_s").iter_rows())


@pytest.mark.parametrize(
    ("message", "kind", "cost"),
    [
        ("FIA STEWARDS: 5 SECOND TIME PENALTY FOR CAR 20 (MAG) - CAUSING A COLLISION", "time", 5),
        ("10 SECOND TIME PENALTY FOR CAR 20 (MAG) - SPEEDING IN THE PIT LANE", "time", 10),
        ("FIA STEWARDS: LAP 1 TURN 1 INCIDENT 5 SECOND TIME PENALTY FOR CAR 20 (MAG)", "time", 5),
        ("FIA STEWARDS: DRIVE THROUGH PENALTY FOR CAR 20 (MAG) - JUMP START", "drive_through", 20),
        ("FIA STEWARDS: STOP-AND-GO PENALTY FOR CAR 20 (MAG) - X", "stop_and_go", 30),
        ("10 SECOND STOP/GO PENALTY FOR CAR 20 (MAG) - X", "stop_and_go", 30),
        ("30 SECOND STOP AND GO PENALTY FOR CAR 20 (MAG) - X", "stop_and_go", 50),
    ],
)
def test_an_announcement_is_a_penalty(message: str, kind: str, cost: float) -> None:
    """Every wording in use names the seconds, the kind and the car."""
    assert read(message) == [("magnussen", kind, cost)]


@pytest.mark.parametrize(
    "message",
    [
        "FIA STEWARDS: PENALTY SERVED - 5 SECOND TIME PENALTY FOR CAR 20 (MAG) - UNSAFE RELEASE",
        "FIA STEWARDS: INCIDENT INVOLVING CAR 20 (MAG) UNDER INVESTIGATION - SERVING TIME PENALTY",
        "FIA STEWARDS: 5 SECOND TIME PENALTY FOR CAR 20 (MAG) RESCINDED",
        "CAR 20 (MAG) TIME 1:37.326 DELETED - TRACK LIMITS AT TURN 4 LAP 16",
        "FIA STEWARDS: 5 SECOND TIME PENALTY FOR CAR 99 (ABC) - A CAR THAT IS NOT ENTERED",
        "FIA STEWARDS: 5 SECOND TIME PENALTY FOR CAR 99999 (ABC) - NO CAR HAS SUCH A NUMBER",
        "FIA STEWARDS: TIME PENALTY FOR CAR 20 (MAG) - IT NAMES NO SECONDS",
    ],
)
def test_other_messages_are_none(message: str) -> None:
    """Serving, investigating or withdrawing a penalty gives none, nor does a lost lap time."""
    assert read(message) == []


def test_one_penalty_announced_twice_counts_once() -> None:
    """Some messages are sent again with the stewards' opening; the first one gives the order."""
    text = "5 SECOND TIME PENALTY FOR CAR 63 (RUS) - TRACK LIMITS"
    other = "10 SECOND TIME PENALTY FOR CAR 63 (RUS) - UNSAFE RELEASE"
    found = read(text, other, f"FIA STEWARDS: {text}")
    assert found == [("russell", "time", 5.0), ("russell", "time", 10.0)]


def test_the_same_penalty_on_another_lap_counts_again() -> None:
    """A driver may run wide again."""
    text = "5 SECOND TIME PENALTY FOR CAR 63 (RUS) - TRACK LIMITS"
    assert len(read(text, text, laps=(20, 40))) == 2


@pytest.mark.parametrize(
    ("losses", "raw", "score"),
    [
        ([], 0.0, 0.0),
        ([2.4], 0.2, 0.0),
        ([5.0], 5 / 12, 0.36111),
        ([9.6], 0.8, 1.0),
        ([-3.0], 0, 0),
    ],
)
def test_burden_counts_seconds(losses: list[float], raw: float, score: float) -> None:
    """Up to 2.4 s are free, 9.6 s are the full burden, and a gain is no penalty."""
    inputs = frame("driver_inputs", [{"driver_id": "a", "penalty_time_losses_s": losses}])
    row = (
        grade(inputs.lazy(), frame("overtakes", []).lazy(), BASELINE.lazy())
        .collect()
        .row(0, named=True)
    )
    assert row["penalties_raw"] == pytest.approx(raw)
    assert row["penalty_score"] == pytest.approx(score, abs=1e-5)
