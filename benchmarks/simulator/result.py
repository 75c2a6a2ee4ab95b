"""The official classification of a finished race."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.simulator.control import LIGHTS_OUT_MS

if TYPE_CHECKING:
    from benchmarks.simulator.race import Race
    from benchmarks.simulator.records import Finish
    from benchmarks.simulator.world import Driver

RACE_POINTS: Final = (25.0, 18.0, 15.0, 12.0, 10.0, 8.0, 6.0, 4.0, 2.0, 1.0)
SPRINT_POINTS: Final = (8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
"""Championship points by place."""

CLASSIFIED_SHARE: Final = 0.9
"""Share of the winner's laps, rounded down, that a driver must complete to be classified."""

STATUS_TEXTS: Final = {
    "finished": "Finished",
    "lapped": "Lapped",
    "retired": "Retired",
    "disqualified": "Disqualified",
    "did_not_start": "Did not start",
}


class Place(NamedTuple):
    """A line of the classification; `race_time_ms` with penalties, null unless it ended so."""

    driver: Driver
    status: str
    position: int | None = None
    is_classified: bool = False
    points: float = 0.0
    completed_laps: int = 0
    race_time_ms: int | None = None


def classify(race: Race) -> list[Place]:
    """Put everybody who was entered into the official order.

    Classified drivers come first, by laps and time with penalties; then those who did not run
    90 % of the distance, by laps; then the disqualified. Who did not start has no position.
    """
    scenario = race.scenario
    drivers = {driver.driver_id: driver for driver in scenario.drivers}
    ordered = sorted(race.finishes, key=lambda finish: _rank(race, finish))
    table = SPRINT_POINTS if scenario.session.session_kind == "sprint" else RACE_POINTS
    places = []
    for position, finish in enumerate(ordered, start=1):
        is_classified = _is_classified(race, finish)
        scores = is_classified and position <= len(table)
        runs = is_classified and finish.is_running
        places.append(
            Place(
                drivers[finish.driver_id],
                _status(race, finish),
                position,
                is_classified,
                table[position - 1] if scores else 0.0,
                finish.completed_laps,
                finish.at_ms - LIGHTS_OUT_MS + finish.penalty_ms if runs else None,
            )
        )
    absent = [drivers[driver_id] for driver_id in sorted(scenario.did_not_start)]
    return places + [Place(driver, "did_not_start") for driver in absent]


def _is_classified(race: Race, finish: Finish) -> bool:
    needed = int(CLASSIFIED_SHARE * race.scenario.laps)
    return finish.completed_laps >= needed and finish.driver_id not in race.scenario.disqualified


def _rank(race: Race, finish: Finish) -> tuple[bool, bool, int, int]:
    """Sort key of the official order."""
    return (
        finish.driver_id in race.scenario.disqualified,
        not _is_classified(race, finish),
        -finish.completed_laps,
        finish.at_ms + finish.penalty_ms,
    )


def _status(race: Race, finish: Finish) -> str:
    if finish.driver_id in race.scenario.disqualified:
        return "disqualified"
    if not finish.is_running:
        return "retired"
    return "finished" if finish.completed_laps == race.scenario.laps else "lapped"
