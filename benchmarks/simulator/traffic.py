"""Traffic: who is held up, who passes, who is lapped.

A car that would end its lap within `REACH_S` of a car ahead must pass it or follow it:

    log-odds of the pass = circuit + 1.1 per second of lap time gained + attack - defence
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from benchmarks.simulator.control import CLEAR
from benchmarks.simulator.records import Contest, in_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.simulator.cars import Car
    from benchmarks.simulator.race import Race

REACH_S: Final = 0.3
"""A car that would end the lap within this of the car ahead is held up by it, in seconds."""

FOLLOW_S: Final = (0.45, 0.95)
"""Gap at the line behind a car that was not passed, in seconds."""

CLEAR_S: Final = 0.15
"""Gap at the line that a pass leaves at least, in seconds."""

DIRTY_AIR_S: Final = 0.20
DIRTY_AIR_REACH_S: Final = 1.5
"""What following within that reach costs a lap, in seconds."""

PACE_LOGIT_PER_S: Final = 1.1
"""How the log-odds of a pass grow with each second of lap time the attacker is faster."""

BLUE_FLAG_REACH_S: Final = 2.0
BLUE_FLAG_S: Final = 0.9
LAPPING_S: Final = 0.3
"""A car lapped within that reach loses the one, the car that laps it the other, in seconds."""


def racing_end_ms(race: Race, car: Car, free_ms: int, rivals: list[Car]) -> int:
    """Pass or follow the cars ahead, nearest first, and give the end of the lap."""
    end_ms, passed_ms = free_ms, None
    for rival in rivals:
        if free_ms >= rival.end_ms + in_ms(REACH_S):
            if passed_ms is None:
                near = free_ms < rival.end_ms + in_ms(DIRTY_AIR_REACH_S)
                return free_ms + (in_ms(DIRTY_AIR_S) if near else 0)
            return max(end_ms, (rival.end_ms + passed_ms) // 2)
        if not _contest(race, car, rival):
            follow_ms = max(end_ms, rival.end_ms + in_ms(race.dice.uniform(*FOLLOW_S)))
            between_ms = follow_ms if passed_ms is None else (rival.end_ms + passed_ms) // 2
            return min(follow_ms, between_ms)
        passed_ms = rival.end_ms
        end_ms = min(free_ms, passed_ms - in_ms(CLEAR_S))
    return end_ms


def catch_up(race: Race, car: Car, followers: Sequence[Car]) -> None:
    """Let cars that reach the pit exit after one that has just left it pass it or follow it.

    Their laps were planned without it. Once one of them is held up, so are those behind.
    """
    last, may_pass = car, race.mode == CLEAR
    for follower in sorted(followers, key=lambda other: (other.end_ms, other.slot)):
        if may_pass and follower.end_ms < car.end_ms and _contest(race, follower, car):
            continue
        may_pass = False
        follower.end_ms = max(follower.end_ms, last.end_ms + in_ms(FOLLOW_S[0]))
        last = follower


def _contest(race: Race, car: Car, rival: Car) -> bool:
    """Try to pass a car within reach, and keep the record."""
    probability = pass_probability(race, car, rival)
    race.contests.append(
        Contest(car.driver.driver_id, car.lap, rival.driver.driver_id, probability)
    )
    return race.dice.chance(probability)


def pass_probability(race: Race, car: Car, rival: Car) -> float:
    """How likely a car within reach gets by: faster car, better attack, weaker defence."""
    logit = (
        race.scenario.circuit.passing_logit
        + PACE_LOGIT_PER_S * (rival.pace_ms - car.pace_ms) / 1000
        + car.driver.attack
        - rival.driver.defence
    )
    return 1 / (1 + math.exp(-logit))


def lapping_ms(race: Race, car: Car, at_ms: int) -> int:
    """What lapping and being lapped costs a car that begins a lap, in ms."""
    reach_ms = in_ms(BLUE_FLAG_REACH_S)
    others = race.on_track()
    lapped_by = sum(
        other.lap >= car.lap and 0 <= other.end_ms - at_ms < reach_ms
        for other in others
        if other is not car
    )
    laps = sum(other.lap < car.lap and at_ms - other.start_ms < reach_ms for other in others)
    if lapped_by:
        race.control.blue_flag(at_ms, car.driver)
    return in_ms(lapped_by * BLUE_FLAG_S + laps * LAPPING_S)
