"""Worlds of whole seasons with a known truth: fast enough for hundreds of races.

The race simulator (`benchmarks.simulator`) drives one weekend in detail, in fractions of a second
for each; here all races of a world are driven at once, lap by lap and place by place, on arrays of
race × car. What a lap costs:

    base · (1 + (car + skill + form of car and driver that day) / 100)
        + fuel + tyre (compound, age) + dirty air + dispersion · noise + errors

A car that catches another is held up until it passes, with a chance that depends on its advantage,
its driver's attack and the other's defence. There are stops, safety cars under which the field
closes up and stops are cheap, retirements, crashes that follow errors, and starts.

Two kinds of worlds: one season on its own, and several seasons in which drivers change teams,
come and go, and cars develop. Good drivers are more often in good cars (`CORRELATION`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

TEAMS: Final = 10
CARS: Final = 2 * TEAMS
RACES: Final = 20
LAPS: Final = 56

CORRELATION: Final = 0.45
"""Of drivers' skill with the cars they get."""

SKILL_PCT: Final = 0.225
CAR_PCT: Final = 0.56
"""Standard deviations of drivers and cars, in % of a lap time."""

CAR_MEMORY: Final = 0.7
CAR_CHANGE_PCT: Final = 0.4
"""Share of a car's level that the next season keeps, and what a winter changes, in %."""

SWAPS: Final = 4
NEWCOMERS: Final = 2
"""Pairs of drivers who change places in a winter, and drivers who leave the sport."""

CAR_DAY_PCT: Final = 0.20
DRIVER_DAY_PCT: Final = 0.19
"""Form of a car and of a driver on a day, in %."""

QUALIFYING_PCT: Final = 0.25
"""Scatter of a qualifying lap, in %."""

SLOT_S: Final = 0.35
LAUNCH_S: Final = 1.2
"""Time between grid slots at the end of lap 1, and scatter of the start, in s."""

FUEL_S_PER_LAP: Final = 0.05
TYRE_S_PER_LAP: Final = (0.050, 0.035)
TYRE_S: Final = (0.0, 0.45)
"""What a lap of fuel costs; wear and level of MEDIUM and HARD, in s."""

DIRTY_AIR_PCT: Final = 0.25
CLOSE_S: Final = 1.5
"""Loss behind a car less than so far ahead."""

FOLLOW_S: Final = 0.4
"""Least distance of a car that was held up, in s."""

PASS_LOGIT: Final = -1.6
PASS_LOGIT_PER_S: Final = 1.5
"""Log-odds of a pass, and how they grow with the advantage on that lap, in s."""

PIT_S: Final = 22.0
PIT_UNDER_SAFETY_CAR_S: Final = 12.0
IN_LAP_SHARE: Final = 0.25
PIT_SCATTER_S: Final = 0.8
"""What a stop costs, how much of it on the in-lap, and how much it scatters."""

SAFETY_CAR_CHANCE: Final = 0.45
SAFETY_CAR_LAPS: Final = 4
SAFETY_CAR_PACE: Final = 1.35
CATCH_UP_PACE: Final = 1.2
QUEUE_S: Final = 1.0
EARLY_STOP_LAPS: Final = 10
"""How often and long; laps of leader and field against the usual; distance in the queue, in s; a
stop planned within so many laps is made at once."""

ERROR_S: Final = (1.0, 4.0)
CRASH_CHANCE: Final = 0.03
FAILURE_CHANCE: Final = 0.0015
"""Cost of an error, in s; how often one ends the race; failures per lap."""


AWAY_S: Final = 1e6
"""Clock of a car that has retired: it is in nobody's way."""


@dataclass(frozen=True)
class World:
    """Who drives what, and the truth about it.

    Attributes:
        seats: driver in each car: season × car; cars 2 t and 2 t + 1 are of team t.
        car_pct: loss of each team's car: season × team; negative is faster.
        skill_pct: loss of each driver; negative is faster. So also the next, by driver:
        dispersion_pct: standard deviation of his laps.
        error_rate: errors per lap.
        attack: added to the log-odds of a pass he tries.
        defence: taken from the log-odds of a pass on him.
        start_s: won at the start.
    """

    seats: Ints
    car_pct: Floats
    skill_pct: Floats
    dispersion_pct: Floats
    error_rate: Floats
    attack: Floats
    defence: Floats
    start_s: Floats


@dataclass(frozen=True)
class Driven:
    """What happened: race × car, or race × car × lap.

    Attributes:
        qualifying_s: qualifying time.
        grid: place on the grid, 1 is pole.
        clock_s: race clock at the end of each lap, from lights out.
        is_driven: whether the lap was completed before the race was over.
        is_in_lap: ended in the pits.
        is_neutral: under the safety car.
        compound: 0 MEDIUM, 1 HARD.
        tyre_age_laps: 1 on the first lap of a set.
        crashed: the race ended in a crash.
    """

    qualifying_s: Floats
    grid: Ints
    clock_s: Floats
    is_driven: Flags
    is_in_lap: Flags
    is_neutral: Flags
    compound: Ints
    tyre_age_laps: Ints
    crashed: Flags


def make_world(seasons: int, seed: int) -> World:
    """Draw drivers, cars and who drives for whom.

    Args:
        seasons: one for a season on its own.
        seed: of all that is drawn.
    """
    dice = np.random.default_rng((seed, seasons))
    count = CARS + NEWCOMERS * (seasons - 1)
    cars = np.empty((seasons, TEAMS))
    cars[0] = dice.normal(0.0, CAR_PCT, TEAMS)
    skill = dice.normal(0.0, SKILL_PCT, count)
    drawn = np.repeat(cars[0], 2) / CAR_PCT * SKILL_PCT
    skill[:CARS] = CORRELATION * drawn + np.sqrt(1.0 - CORRELATION**2) * skill[:CARS]
    seats = np.empty((seasons, CARS), dtype=np.int64)
    seats[0] = np.arange(CARS)
    for season in range(1, seasons):
        winter = dice.normal(0.0, CAR_CHANGE_PCT, TEAMS)
        cars[season] = CAR_MEMORY * cars[season - 1] + winter
        seats[season] = seats[season - 1]
        moved = dice.permutation(CARS)[: 2 * SWAPS + NEWCOMERS]
        first, second, left = np.split(moved, [SWAPS, 2 * SWAPS])
        seats[season, first], seats[season, second] = seats[season, second], seats[season, first]
        start = CARS + NEWCOMERS * (season - 1)
        seats[season, left] = np.arange(start, start + NEWCOMERS)
    return World(
        seats=seats,
        car_pct=cars,
        skill_pct=skill,
        dispersion_pct=dice.uniform(0.2, 0.5, count),
        error_rate=dice.uniform(0.002, 0.02, count),
        attack=dice.normal(0.0, 0.5, count),
        defence=dice.normal(0.0, 0.5, count),
        start_s=dice.normal(0.0, 0.4, count),
    )


class Field:
    """All races of a world, driven together."""

    def __init__(self, world: World, seed: int) -> None:
        self.dice = np.random.default_rng((seed, 1))
        self.drivers = np.repeat(world.seats, RACES, axis=0)
        self.races = len(self.drivers)
        self.shape = (self.races, CARS)
        self.world = world
        self.base_s = self.dice.uniform(75.0, 100.0, (self.races, 1))
        day = np.repeat(self.dice.normal(0.0, CAR_DAY_PCT, (self.races, TEAMS)), 2, axis=1)
        level = np.repeat(np.repeat(world.car_pct, 2, axis=1), RACES, axis=0) + day
        self.level_pct = level + world.skill_pct[self.drivers]
        self.race_pct = self.level_pct + self.dice.normal(0.0, DRIVER_DAY_PCT, self.shape)
        self.stops = self._plan()
        start = self.dice.integers(5, LAPS - 8, self.races)
        called = self.dice.random(self.races) < SAFETY_CAR_CHANCE
        self.safety_car = np.where(called, start, LAPS + 1)

    def _plan(self) -> Ints:
        """Laps of the planned stops: race × car × 2, beyond the race if there is none."""
        shares = np.where(self.dice.random((*self.shape, 1)) < 0.6, (0.45, 2.0), (0.30, 0.66))
        return np.rint(shares * LAPS + self.dice.uniform(-4, 4, (*self.shape, 2))).astype(np.int64)

    def drive(self) -> Driven:
        """Drive qualifying and every lap."""
        noise = self.dice.normal(0.0, QUALIFYING_PCT, self.shape)
        qualifying = self.base_s * (1.0 + (self.level_pct + noise) / 100.0)
        grid = _ranks(qualifying)
        launch = self.dice.normal(0.0, LAUNCH_S, self.shape) - self.world.start_s[self.drivers]
        clock = 1.05 * self.base_s + grid * SLOT_S + np.clip(launch, -2.5, 4.0) + 5.0
        running = np.ones(self.shape, dtype=bool)
        crashed = np.zeros(self.shape, dtype=bool)
        compound, age = np.zeros(self.shape, dtype=np.int64), np.ones(self.shape, dtype=np.int64)
        laps = [(clock, running, np.zeros(self.shape, dtype=bool), compound, age)]
        was_in_lap = laps[0][2]
        for lap in range(2, LAPS + 1):
            neutral = self._neutral(lap)
            self._bring_stops_forward(lap)
            in_lap = (self.stops == lap).any(axis=2) & (lap < LAPS)
            compound = np.where(was_in_lap, 1 - compound, compound)
            age = np.where(was_in_lap, 1, age + 1)
            error = self.dice.random(self.shape) < self.world.error_rate[self.drivers]
            crash = running & error & (self.dice.random(self.shape) < CRASH_CHANCE) & ~neutral
            failure = self.dice.random(self.shape) < FAILURE_CHANCE
            running, crashed = running & ~crash & ~failure, crashed | crash
            wanted = clock + self._lap_s(lap, clock, compound, age, error & ~neutral)
            pits = in_lap | was_in_lap
            closing = np.where(pits, SAFETY_CAR_PACE, CATCH_UP_PACE) * self.base_s
            wanted = np.where(neutral, clock + closing, wanted)
            wanted += self._pit_s(in_lap, was_in_lap, neutral)
            resolved = self._resolve(clock, wanted, running, pits, neutral)
            clock = np.where(running, resolved, AWAY_S)
            laps.append((clock, running, in_lap, compound, age))
            was_in_lap = in_lap
        clocks, runs, ins, compounds, ages = (
            np.stack(part, axis=2) for part in zip(*laps, strict=True)
        )
        neutral = np.stack([self._neutral(lap) for lap in range(1, LAPS + 1)], axis=2)
        return Driven(
            qualifying,
            grid,
            clocks,
            _before_the_flag(clocks, runs),
            ins,
            np.broadcast_to(neutral, clocks.shape),
            compounds,
            ages,
            crashed,
        )

    def _neutral(self, lap: int) -> Flags:
        is_under = (self.safety_car <= lap) & (lap < self.safety_car + SAFETY_CAR_LAPS)
        return is_under[:, None]

    def _bring_stops_forward(self, lap: int) -> None:
        """Make the stops that were planned soon as the safety car comes out."""
        called = (self.safety_car == lap)[:, None, None]
        soon = (self.stops > lap) & (self.stops <= lap + EARLY_STOP_LAPS)
        self.stops = np.where(called & soon, lap, self.stops)

    def _lap_s(self, lap: int, clock: Floats, compound: Ints, age: Ints, error: Flags) -> Floats:
        """What each car would drive on its own, and behind the one it sees."""
        in_order = np.sort(clock, axis=1)
        gap = np.diff(in_order, axis=1, prepend=-np.inf)
        gap = np.take_along_axis(gap, _ranks(clock) - 1, axis=1)
        noise = self.dice.normal(0.0, 1.0, self.shape) * self.world.dispersion_pct[self.drivers]
        dirty = DIRTY_AIR_PCT * (gap < CLOSE_S)
        own = self.base_s * (1.0 + (self.race_pct + noise + dirty) / 100.0)
        tyre = np.asarray(TYRE_S)[compound] + np.asarray(TYRE_S_PER_LAP)[compound] * age
        lost = np.where(error, self.dice.uniform(*ERROR_S, self.shape), 0.0)
        return own + tyre + FUEL_S_PER_LAP * (LAPS - lap) + lost

    def _pit_s(self, in_lap: Flags, out_lap: Flags, neutral: Flags) -> Floats:
        """What a stop costs on its in-lap and its out-lap."""
        cost = np.where(neutral, PIT_UNDER_SAFETY_CAR_S, PIT_S)
        cost = cost + np.abs(self.dice.normal(0.0, PIT_SCATTER_S, self.shape))
        return cost * (IN_LAP_SHARE * in_lap + (1.0 - IN_LAP_SHARE) * out_lap)

    def _resolve(
        self, before: Floats, wanted: Floats, running: Flags, pits: Flags, neutral: Flags
    ) -> Floats:
        """Let cars meet, from the front to the back: who is held up, and who passes."""
        order = np.argsort(before, axis=1)
        chance = self.dice.random(self.shape)
        rows = np.arange(self.races)
        after = wanted.copy()
        ahead = np.full(self.races, -1)
        ahead_s, further_s = np.full((2, self.races), -np.inf)
        is_neutral = neutral[:, 0]
        distance = np.where(is_neutral, QUEUE_S, FOLLOW_S)
        slowest = np.where(
            is_neutral, before.min(axis=1) + SAFETY_CAR_PACE * self.base_s[:, 0], -np.inf
        )
        for place in range(CARS):
            car = order[:, place]
            on_track = running[rows, car] & ~pits[rows, car]
            own = np.maximum(after[rows, car], slowest)
            meets = on_track & (ahead >= 0) & (own < ahead_s + distance)
            logit = (
                PASS_LOGIT
                + PASS_LOGIT_PER_S * (ahead_s - own)
                + self.world.attack[self.drivers[rows, car]]
                - self.world.defence[self.drivers[rows, ahead]]
            )
            passes = (
                meets
                & ~is_neutral
                & (
                    chance[rows, place]
                    < 1.0 / (1.0 + np.exp(-np.clip(np.where(meets, logit, 0.0), -30, 30)))
                )
            )
            held = np.where(meets & ~passes, ahead_s + distance, own)
            clear = np.where(
                passes, np.maximum(np.minimum(own, ahead_s), further_s + FOLLOW_S), held
            )
            after[rows, car] = clear
            after[rows[passes], ahead[passes]] = np.maximum(ahead_s, clear + FOLLOW_S)[passes]
            ahead_s = np.where(passes, np.maximum(ahead_s, clear + FOLLOW_S), ahead_s)
            further_s = np.where(passes, clear, np.where(on_track, ahead_s, further_s))
            ahead = np.where(on_track & ~passes, car, ahead)
            ahead_s = np.where(on_track & ~passes, clear, ahead_s)
        return after


def _ranks(values: Floats) -> Ints:
    """1 for the smallest of each row."""
    ranks: Ints = values.argsort(axis=1).argsort(axis=1) + 1
    return ranks


def _before_the_flag(clock: Floats, running: Flags) -> Flags:
    """Which laps were completed, and begun before the winner had finished."""
    finished = np.where(running[:, :, -1], clock[:, :, -1], np.inf).min(axis=1)[:, None, None]
    begun = np.concatenate([np.zeros((*clock.shape[:2], 1)), clock[:, :, :-1]], axis=2)
    is_driven: Flags = running & (begun < finished)
    return is_driven
