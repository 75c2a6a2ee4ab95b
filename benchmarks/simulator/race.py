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
from typing import TYPE_CHECKING, Final

from benchmarks.simulator import neutral, pits
from benchmarks.simulator.cars import (
    Car,
    Dice,
    Tyres,
    Visit,
    error_s,
    noise_s,
    plan_tyres,
    potential_s,
)
from benchmarks.simulator.control import CLEAR, LIGHTS_OUT_MS, PACE_FACTOR, RaceControl
from benchmarks.simulator.qualifying import qualify
from benchmarks.simulator.records import Contest, Finish, LapRecord, in_ms
from benchmarks.simulator.traffic import catch_up, lapping_ms, racing_end_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.simulator.world import Driver, Penalty, Scenario

COLD_TYRES_S: Final = 0.8
"""What the first lap on a set costs, in seconds."""

STANDING_START_S: Final = 5.5
GRID_SLOT_S: Final = 0.42
PIT_LANE_START_S: Final = 13.0
START_SCATTER_S: Final = 0.75
START_GAP_S: Final = 0.25
"""First lap: lost to acceleration, per slot, by starting from the pits, to luck; gap left, s."""

RETIREMENT_SHARE: Final = 0.35
"""Share of the lap after which a car that fails on the track stops."""

DELETION_S: Final = 75.0
"""Until the stewards delete a lap, in seconds."""

DELETION_RATE: Final = 0.45
"""Laps deleted for track limits for each lap lost to an error."""

RACING: Final = 1.07
"""A lap longer than this many times the driver's potential is not checked for track limits."""

WARNING_DELETIONS: Final = 3
"""Deleted laps that bring the black and white flag."""


class Race:
    """One session in progress; `run` drives it to the flag and leaves the records.

    Attributes:
        qualified: everybody, in the order of qualifying.
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
        self.dice = Dice(seed, scenario.session)
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
        self.qualified = qualify(scenario, self.dice)
        order = [d for d, _ in self.qualified if d.driver_id not in scenario.did_not_start]
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
            driver,
            slot,
            plan,
            tyres,
            failure,
            is_out_lap=driver.driver_id in scenario.pit_lane_starts,
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

    def on_track(self) -> list[Car]:
        """List the cars on a lap whose end is set: neither in the pit lane nor just beginning."""
        return [c for c in self.running() if not c.in_lane and c.end_ms > c.start_ms]

    def _lights_out(self) -> None:
        """Give every car its first lap: by slot, start and luck, with nobody held up."""
        ends = []
        for car in self.cars:
            self._draw_lap(car, LIGHTS_OUT_MS)
            lost_s = STANDING_START_S + GRID_SLOT_S * car.slot - car.driver.start_s
            lost_s += PIT_LANE_START_S if car.is_out_lap else 0.0
            lost_s += self.dice.normal(START_SCATTER_S)
            car.exit_loss_ms = max(0, in_ms(lost_s))
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
            self._change_tyres(car, visit)
        self._draw_lap(car, at_ms)
        if car.lap > len(self.lead_starts_ms):
            self._lead(at_ms)
        if visit is not None and not visit.is_red_flag:
            lane_ms = in_ms((1 - pits.BEFORE_LINE) * self.scenario.circuit.lane_s)
            visit.out_ms = car.end_ms = at_ms + lane_ms + (visit.stationary_ms or 0)
            car.in_lane = True
        else:
            self._plan_end(car, at_ms, 1.0)

    def _change_tyres(self, car: Car, visit: Visit) -> None:
        if visit.new_compound is not None:
            car.tyres = Tyres.drawn(visit.new_compound, self.dice)
            car.stint += 1

    def _draw_lap(self, car: Car, at_ms: int) -> None:
        """Count the lap and draw its pace in clear air."""
        car.lap += 1
        car.start_ms = at_ms
        car.entry_loss_ms = car.exit_loss_ms = 0
        car.tyres.life_laps += 1
        scenario, driver = self.scenario, car.driver
        potential = potential_s(scenario, driver, car.lap, car.tyres)
        car.potential_ms = in_ms(potential)
        car.noise_ms = in_ms(noise_s(scenario, driver, car.lap, self.dice))
        car.error_ms = in_ms(error_s(scenario, driver, car.lap, self.dice))
        car.pace_ms = car.potential_ms + car.noise_ms + car.error_ms
        car.pace_ms += in_ms(COLD_TYRES_S) if car.is_out_lap else 0

    def _leave_lane(self, car: Car) -> None:
        """Rejoin the track: behind whoever went by meanwhile, ahead of whoever is yet to come."""
        circuit = self.scenario.circuit
        bypassed_s = (1 - pits.BEFORE_LINE) * circuit.bypass_s
        level_ms = car.end_ms - in_ms(PACE_FACTOR[self.mode] * bypassed_s)
        car.exit_loss_ms = max(0, level_ms - car.start_ms)
        behind = [o for o in self._ahead(car) if o.start_ms + o.exit_loss_ms > level_ms]
        car.in_lane = False
        self._plan_end(car, car.end_ms, 1 - bypassed_s / circuit.lap_s, behind)
        catch_up(self, car, behind)

    def _plan_end(self, car: Car, at_ms: int, share: float, behind: Sequence[Car] = ()) -> None:
        """Set the end of the lap, of which `share` is still to be driven from `at_ms`."""
        pits.choose_visit(self, car)
        entry_ms = car.entry_loss_ms = pits.entry_ms(self, car)
        rivals = [other for other in self._ahead(car) if other not in behind]
        if self.mode == CLEAR:
            free_ms = at_ms + in_ms(share * car.pace_ms / 1000) + lapping_ms(self, car, at_ms)
            car.end_ms = racing_end_ms(self, car, free_ms + entry_ms, rivals)
        else:
            leads = not rivals and car.lap == self.control.lead_lap
            factor = neutral.pace_factor(self, leads=leads)
            free_ms = at_ms + in_ms(share * factor * car.pace_ms / 1000)
            car.end_ms = neutral.queue_end_ms(self, free_ms, rivals) + entry_ms
        self._stop_on_track(car)

    def _ahead(self, car: Car) -> list[Car]:
        """List the cars ahead on the same lap that are not bound for the pits, nearest first."""
        rivals = [
            other
            for other in self.on_track()
            if other is not car and other.lap == car.lap and other.visit is None
        ]
        return sorted(rivals, key=lambda other: (-other.end_ms, other.slot))

    def _stop_on_track(self, car: Car) -> None:
        """End the race of a car that fails on this lap, and wave yellow where it stands."""
        failure = car.retirement
        if failure is None or failure.kind != "on_track" or car.lap != failure.lap:
            return
        stopped_ms = car.start_ms + in_ms(RETIREMENT_SHARE * (car.end_ms - car.start_ms) / 1000)
        self._record(car, None, stopped_ms)
        self._finish(car, car.start_ms, is_running=False)
        neutral.yellow(self, stopped_ms)

    # a lap ends -----------------------------------------------------------------------------

    def _cross_line(self, car: Car) -> None:
        """Complete a lap, then finish, retire or begin the next one."""
        at_ms, visit = car.end_ms, car.visit
        self._record(car, at_ms, at_ms, self._track_limits(car, at_ms))
        if car.lap == self.scenario.laps and self.flag_ms is None:
            self.flag_ms = at_ms
            self.control.flag(at_ms, "CHEQUERED FLAG", "CHEQUERED")
        is_over = self.flag_ms is not None
        if visit is not None:
            self.visits.append((car.driver.driver_id, visit))
            if not visit.is_red_flag:
                pits.serve(self, car, visit, at_ms)
        if is_over or (visit is not None and visit.retires):
            self._finish(car, at_ms, is_running=is_over)
        else:
            self._begin_lap(car, at_ms)

    def _track_limits(self, car: Car, at_ms: int) -> str | None:
        """Delete the lap time now and then; gives the stewards' reason."""
        lap_ms = at_ms - car.start_ms
        if lap_ms > RACING * car.potential_ms or car.visit is not None or car.lap == 1:
            return None
        if not self.dice.chance(DELETION_RATE * car.driver.error_rate):
            return None
        turn = 1 + int(self.dice.uniform(0, self.scenario.circuit.turns))
        seen_at = f"{self.control.time_at(at_ms):%H:%M:%S}"
        reason = f"TRACK LIMITS AT TURN {turn} LAP {car.lap} {seen_at}"
        said_ms = at_ms + in_ms(DELETION_S)
        self.control.deleted_lap(said_ms, car.driver, lap_ms, reason)
        car.deletions += 1
        if car.deletions == WARNING_DELETIONS:
            self.control.warned(said_ms, car.driver)
        return reason

    def _record(
        self, car: Car, end_ms: int | None, last_seen_ms: int, deleted_reason: str | None = None
    ) -> None:
        self.laps.append(
            LapRecord(
                car.driver.driver_id,
                car.lap,
                car.start_ms,
                end_ms,
                last_seen_ms,
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
                car.entry_loss_ms,
                car.exit_loss_ms,
            )
        )

    def _finish(self, car: Car, at_ms: int, *, is_running: bool) -> None:
        """Take a car out of the race with what it still owes."""
        car.is_running = False
        laps = car.lap if car.end_ms == at_ms else car.lap - 1
        finish = Finish(car.driver.driver_id, laps, at_ms, is_running, pits.owed_ms(car))
        self.finishes.append(finish)
