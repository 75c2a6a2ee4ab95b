"""What a race leaves behind; `benchmarks.simulator.tables` makes tables of it."""

from __future__ import annotations

from typing import NamedTuple


class LapRecord(NamedTuple):
    """A lap as it was driven; times in ms, `end_ms` null if it was not completed.

    `last_seen_ms` is its end, or when the car stopped on it.
    `potential_ms` is the lap in clear air without noise; `noise_ms` and `error_ms` come on top.
    `entry_loss_ms` was lost by turning into the pits at its end, `exit_loss_ms` by leaving them,
    or the grid, at its beginning.
    """

    driver_id: str
    lap_number: int
    start_ms: int
    end_ms: int | None
    last_seen_ms: int
    compound: str
    stint_number: int
    tyre_life_laps: int
    is_fresh_tyre: bool
    is_in_lap: bool
    is_out_lap: bool
    deleted_reason: str | None
    potential_ms: int
    noise_ms: int
    error_ms: int
    entry_loss_ms: int
    exit_loss_ms: int


class Contest(NamedTuple):
    """A pass that was tried on the track, with the probability it had."""

    driver_id: str
    lap_number: int
    opponent_id: str
    pass_probability: float


class Finish(NamedTuple):
    """How a race ended; `at_ms` is the last crossing, `penalty_ms` what is added to the time."""

    driver_id: str
    completed_laps: int
    at_ms: int
    is_running: bool
    penalty_ms: int


def in_ms(seconds: float) -> int:
    """Turn seconds into whole milliseconds."""
    return round(seconds * 1000)
