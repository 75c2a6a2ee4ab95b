"""The simulator's cars: what a lap costs, which tyres fit the track, when a driver stops.

    lap = circuit + car + driver + fuel + tyre(compound, life) + water(compound, wetness)
          + noise + error                                       (seconds; lower is faster)

Only the random parts depend on the dice; everything else is a function of the scenario, so that
`potential_s` is the noise-free truth a pace estimate should recover.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from engine.tables import SESSION_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.simulator.world import Driver, Penalty, Retirement, Scenario
    from engine.tables import SessionKey

FUEL_S_PER_LAP: Final = 0.055
"""What the fuel for one more lap costs, in seconds per lap; about what a real car loses."""

COMPOUND_S: Final = {"SOFT": -0.55, "MEDIUM": 0.0, "HARD": 0.40, "INTERMEDIATE": 4.0, "WET": 7.8}
"""Pace of a fresh set on a dry track against MEDIUM, in seconds per lap."""

WEAR_S_PER_LAP: Final = {
    "SOFT": 0.085,
    "MEDIUM": 0.052,
    "HARD": 0.034,
    "INTERMEDIATE": 0.060,
    "WET": 0.050,
}
"""What each lap on a set costs, in seconds per lap."""

WATER_S: Final = {"SOFT": 22.0, "MEDIUM": 22.0, "HARD": 22.0, "INTERMEDIATE": 8.0, "WET": 3.0}
"""What a fully wet track adds, in seconds per lap; puts the change to INTERMEDIATE near 0.29."""

LIFE_LAPS: Final = {"SOFT": 22, "MEDIUM": 33, "HARD": 44, "INTERMEDIATE": 35, "WET": 35}
"""Laps after which a set is changed even if no stop was planned."""

DRY: Final = ("SOFT", "MEDIUM", "HARD")

PLANS: Final = (
    (0.45, "MEDIUM", ((0.42, "HARD"),)),
    (0.15, "HARD", ((0.60, "MEDIUM"),)),
    (0.28, "MEDIUM", ((0.29, "HARD"), (0.66, "MEDIUM"))),
    (0.12, "SOFT", ((0.22, "HARD"), (0.60, "HARD"))),
)
"""Dry plans: how often chosen, first tyre, then (share of the distance, tyre) for each stop."""

SPRINT_TYRES: Final = ((0.7, "MEDIUM"), (0.3, "SOFT"))
"""How often a driver starts a session without planned stops on each compound."""

PLAN_JITTER_LAPS: Final = 3.5
"""How far a team's planned stop lies from the usual one, at most, in laps."""

USED_CHANCE: Final = 0.2
USED_LAPS: Final = 3
"""How often a set was used before, and for how many laps."""

LAST_STOP_LAPS: Final = 4
"""With fewer laps than this to go nobody changes tyres any more."""

WET_DISPERSION: Final = 1.8
"""A driver's laps scatter this much more on a fully wet track, beyond 1 for the dry one."""

WET_ERRORS: Final = 2.0
"""And he errs this much more often."""

ERROR_S: Final = (0.8, 3.2)
"""Range of the time an error costs, in seconds."""

CHANGE_GAIN_S: Final = 1.5
"""A driver comes in for the other kind of tyre once it is worth this much a lap, in seconds."""

CHANGE_CHANCE: Final = 0.6
"""How often he then does it on the very lap; else he decides anew on the next."""

SOFT_RUN_LAPS: Final = 14
MEDIUM_RUN_LAPS: Final = 30
"""Longest runs to the flag that are begun on SOFT and on MEDIUM, in laps."""

UNIFORMS: Final = 12
"""Twelve uniform numbers less six have mean 0 and variance 1."""


class Dice:
    """Random numbers that are the same on every machine: sums of uniforms, no logarithms.

    Sessions of one seed have numbers of their own; so has each `use` within a session.
    """

    def __init__(self, seed: int, session: SessionKey, use: int = 0) -> None:
        kind = SESSION_KINDS.index(session.session_kind)
        key = (seed, session.season, session.round, kind, use)
        self._generator = np.random.Generator(np.random.PCG64(key))

    def uniform(self, low: float, high: float) -> float:
        """Draw between two bounds."""
        return low + (high - low) * float(self._generator.random())

    def normal(self, deviation: float) -> float:
        """Draw from a bell curve around 0 that ends at six deviations."""
        drawn = math.fsum(float(u) for u in self._generator.random(UNIFORMS))
        return deviation * (drawn - UNIFORMS / 2)

    def chance(self, probability: float) -> bool:
        """Tell whether something of that probability happens."""
        return float(self._generator.random()) < probability

    def weighted(self, weights: Sequence[float]) -> int:
        """Draw an index; the weights add up to 1."""
        drawn, total = float(self._generator.random()), 0.0
        for index, weight in enumerate(weights):
            total += weight
            if drawn < total:
                return index
        return len(weights) - 1


@dataclass
class Tyres:
    """A set on a car: `life_laps` counts the lap in progress and laps of earlier sessions."""

    compound: str
    life_laps: int = 0
    is_fresh: bool = True

    @classmethod
    def drawn(cls, compound: str, dice: Dice) -> Tyres:
        """Take a set from the garage: new, or used in an earlier session."""
        if dice.chance(USED_CHANCE):
            return cls(compound, USED_LAPS, is_fresh=False)
        return cls(compound)


@dataclass
class Visit:
    """A visit to the pit lane at the end of the lap in progress; clocks in session ms."""

    lap: int
    new_compound: str | None = None
    penalty: Penalty | None = None
    retires: bool = False
    is_red_flag: bool = False
    in_ms: int | None = None
    out_ms: int | None = None
    stationary_ms: int | None = None


@dataclass
class Car:
    """A car in a running session; clocks in session ms, `end_ms` is its next line or pit exit."""

    driver: Driver
    slot: int
    plan: list[tuple[int, str]]
    tyres: Tyres
    retirement: Retirement | None = None
    lap: int = 0
    stint: int = 1
    start_ms: int = 0
    end_ms: int = 0
    in_lane: bool = False
    is_out_lap: bool = False
    is_running: bool = True
    visit: Visit | None = None
    owed: list[Penalty] = field(default_factory=list)
    pace_ms: int = 0
    potential_ms: int = 0
    noise_ms: int = 0
    error_ms: int = 0
    entry_loss_ms: int = 0
    exit_loss_ms: int = 0
    deletions: int = 0


def wetness(scenario: Scenario, lap: float) -> float:
    """Give the water on the track on a lap: 0 dry, 1 soaked."""
    if not scenario.wetness:
        return 0.0
    laps, values = zip(*scenario.wetness, strict=True)
    return float(np.interp(lap, laps, values))


def tyre_s(compound: str, life_laps: int, water: float) -> float:
    """Give what a set costs on a lap against a new MEDIUM in the dry, in seconds."""
    return (
        COMPOUND_S[compound]
        + WEAR_S_PER_LAP[compound] * (life_laps - 1)
        + WATER_S[compound] * water
    )


def potential_s(scenario: Scenario, driver: Driver, lap: int, tyres: Tyres) -> float:
    """Give the lap a driver can do in clear air without noise or error, in seconds."""
    return (
        scenario.circuit.lap_s
        + driver.team.pace_s
        + driver.pace_s
        + FUEL_S_PER_LAP * (scenario.laps - lap)
        + tyre_s(tyres.compound, tyres.life_laps, wetness(scenario, lap))
    )


def noise_s(scenario: Scenario, driver: Driver, lap: int, dice: Dice) -> float:
    """Draw how far a lap misses the driver's potential, in seconds."""
    water = wetness(scenario, lap)
    return dice.normal(driver.dispersion_s * (1 + (WET_DISPERSION - 1) * water))


def error_s(scenario: Scenario, driver: Driver, lap: int, dice: Dice) -> float:
    """Draw what an error costs on a lap, in seconds; 0 on most."""
    rate = driver.error_rate * (1 + WET_ERRORS * wetness(scenario, lap))
    return dice.uniform(*ERROR_S) if dice.chance(rate) else 0.0


def plan_tyres(scenario: Scenario, dice: Dice) -> tuple[Tyres, list[tuple[int, str]]]:
    """Draw the tyres for the start and the planned stops, as (in-lap, compound)."""
    if not scenario.stops_planned:
        choice = dice.weighted([share for share, _ in SPRINT_TYRES])
        return Tyres.drawn(SPRINT_TYRES[choice][1], dice), []
    _, compound, stops = PLANS[dice.weighted([plan[0] for plan in PLANS])]
    plan = [
        (round(share * scenario.laps + dice.uniform(-PLAN_JITTER_LAPS, PLAN_JITTER_LAPS)), fitted)
        for share, fitted in stops
    ]
    return Tyres.drawn(compound, dice), plan


def fitting_compound(scenario: Scenario, lap: int) -> str:
    """Name the compound to fit for the laps after `lap`, by the water and the laps to go."""
    water = wetness(scenario, lap + 1)
    kind = min(("MEDIUM", "INTERMEDIATE", "WET"), key=lambda name: tyre_s(name, 1, water))
    if kind != "MEDIUM":
        return kind
    to_go = scenario.laps - lap
    if to_go <= SOFT_RUN_LAPS:
        return "SOFT"
    return "MEDIUM" if to_go <= MEDIUM_RUN_LAPS else "HARD"


def _kind(compound: str) -> str:
    return "dry" if compound in DRY else compound


def choose_compound(scenario: Scenario, car: Car, dice: Dice) -> str | None:
    """Decide at the beginning of a lap whether to change tyres at its end.

    Returns:
        The compound to fit, or null to stay out. Water overrules the plan for good.
    """
    if scenario.laps - car.lap < LAST_STOP_LAPS:
        return None
    water = wetness(scenario, car.lap + 1)
    best = fitting_compound(scenario, car.lap)
    if scenario.wetness and car.lap >= scenario.wetness[0][0]:
        car.plan.clear()
    gain_s = tyre_s(car.tyres.compound, 1, water) - tyre_s(best, 1, water)
    if _kind(best) != _kind(car.tyres.compound):
        return best if gain_s > CHANGE_GAIN_S and dice.chance(CHANGE_CHANCE) else None
    if car.plan and car.lap >= car.plan[0][0]:
        return car.plan.pop(0)[1]
    return best if not car.plan and car.tyres.life_laps > LIFE_LAPS[car.tyres.compound] else None
