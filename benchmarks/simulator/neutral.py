"""Neutralizations: yellow flags, the safety car, the virtual safety car, the red flag."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.simulator import pits
from benchmarks.simulator.cars import Visit, fitting_compound
from benchmarks.simulator.control import (
    CLEAR,
    PACE_FACTOR,
    RED,
    SAFETY_CAR,
    VSC,
    VSC_ENDING,
    YELLOW,
)
from benchmarks.simulator.records import in_ms

if TYPE_CHECKING:
    from benchmarks.simulator.cars import Car
    from benchmarks.simulator.race import Race
    from benchmarks.simulator.world import Neutralization

CATCH_UP_FACTOR: Final = 1.25
"""Lap time against racing pace of a car that still has to catch the safety car's queue."""

QUEUE_GAP_S: Final = (0.9, 1.5)
"""Distance kept in that queue, in seconds."""

RESTART_GAP_S: Final = 0.3
"""Least distance at the line between cars that race again, in seconds."""

VSC_GAP_S: Final = 0.5
"""Least distance kept under the virtual safety car, in seconds."""

INCIDENT_SECTOR: Final = 7
"""Marshal sector in which every incident happens."""

RESTART_SLOT_S: Final = 1.0
"""Distance between cars that leave the pits after a red flag, in seconds."""

YELLOW_S: Final = 50.0
"""How long a yellow flag stays out, in seconds."""

CALL_S: Final = 12.0
"""From the yellow flag to the safety car, the virtual one or the red flag, in seconds."""

VSC_ENDING_S: Final = 11.0
"""How long "VSC ending" shows before racing resumes, in seconds."""

RESUME_NOTICE_S: Final = 600.0
"""How long before a resumption it is announced, in seconds."""


def pace_factor(race: Race, *, leads: bool) -> float:
    """Give the lap time against racing pace of a car that begins a lap now."""
    if race.mode == SAFETY_CAR and not leads:
        return CATCH_UP_FACTOR
    return PACE_FACTOR[race.mode]


def queue_end_ms(race: Race, free_ms: int, rivals: list[Car]) -> int:
    """Hold a car behind those ahead of it on the lap (nearest first) and give its end, in ms."""
    if not rivals:
        return free_ms
    gap_s = race.dice.uniform(*QUEUE_GAP_S) if race.mode == SAFETY_CAR else VSC_GAP_S
    return max(free_ms, rivals[0].end_ms + in_ms(gap_s))


def lead_lap_begins(race: Race, lap: int, at_ms: int) -> None:
    """Call what the scenario has for a lap of the leader; send the safety car in when due."""
    if race.green_lap == lap:
        _resume(race, at_ms)
    elif race.green_lap == lap + 1:
        race.control.safety_car(at_ms, "SAFETY CAR IN THIS LAP", "IN THIS LAP")
    for neutralization in race.scenario.neutralizations:
        if neutralization.lap == lap:
            due_ms = at_ms + in_ms(neutralization.share * race.scenario.circuit.lap_s)
            race.at(due_ms, partial(_call, race, neutralization))


def yellow(race: Race, at_ms: int) -> None:
    """Wave yellow for a while where a car has stopped."""
    race.at(at_ms, partial(_wave, race))
    race.at(at_ms + in_ms(YELLOW_S), partial(_clear, race))


def _wave(race: Race, at_ms: int) -> None:
    if race.control.status == CLEAR:
        race.control.show(at_ms, YELLOW)
        race.control.sector_flag(at_ms, INCIDENT_SECTOR, "DOUBLE YELLOW")


def _clear(race: Race, at_ms: int) -> None:
    if race.control.status == YELLOW:
        race.control.show(at_ms, CLEAR)
        race.control.sector_flag(at_ms, INCIDENT_SECTOR, "CLEAR")


def _call(race: Race, neutralization: Neutralization, at_ms: int) -> None:
    """Wave yellow, and neutralize a little later."""
    actions = {
        "safety_car": _safety_car,
        "virtual_safety_car": _virtual_safety_car,
        "red_flag": _red_flag,
    }
    _wave(race, at_ms)
    action = actions[neutralization.kind]
    race.at(at_ms + in_ms(CALL_S), partial(action, race, neutralization))


def _safety_car(race: Race, neutralization: Neutralization, at_ms: int) -> None:
    """Bring out the safety car until the leader has followed it for some laps."""
    race.control.safety_car(at_ms, "SAFETY CAR DEPLOYED", "DEPLOYED")
    race.green_lap = race.control.lead_lap + neutralization.laps + 1
    _slow(race, at_ms, SAFETY_CAR)


def _virtual_safety_car(race: Race, neutralization: Neutralization, at_ms: int) -> None:
    """Slow everybody alike for a while."""
    race.control.safety_car(at_ms, "VIRTUAL SAFETY CAR DEPLOYED", "DEPLOYED")
    _slow(race, at_ms, VSC)
    over_ms = at_ms + in_ms(neutralization.duration_s)
    race.at(over_ms - in_ms(VSC_ENDING_S), partial(_virtual_safety_car_ending, race))
    race.at(over_ms, partial(_resume, race))


def _virtual_safety_car_ending(race: Race, at_ms: int) -> None:
    race.control.safety_car(at_ms, "VIRTUAL SAFETY CAR ENDING", "ENDING")
    race.control.show(at_ms, VSC_ENDING)


def _slow(race: Race, at_ms: int, mode: str) -> None:
    """Stretch the laps in progress, then let those who like turn into the pits."""
    race.mode = mode
    race.control.show(at_ms, mode)
    for car in race.on_track():
        car.end_ms = at_ms + round((car.end_ms - at_ms) * PACE_FACTOR[mode])
    for car in race.on_track():
        pits.turn_in(race, car, at_ms)


def _resume(race: Race, at_ms: int) -> None:
    """Go racing again: what is left of the laps in progress is driven at racing pace."""
    earliest_ms: dict[int, int] = {}
    for car in sorted(race.on_track(), key=lambda car: (car.end_ms, car.slot)):
        left_ms, lap_ms = car.end_ms - at_ms, car.end_ms - car.start_ms
        racing_ms = max(left_ms / PACE_FACTOR[race.mode], car.pace_ms * left_ms / lap_ms)
        end_ms = at_ms + round(min(racing_ms, left_ms))
        car.end_ms = max(end_ms, earliest_ms.get(car.lap, 0))
        earliest_ms[car.lap] = car.end_ms + in_ms(RESTART_GAP_S)
    race.mode = CLEAR
    race.green_lap = None
    race.control.show(at_ms, CLEAR)
    race.control.flag(at_ms, "TRACK CLEAR", "CLEAR")


def _red_flag(race: Race, neutralization: Neutralization, at_ms: int) -> None:
    """Stop the race: everybody drives into the pit lane, changes tyres and waits there.

    The lap in progress ends at the resumption, when the cars file out in the order of the race.
    """
    race.mode = RED
    race.control.show(at_ms, RED)
    race.control.flag(at_ms, "RED FLAG", "RED")
    resumed_ms = at_ms + in_ms(neutralization.duration_s)
    order = sorted(race.running(), key=lambda car: (-car.lap, car.in_lane, car.end_ms))
    for place, car in enumerate(order):
        left_ms = in_ms(race.scenario.circuit.lap_s) if car.in_lane else car.end_ms - at_ms
        arrived_ms = at_ms + round(left_ms * PACE_FACTOR[RED])
        car.visit = Visit(
            car.lap,
            fitting_compound(race.scenario, car.lap),
            retires=car.visit is not None and car.visit.retires,
            is_red_flag=True,
            in_ms=arrived_ms,
        )
        car.end_ms = car.visit.out_ms = resumed_ms + in_ms(place * RESTART_SLOT_S)
        car.entry_loss_ms = car.end_ms - arrived_ms
        car.in_lane = False
        car.plan.clear()
    clock = f"{race.control.time_at(resumed_ms):%H:%M}"
    notice_ms = resumed_ms - in_ms(RESUME_NOTICE_S)
    race.control.say(notice_ms, f"RACE WILL RESUME AT {clock} - ROLLING START PROCEDURE")
    race.at(resumed_ms, partial(_follow_safety_car, race))


def _follow_safety_car(race: Race, at_ms: int) -> None:
    """Resume a stopped race behind the safety car, for one lap."""
    race.mode = SAFETY_CAR
    race.control.show(at_ms, SAFETY_CAR)
    race.control.flag(at_ms, "GREEN LIGHT - PIT EXIT OPEN", "GREEN")
    race.green_lap = race.control.lead_lap + 2
