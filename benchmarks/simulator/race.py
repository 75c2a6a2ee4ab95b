"""The race: an ordered agenda of line crossings, pit exits and race control.

1. Every running car has one next moment: its crossing of the line, or its exit from the pits.
   The earliest is taken first, so each decision sees only what has already happened.
2. A car that begins a lap is given the moment of its end from its pace. A car ahead on the same
   lap whose end it would reach must be passed or followed.
3. A neutralization stretches all laps in progress alike, which keeps the order; under it nobody
   passes a car that is not in the pits (`benchmarks.simulator.neutral`).
4. The first car to complete the distance brings the flag; every other car stops at its own next
   crossing, some of them laps down.

Clocks are integer milliseconds of the session; lap times are their differences.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.simulator import neutral
from benchmarks.simulator.cars import (
    Car,
    Dice,
    Tyres,
    Visit,
    choose_compound,
    error_s,
    noise_s,
    plan_tyres,
    potential_s,
)
from benchmarks.simulator.control import CLEAR, LIGHTS_OUT_MS, VSC, RaceControl

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.simulator.world import Driver, Penalty, Scenario

REACH_S: Final = 0.5
"""A car that would end the lap within this of the car ahead is held up by it, in seconds."""

FOLLOW_S: Final = (0.45, 0.95)
"""Gap at the line behind a car that was not passed, in seconds."""

CLEAR_S: Final = 0.30
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

COLD_TYRES_S: Final = 0.8
"""What the first lap on a set costs, in seconds."""

STANDING_START_S: Final = 5.5
GRID_SLOT_S: Final = 0.42
PIT_LANE_START_S: Final = 13.0
START_SCATTER_S: Final = 0.75
START_GAP_S: Final = 0.25
"""First lap: lost to acceleration, per slot, by starting from the pits, to luck; gap left, s."""

QUALIFYING_SCATTER_S: Final = 0.18
"""How far a qualifying lap misses a driver's pace, in seconds."""

BEFORE_LINE: Final = 0.35
"""Share of the pit lane that lies before the finishing line."""

STATIONARY_S: Final = (2.1, 3.4)
"""Time at rest for a tyre change, in seconds."""

RETIREMENT_SHARE: Final = 0.35
"""Share of the lap after which a car that fails on the track stops."""

SERVED_S: Final = 35.0
DELETION_S: Final = 75.0
"""Until the stewards confirm a penalty served, and until they delete a lap, in seconds."""

DELETION_RATE: Final = 0.45
"""Laps deleted for track limits for each lap lost to an error."""

WARNING_DELETIONS: Final = 3
"""Deleted laps that bring the black and white flag."""


class LapRecord(NamedTuple):
    """A lap as it was driven; times in ms, `end_ms` null if it was not completed.

    `potential_ms` is the lap in clear air without noise; `noise_ms` and `error_ms` come on top.
    """

    driver_id: str
    lap_number: int
    start_ms: int
    end_ms: int | None
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


class Contest(NamedTuple):
    """A pass that was tried on the track, with the probability it had."""

    driver_id: str
    lap_number: int
    opponent_id: str
    pass_probability: float
    is_success: bool


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


def qualify(scenario: Scenario, dice: Dice) -> list[Driver]:
    """Draw the order in qualifying, fastest first."""
    laps = [
        driver.team.pace_s + driver.pace_s + dice.normal(QUALIFYING_SCATTER_S)
        for driver in scenario.drivers
    ]
    order = sorted(range(len(laps)), key=lambda index: (laps[index], index))
    return [scenario.drivers[index] for index in order]


class Race:
    """One session in progress; `run` drives it to the flag and leaves the records.

    Attributes:
        grid: drivers who took the start from the grid, in order.
        laps: every lap, in the order they ended.
        visits: (driver id, visit) for every visit to the pit lane.
        contests: every pass that was tried.
        finishes: one record for each driver who started.
        lead_starts_ms: session clock at which the leader began lap 1, 2, …
        flag_ms: session clock of the winner's finish; null before it.
        mode: track status code that rules the pace; yellow does not.
        green_lap: leader's lap at whose beginning the safety car has gone.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.dice = Dice(seed)
        self.control = RaceControl(scenario)
        self.laps: list[LapRecord] = []
        self.visits: list[tuple[str, Visit]] = []
        self.contests: list[Contest] = []
        self.finishes: list[Finish] = []
        self.lead_starts_ms: list[int] = []
        self.flag_ms: int | None = None
        self.mode = CLEAR
        self.green_lap: int | None = None
        self._agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self._agenda_number = 0
        order = [d for d in qualify(scenario, self.dice) if d.driver_id not in scenario.did_not_start]
        self.grid = [d for d in order if d.driver_id not in scenario.pit_lane_starts]
        self.cars = [
            self._prepare(slot, driver)
            for slot, driver in enumerate(self.grid + [d for d in order if d not in self.grid])
        ]

    def _prepare(self, slot: int, driver: Driver) -> Car:
        scenario = self.scenario
        tyres, plan = plan_tyres(scenario, self.dice)
        failure = next((r for r in scenario.retirements if r.driver_id == driver.driver_id), None)
        return Car(
            driver, slot, plan, tyres, failure, is_out_lap=driver.driver_id in scenario.pit_lane_starts
        )

    def run(self) -> None:
        """Drive the session to its end."""
        self._lights_out()
        while running := self.running():
            car = min(running, key=lambda c: (c.end_ms, c.slot))
            if self._agenda and self._agenda[0][0] <= car.end_ms:
                at_ms, _, action = heapq.heappop(self._agenda)
                action(at_ms)
            elif car.in_lane:
                self._leave_lane(car)
            else:
                self._cross_line(car)

    def at(self, at_ms: int, action: Callable[[int], None]) -> None:
        """Put something on the agenda; it is called with its session clock."""
        self._agenda_number += 1
        heapq.heappush(self._agenda, (at_ms, self._agenda_number, action))

    def running(self) -> list[Car]:
        """List the cars still in the race."""
        return [car for car in self.cars if car.is_running]

    def _lights_out(self) -> None:
        """Give every car its first lap: by slot, start and luck, with nobody held up."""
        ends = []
        for car in self.cars:
            self._draw_lap(car, LIGHTS_OUT_MS)
            lost_s = STANDING_START_S + GRID_SLOT_S * car.slot - car.driver.start_s
            lost_s += PIT_LANE_START_S if car.is_out_lap else 0.0
            lost_s += self.dice.normal(START_SCATTER_S)
            ends.append((car.start_ms + car.pace_ms + in_ms(lost_s), car.slot, car))
        earliest_ms = 0
        for end_ms, _, car in sorted(ends, key=lambda end: end[:2]):
            car.end_ms = max(end_ms, earliest_ms)
            earliest_ms = car.end_ms + in_ms(START_GAP_S)
            self._stop_on_track(car)
        self._lead(LIGHTS_OUT_MS)

    def _lead(self, at_ms: int) -> None:
        """The leader begins a lap: call what the scenario has for it."""
        self.lead_starts_ms.append(at_ms)
        lap = self.control.lead_lap = len(self.lead_starts_ms)
        neutral.lead_lap_begins(self, lap, at_ms)
        drivers = {car.driver.driver_id: car for car in self.running()}
        for penalty in self.scenario.penalties:
            car = drivers.get(penalty.driver_id)
            if car is not None:
                self._judge(car, penalty, lap, at_ms)

    def _judge(self, car: Car, penalty: Penalty, lap: int, at_ms: int) -> None:
        """Note, investigate and announce a penalty on three laps of the leader."""
        if lap == penalty.lap - 2:
            self.control.noted(at_ms, car.driver, penalty.reason)
        elif lap == penalty.lap - 1:
            self.control.investigated(at_ms, car.driver, penalty.reason)
        elif lap == penalty.lap:
            self.control.penalized(at_ms, car.driver, penalty)
            car.owed.append(penalty)

    # a lap begins ---------------------------------------------------------------------------

    def _begin_lap(self, car: Car, at_ms: int) -> None:
        """Begin the next lap on the track, or in the pit lane if the car is there."""
        visit, car.visit = car.visit, None
        car.is_out_lap = visit is not None
        if visit is not None:
            self._fit_tyres(car, visit)
        self._draw_lap(car, at_ms)
        if car.lap > len(self.lead_starts_ms):
            self._lead(at_ms)
        if visit is not None and not visit.is_red_flag:
            lane_ms = in_ms((1 - BEFORE_LINE) * self.scenario.circuit.lane_s)
            visit.out_ms = car.end_ms = at_ms + lane_ms + (visit.stationary_ms or 0)
            car.in_lane = True
        else:
            self._plan_end(car, at_ms, 1.0)

    def _fit_tyres(self, car: Car, visit: Visit) -> None:
        if visit.new_compound is not None:
            car.tyres = Tyres(visit.new_compound, life_laps=0)
            car.stint += 1

    def _draw_lap(self, car: Car, at_ms: int) -> None:
        """Count the lap and draw its pace in clear air."""
        car.lap += 1
        car.start_ms = at_ms
        if car.lap > 1:
            car.tyres.life_laps += 1
        scenario, driver = self.scenario, car.driver
        potential = potential_s(scenario, driver, car.lap, car.tyres)
        car.potential_ms = in_ms(potential)
        car.noise_ms = in_ms(noise_s(scenario, driver, car.lap, self.dice))
        car.error_ms = in_ms(error_s(scenario, driver, car.lap, self.dice))
        car.pace_ms = car.potential_ms + car.noise_ms + car.error_ms
        car.pace_ms += in_ms(COLD_TYRES_S) if car.is_out_lap else 0

    def _leave_lane(self, car: Car) -> None:
        """Rejoin the track, behind whoever went by meanwhile."""
        circuit = self.scenario.circuit
        car.in_lane = False
        self._plan_end(car, car.end_ms, 1 - (1 - BEFORE_LINE) * circuit.bypass_s / circuit.lap_s)

    def _plan_end(self, car: Car, at_ms: int, share: float) -> None:
        """Set the end of the lap, of which `share` is still to be driven from `at_ms`."""
        self._choose_visit(car)
        rivals = self._ahead(car)
        if self.mode == CLEAR:
            free_ms = at_ms + in_ms(share * car.pace_ms / 1000) + self._lapping_ms(car, at_ms)
            car.end_ms = self._racing_end_ms(car, free_ms + self._entry_ms(car), rivals)
        else:
            factor = neutral.pace_factor(self, is_first=not rivals)
            free_ms = at_ms + in_ms(share * factor * car.pace_ms / 1000)
            car.end_ms = neutral.queue_end_ms(self, free_ms, rivals) + self._entry_ms(car)
        self._stop_on_track(car)

    def _ahead(self, car: Car) -> list[Car]:
        """List the cars ahead on the same lap that are not bound for the pits, nearest first."""
        rivals = [
            other
            for other in self.running()
            if other is not car and other.lap == car.lap and not other.in_lane
            if other.visit is None and other.end_ms > other.start_ms
        ]
        return sorted(rivals, key=lambda other: (-other.end_ms, other.slot))

    def _entry_ms(self, car: Car) -> int:
        """What turning into the pits costs the lap that ends there, in ms."""
        if car.visit is None:
            return 0
        circuit = self.scenario.circuit
        factor = neutral.PACE_FACTOR[self.mode]
        return max(0, in_ms(BEFORE_LINE * (circuit.lane_s - factor * circuit.bypass_s)))

    def _stop_on_track(self, car: Car) -> None:
        """End the race of a car that fails on this lap, and wave yellow where it stands."""
        failure = car.retirement
        if failure is None or failure.kind != "on_track" or car.lap != failure.lap:
            return
        stopped_ms = car.start_ms + in_ms(RETIREMENT_SHARE * (car.end_ms - car.start_ms) / 1000)
        self._record(car, None, None)
        self._finish(car, car.start_ms, is_running=False)
        neutral.yellow(self, stopped_ms)

    # traffic --------------------------------------------------------------------------------

    def _racing_end_ms(self, car: Car, free_ms: int, rivals: list[Car]) -> int:
        """Pass or follow the cars ahead, nearest first, and give the end of the lap.

        A car bound for the pits tries nobody: it only follows.
        """
        end_ms, above_ms = free_ms, None
        for rival in rivals:
            if end_ms >= rival.end_ms + in_ms(REACH_S):
                near = end_ms < rival.end_ms + in_ms(DIRTY_AIR_REACH_S)
                return end_ms + (in_ms(DIRTY_AIR_S) if near and above_ms is None else 0)
            probability = self._pass_probability(car, rival)
            is_success = self.dice.chance(probability)
            self.contests.append(
                Contest(car.driver.driver_id, car.lap, rival.driver.driver_id, probability, is_success)
            )
            if not is_success:
                follow_ms = rival.end_ms + in_ms(self.dice.uniform(*FOLLOW_S))
                held_ms = max(end_ms, follow_ms)
                return held_ms if above_ms is None else min(held_ms, (rival.end_ms + above_ms) // 2)
            above_ms = rival.end_ms
            end_ms = min(end_ms, rival.end_ms - in_ms(CLEAR_S))
        return end_ms

    def _pass_probability(self, car: Car, rival: Car) -> float:
        """How likely a car within reach gets by: faster car, better attack, weaker defence."""
        logit = (
            self.scenario.circuit.passing_logit
            + PACE_LOGIT_PER_S * (rival.pace_ms - car.pace_ms) / 1000
            + car.driver.attack
            - rival.driver.defence
        )
        return 1 / (1 + math.exp(-logit))

    def _lapping_ms(self, car: Car, at_ms: int) -> int:
        """What lapping and being lapped costs a car that begins a lap, in ms."""
        reach_ms = in_ms(BLUE_FLAG_REACH_S)
        others = [other for other in self.running() if not other.in_lane]
        lapped_by = sum(
            other.lap >= car.lap and 0 <= other.end_ms - at_ms < reach_ms
            for other in others
            if other is not car
        )
        laps = sum(other.lap < car.lap and at_ms - other.start_ms < reach_ms for other in others)
        if lapped_by:
            self.control.blue_flag(at_ms, car.driver)
        return in_ms(lapped_by * BLUE_FLAG_S + laps * LAPPING_S)

    # the pits -------------------------------------------------------------------------------

    def _choose_visit(self, car: Car) -> None:
        """Decide at the beginning of a lap whether it ends in the pits."""
        failure = car.retirement
        if failure is not None and failure.kind == "in_the_pits" and failure.lap == car.lap:
            car.visit = Visit(car.lap, retires=True)
            return
        penalty = next((p for p in car.owed if p.kind != "time"), None)
        if penalty is not None:
            car.visit = Visit(car.lap, penalty=penalty)
        else:
            compound = choose_compound(self.scenario, car, self.dice)
            compound = compound or neutral.early_stop(self, car)
            if compound is not None:
                car.visit = Visit(car.lap, compound, next(iter(car.owed), None))

    def enter_pits(self, car: Car, visit: Visit) -> None:
        """Send a car that is already on its lap into the pits at the lap's end."""
        car.visit = visit
        car.end_ms += self._entry_ms(car)

    def _serve(self, car: Car, visit: Visit, at_ms: int) -> None:
        """Time the visit that begins around the line, and settle the penalty it serves."""
        visit.in_ms = at_ms - in_ms(BEFORE_LINE * self.scenario.circuit.lane_s)
        rest_s = self.dice.uniform(*STATIONARY_S) if visit.new_compound is not None else 0.0
        if visit.penalty is not None:
            rest_s += visit.penalty.seconds
            car.owed.remove(visit.penalty)
            self.control.served(at_ms + in_ms(SERVED_S), car.driver, visit.penalty)
        visit.stationary_ms = in_ms(rest_s) or None

    # a lap ends -----------------------------------------------------------------------------

    def _cross_line(self, car: Car) -> None:
        """Complete a lap, then finish, retire or begin the next one."""
        at_ms, visit = car.end_ms, car.visit
        self._record(car, at_ms, self._track_limits(car, at_ms))
        if car.lap == self.scenario.laps and self.flag_ms is None:
            self.flag_ms = at_ms
            self.control.flag(at_ms, "CHEQUERED FLAG", "CHEQUERED")
        is_over = self.flag_ms is not None
        if visit is not None:
            self.visits.append((car.driver.driver_id, visit))
            if not visit.is_red_flag and not is_over:
                self._serve(car, visit, at_ms)
        if is_over or (visit is not None and visit.retires):
            self._finish(car, at_ms, is_running=is_over)
        else:
            self._begin_lap(car, at_ms)

    def _track_limits(self, car: Car, at_ms: int) -> str | None:
        """Delete the lap time now and then; gives the stewards' reason."""
        if self.mode != CLEAR or car.visit is not None or car.lap == 1:
            return None
        if not self.dice.chance(DELETION_RATE * car.driver.error_rate):
            return None
        turn = 1 + int(self.dice.uniform(0, self.scenario.circuit.turns))
        said_ms = at_ms + in_ms(DELETION_S)
        car.deletions += 1
        if car.deletions == WARNING_DELETIONS:
            self.control.warned(said_ms, car.driver)
        return self.control.deleted_lap(said_ms, at_ms, car.driver, car.lap, at_ms - car.start_ms, turn)

    def _record(self, car: Car, end_ms: int | None, deleted_reason: str | None) -> None:
        self.laps.append(
            LapRecord(
                car.driver.driver_id,
                car.lap,
                car.start_ms,
                end_ms,
                car.tyres.compound,
                car.stint,
                car.tyres.life_laps,
                car.tyres.is_fresh,
                car.visit is not None and end_ms is not None,
                car.is_out_lap,
                deleted_reason,
                car.potential_ms,
                car.noise_ms,
                car.error_ms,
            )
        )

    def _finish(self, car: Car, at_ms: int, *, is_running: bool) -> None:
        """Take a car out of the race with what it still owes."""
        car.is_running = False
        laps = car.lap if car.end_ms == at_ms else car.lap - 1
        owed_ms = in_ms(sum(p.seconds for p in car.owed))
        self.finishes.append(Finish(car.driver.driver_id, laps, at_ms, is_running, owed_ms))
