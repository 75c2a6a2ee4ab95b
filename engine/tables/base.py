"""What tables share: identity, vocabularies, limits, units.

Identity. A session is one Grand Prix or one sprint; its `session_id` is the slug
``{season}-{round}`` or ``{season}-{round}-sprint``. A driver is Jolpica's stable driver id
(``max_verstappen``); codes and car numbers are attributes, because both are reused.

Units stand in names: `_ms` integer milliseconds, `_s` seconds, `_laps`, `_kph`, `_mps`,
`_degc`, `_mbar`, `_pct`; `_at` is a UTC timestamp; `is_`/`has_` are booleans; `_score` is 0..1.
A null always means "the source does not know", never zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import dataframely as dy

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION: Final = ("session_id",)
ENTRY: Final = ("session_id", "driver_id")
LAP: Final = ("session_id", "driver_id", "lap_number")

SESSION_KINDS: Final = ("race", "sprint")
ENTRY_STATUSES: Final = (
    "finished",
    "lapped",
    "retired",
    "disqualified",
    "did_not_start",
    "did_not_qualify",
    "unknown",
)
NO_START: Final = ("did_not_start", "did_not_qualify")
"""Statuses of drivers who took no part, and have no drive to grade."""

COMPOUNDS: Final = (
    "HYPERSOFT",
    "ULTRASOFT",
    "SUPERSOFT",
    "SOFT",
    "MEDIUM",
    "HARD",
    "SUPERHARD",
    "INTERMEDIATE",
    "WET",
)
OVERTAKE_KINDS: Final = ("on_track", "pit_cycle", "start", "neutralized")
PENALTY_KINDS: Final = ("time", "drive_through", "stop_and_go")

SESSION_ID_PATTERN: Final = r"^\d{4}-\d{1,2}(-sprint)?$"
SLUG_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
ID_PATTERN: Final = r"^[\p{L}\p{N}][\p{L}\p{N} ._'-]{0,99}$"
"""Ids of drivers, teams and circuits: Jolpica's, some of which have capitals, or plain names."""

MAX_LAP_MS: Final = 4 * 60 * 60 * 1000
"""A lap that contains a red-flag stoppage may take hours; no longer than this, in ms."""

MAX_SESSION_MS: Final = 24 * 60 * 60 * 1000
"""Session clocks count from the opening of the timing stream; never more than a day, in ms."""

UNITS: Final[Mapping[str, str]] = {
    "_ms": "milliseconds",
    "_s": "seconds",
    "_laps": "laps",
    "_kph": "kilometres per hour",
    "_mps": "metres per second",
    "_degc": "degrees Celsius",
    "_mbar": "millibar",
    "_pct": "per cent",
    "_deg": "degrees",
    "_at": "UTC timestamp",
    "_score": "0 to 1",
}
"""What a column's suffix means."""


class SessionKey(NamedTuple):
    """Identity of a session: two sprints, two editions or a sprint and its race never share one."""

    season: int
    round: int
    session_kind: str = "race"

    @classmethod
    def parse(cls, session_id: str) -> SessionKey:
        """Read a slug; it must be one (`SESSION_ID_PATTERN`)."""
        season, number, *kind = session_id.split("-")
        return cls(int(season), int(number), *kind)

    @property
    def session_id(self) -> str:
        """Slug: ``2025-1`` for the Grand Prix of round 1, ``2025-2-sprint`` for a sprint."""
        suffix = "" if self.session_kind == "race" else f"-{self.session_kind}"
        return f"{self.season}-{self.round}{suffix}"


def clock_ms(description: str) -> dy.Int32:
    """Session clock, ms; null where not known."""
    return dy.Int32(nullable=True, min=0, max=MAX_SESSION_MS, description=description)


def duration_ms(description: str) -> dy.Int32:
    """Duration of a lap or less, ms; null where not known."""
    return dy.Int32(nullable=True, min_exclusive=0, max=MAX_LAP_MS, description=description)


def score(description: str) -> dy.Float64:
    """Score of 0 to 1."""
    return dy.Float64(min=0.0, max=1.0, description=description)


def bounded(low: float, high: float, description: str) -> dy.Float64:
    """Number within bounds; null where not known."""
    return dy.Float64(nullable=True, min=low, max=high, description=description)


def seconds(description: str, *, nullable: bool = False) -> dy.Float64:
    """Seconds, of either sign."""
    return dy.Float64(nullable=nullable, min=-1e4, max=1e4, description=description)


class SessionTable(dy.Schema):
    """Base of every table whose rows belong to one session."""

    session_id = dy.String(
        primary_key=True,
        regex=SESSION_ID_PATTERN,
        description="slug of the session: {season}-{round}, with -sprint for a sprint",
    )


class EntryTable(SessionTable):
    """Base of every table whose rows belong to one driver in one session."""

    driver_id = dy.String(
        primary_key=True, regex=ID_PATTERN, description="Jolpica's stable id of the driver"
    )
