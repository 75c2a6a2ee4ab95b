"""The pits: who comes in, what it costs, which penalties are served there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.simulator.cars import Visit, choose_compound
from benchmarks.simulator.control import PACE_FACTOR, SAFETY_CAR, VSC
from benchmarks.simulator.records import in_ms

if TYPE_CHECKING:
    from benchmarks.simulator.cars import Car
    from benchmarks.simulator.race import Race

BEFORE_LINE: Final = 0.35
"""Share of the pit lane that lies before the finishing line."""

STATIONARY_S: Final = (2.1, 3.4)
"""Time at rest for a tyre change, in seconds."""

IN_LIEU_S: Final = {"drive_through": 20, "stop_and_go": 30}
"""What is added to the time for a visit to the pits that was not made, in seconds."""

EARLY_STOP_LAPS: Final = 12
EARLY_STOP_LIFE_LAPS: Final = 8
EARLY_STOP_CHANCE: Final = {SAFETY_CAR: 0.8, VSC: 0.5}
"""A stop planned within so many laps, on a set so old, is made under a neutralization so often."""

COMMITTED: Final = 0.15
"""A car with less than this share of its lap left can no longer turn into the pits."""

SERVED_S: Final = 35.0
"""Until the stewards confirm a penalty served, in seconds."""


def entry_ms(race: Race, car: Car) -> int:
    """What turning into the pits costs the lap that ends there, in ms."""
    if car.visit is None:
        return 0
    circuit = race.scenario.circuit
    factor = PACE_FACTOR[race.mode]
    return max(0, in_ms(BEFORE_LINE * (circuit.lane_s - factor * circuit.bypass_s)))


def choose_visit(race: Race, car: Car) -> None:
    """Decide at the beginning of a lap whether it ends in the pits."""
    failure = car.retirement
    if failure is not None and failure.kind == "in_the_pits" and failure.lap == car.lap:
        car.visit = Visit(car.lap, retires=True)
        return
    penalty = next((p for p in car.owed if p.kind != "time"), None)
    if penalty is not None:
        car.visit = Visit(car.lap, penalty=penalty)
    else:
        compound = choose_compound(race.scenario, car, race.dice)
        compound = compound or early_stop(race, car)
        if compound is not None:
            car.visit = Visit(car.lap, compound, next(iter(car.owed), None))


def early_stop(race: Race, car: Car) -> str | None:
    """Decide whether a planned stop is made now because it is cheap; gives the compound."""
    is_young = car.tyres.life_laps < EARLY_STOP_LIFE_LAPS
    if race.mode not in EARLY_STOP_CHANCE or not car.plan or is_young:
        return None
    is_near = car.plan[0][0] - car.lap <= EARLY_STOP_LAPS
    if is_near and race.dice.chance(EARLY_STOP_CHANCE[race.mode]):
        return car.plan.pop(0)[1]
    return None


def turn_in(race: Race, car: Car, at_ms: int) -> None:
    """Let a car on its lap come in at the lap's end, now that racing has been neutralized."""
    is_late = car.end_ms - at_ms <= COMMITTED * (car.end_ms - car.start_ms)
    if car.visit is not None or car.lap == 1 or is_late:
        return
    compound = early_stop(race, car)
    if compound is not None:
        car.visit = Visit(car.lap, compound, next(iter(car.owed), None))
        car.entry_loss_ms = entry_ms(race, car)
        car.end_ms += car.entry_loss_ms


def serve(race: Race, car: Car, visit: Visit, at_ms: int) -> None:
    """Time the visit that begins around the line, and settle the penalty it serves."""
    visit.in_ms = at_ms - in_ms(BEFORE_LINE * race.scenario.circuit.lane_s)
    rest_s = race.dice.uniform(*STATIONARY_S) if visit.new_compound is not None else 0.0
    if visit.penalty is not None:
        rest_s += visit.penalty.seconds
        car.owed.remove(visit.penalty)
        race.control.served(at_ms + in_ms(SERVED_S), car.driver, visit.penalty)
    visit.stationary_ms = in_ms(rest_s) or None


def owed_ms(car: Car) -> int:
    """What the penalties a car has not served add to its time, in ms."""
    return in_ms(sum(IN_LIEU_S.get(penalty.kind, penalty.seconds) for penalty in car.owed))
