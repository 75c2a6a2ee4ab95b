"""The simulator's race control: track status, and messages in the words of Formula 1."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from benchmarks.simulator.world import Driver, Penalty, Scenario

LIGHTS_OUT_MS: Final = 3_660_000
"""Session clock of the start: the timing stream opens about an hour before, in ms."""

CLEAR, YELLOW, SAFETY_CAR, RED, VSC, VSC_ENDING = "1", "2", "4", "5", "6", "7"
"""Track status codes."""

PACE_FACTOR: Final = {CLEAR: 1.0, SAFETY_CAR: 1.55, RED: 1.60, VSC: 1.35}
"""Lap time against racing pace under each track status; the others leave it as it is."""

PENALTY_WORDS: Final = {
    "time": "{seconds} SECOND TIME PENALTY",
    "drive_through": "DRIVE THROUGH PENALTY",
    "stop_and_go": "{seconds} SECOND STOP/GO PENALTY",
}


class Message(NamedTuple):
    """One message of race control; `at_ms` is its session clock."""

    at_ms: int
    category: str
    message: str
    flag: str | None = None
    scope: str | None = None
    sector: int | None = None
    status: str | None = None
    driver_number: int | None = None


def car_name(driver: Driver) -> str:
    """Name a car as the stewards do: ``CAR 20 (MAG)``."""
    return f"CAR {driver.number} ({driver.code})"


def lap_time_text(lap_time_ms: int) -> str:
    """Write a lap time as ``1:23.456``."""
    minutes, rest = divmod(lap_time_ms, 60_000)
    return f"{minutes}:{rest / 1000:06.3f}"


class RaceControl:
    """Collects the messages and track statuses of one session.

    Attributes:
        messages: in the order they were said; `at_ms` may run back a little.
        statuses: (session clock in ms, code) from which the code holds; the first is clear.
        lead_lap: lap the leader is on.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._started_at: datetime = scenario.started_at
        self._turns = scenario.circuit.turns
        self.messages: list[Message] = []
        self.statuses: list[tuple[int, str]] = [(0, CLEAR)]
        self.lead_lap = 1

    def time_at(self, at_ms: int) -> datetime:
        """Turn a session clock into a time of day."""
        return self._started_at + timedelta(milliseconds=at_ms - LIGHTS_OUT_MS)

    def show(self, at_ms: int, code: str) -> None:
        """Change the track status from a moment on."""
        if code != self.status:
            self.statuses.append((at_ms, code))

    @property
    def status(self) -> str:
        """The track status code last shown."""
        return self.statuses[-1][1]

    def say(
        self,
        at_ms: int,
        text: str,
        category: str = "Other",
        *,
        flag: str | None = None,
        scope: str | None = None,
        sector: int | None = None,
        status: str | None = None,
        number: int | None = None,
    ) -> None:
        """Send a message."""
        self.messages.append(Message(at_ms, category, text, flag, scope, sector, status, number))

    def flag(self, at_ms: int, text: str, flag: str) -> None:
        """Wave a flag at the whole track."""
        self.say(at_ms, text, "Flag", flag=flag, scope="Track")

    def safety_car(self, at_ms: int, text: str, status: str) -> None:
        """Report on the real or the virtual safety car."""
        self.say(at_ms, text, "SafetyCar", status=status)

    def sector_flag(self, at_ms: int, sector: int, flag: str) -> None:
        """Wave a yellow flag in a marshal sector, or clear it."""
        text = f"{flag} IN TRACK SECTOR {sector}"
        self.say(at_ms, text, "Flag", flag=flag, scope="Sector", sector=sector)

    def blue_flag(self, at_ms: int, driver: Driver) -> None:
        """Wave a blue flag at a car about to be lapped."""
        text = f"WAVED BLUE FLAG FOR {car_name(driver)} TIMED AT {self.time_at(at_ms):%H:%M:%S}"
        self.say(at_ms, text, "Flag", flag="BLUE", scope="Driver", number=driver.number)

    def deleted_lap(self, at_ms: int, driver: Driver, lap_time_ms: int, reason: str) -> None:
        """Delete a lap time."""
        time = lap_time_text(lap_time_ms)
        self.say(at_ms, f"{car_name(driver)} TIME {time} DELETED - {reason}")

    def warned(self, at_ms: int, driver: Driver) -> None:
        """Show the black and white flag for track limits."""
        self.say(
            at_ms,
            f"BLACK AND WHITE FLAG FOR {car_name(driver)} - TRACK LIMITS",
            "Flag",
            flag="BLACK AND WHITE",
            scope="Driver",
            number=driver.number,
        )

    def noted(self, at_ms: int, driver: Driver, reason: str) -> None:
        """Note an incident."""
        self.say(at_ms, f"INCIDENT INVOLVING {car_name(driver)} NOTED - {reason}")

    def investigated(self, at_ms: int, driver: Driver, reason: str) -> None:
        """Announce an investigation."""
        name = car_name(driver)
        self.say(at_ms, f"FIA STEWARDS: INCIDENT INVOLVING {name} UNDER INVESTIGATION - {reason}")

    def dropped(self, at_ms: int, driver: Driver, reason: str) -> None:
        """Close an investigation without a penalty."""
        name = car_name(driver)
        self.say(at_ms, f"FIA STEWARDS: INCIDENT INVOLVING {name} NO FURTHER ACTION - {reason}")

    def penalized(self, at_ms: int, driver: Driver, penalty: Penalty) -> None:
        """Announce a penalty."""
        self.say(at_ms, f"FIA STEWARDS: {_penalty_text(driver, penalty)}")

    def served(self, at_ms: int, driver: Driver, penalty: Penalty) -> None:
        """Confirm that a penalty was served."""
        self.say(at_ms, f"FIA STEWARDS: PENALTY SERVED - {_penalty_text(driver, penalty)}")


def _penalty_text(driver: Driver, penalty: Penalty) -> str:
    words = PENALTY_WORDS[penalty.kind].format(seconds=penalty.seconds)
    return f"{words} FOR {car_name(driver)} - {penalty.reason}"
