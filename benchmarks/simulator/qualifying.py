"""Qualifying before a simulated session: who is on which slot, and the times of the three parts.

The order is drawn first and makes the grid: each driver's best lap misses his pace by chance. The
times are told afterwards, from dice of their own. A driver's time in the last part he reaches is
that lap; in the parts before he is as fast as chance has it, but fast enough to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.simulator.cars import COMPOUND_S
from benchmarks.simulator.records import in_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.simulator.cars import Dice
    from benchmarks.simulator.world import Driver, Scenario

LAP_SCATTER_S: Final = 0.18
"""How far a qualifying lap misses a driver's pace, in seconds."""

PARTS: Final = (("q1_ms", 0.60, 15), ("q2_ms", 0.25, 10), ("q3_ms", 0.0, 0))
"""Each part's column, what its track costs against the last part's in s, and who goes on."""

EASY_S: Final = 0.15
"""How much slower a driver is in a part that he survives, on average, in s."""

MARGIN_MS: Final = 250
"""Most by which a driver who had to push beats the best of those who are out, in ms."""


class Qualified(NamedTuple):
    """A driver with his best lap, against the median driver and car, in seconds."""

    driver: Driver
    lap_s: float


def qualify(scenario: Scenario, dice: Dice) -> list[Qualified]:
    """Draw the order in qualifying, fastest first."""
    laps = [
        Qualified(driver, driver.team.pace_s + driver.pace_s + dice.normal(LAP_SCATTER_S))
        for driver in scenario.drivers
    ]
    return sorted(laps, key=lambda lap: lap.lap_s)


def part_times(
    scenario: Scenario, order: Sequence[Qualified], dice: Dice
) -> list[dict[str, object]]:
    """Tell the parts of a Grand Prix' qualifying: rows of `engine.tables.Qualifying`.

    Args:
        scenario: whose circuit; the track is dry. A sprint has no rows.
        order: as drawn by `qualify`.
        dice: with numbers of their own, so that the race stays what it is.
    """
    if scenario.session.session_kind != "race":
        return []
    rows: list[dict[str, object]] = [
        {"driver_id": lap.driver.driver_id, "position": position}
        for position, lap in enumerate(order, start=1)
    ]
    left = len(order)
    for column, track_s, places in PARTS:
        base_s = scenario.circuit.lap_s + COMPOUND_S["SOFT"] + track_s
        bests = [in_ms(base_s + lap.lap_s) for lap in order[:left]]
        for index, best_ms in enumerate(bests):
            rows[index][column] = best_ms
            if index < places:
                easy_ms = best_ms + in_ms(EASY_S + dice.normal(LAP_SCATTER_S))
                rows[index][column] = min([easy_ms, *_enough(bests[places:], dice)])
        left = min(left, places)
    return rows


def _enough(out: Sequence[int], dice: Dice) -> list[int]:
    """Give a time that goes on, in ms; none if nobody goes out."""
    return [min(out) - 1 - int(dice.uniform(0, MARGIN_MS))] if out else []
