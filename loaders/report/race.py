"""Reading a race for its report: one state of the lake, each driver with grade and evidence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.errors import DriveGradeError
from engine.tables import NO_START, SessionKey
from engine.v1.calibration import MODEL_VERSION
from engine.v2.calibration import MODEL_VERSION_V2, CalibrationProfileV2
from loaders import lake
from loaders.profiles import DEFAULT, model_of, read_profile
from loaders.report.explained import by_driver, explain_all, read_frames

if TYPE_CHECKING:
    from loaders.explain_drive import Line
    from loaders.explain_sections import Sections
    from loaders.profiles import Profile
    from loaders.settings import Settings

TIMED_SINCE: Final = 1996
"""First season whose laps anybody has published."""


class ReportError(DriveGradeError):
    """There is nothing to report on; the text says what to do."""


@dataclass(frozen=True)
class DriverResult:
    """A driver of a race.

    Attributes:
        entry: row of `entries`.
        grade: row of `driver_metrics` under the report's profile; None if there is none.
        evidence: row of `grade_evidence`; None if there is none, as under model v1.
        sections: what the grade is made of, as `loaders.explain_grade.explain` gives it; None
            where there is no evidence and where it does not add up to the grade.
        is_refused: there is evidence, and it does not add up to what is stored.
    """

    entry: Line
    grade: Line | None
    evidence: Line | None = None
    sections: Sections | None = None
    is_refused: bool = False

    @property
    def total(self) -> float | None:
        """Total that the grade was made from; None if not graded."""
        return None if self.grade is None else self.grade["total_grade"]

    @property
    def shown(self) -> float | None:
        """Grade for people, 0..100; under model v1, which has none, the total."""
        if self.grade is None:
            return None
        is_v1 = self.grade["model_version"] == MODEL_VERSION
        value = self.grade["total_grade" if is_v1 else "grade"]
        return None if value is None else float(value)

    @property
    def low(self) -> float | None:
        """Lower end of the grade's 90 % interval; None if not graded, and under model v1."""
        return None if self.grade is None else self.grade["grade_low"]

    @property
    def high(self) -> float | None:
        """Upper end, likewise."""
        return None if self.grade is None else self.grade["grade_high"]


@dataclass(frozen=True)
class RaceResult:
    """A race as the lake has it.

    Attributes:
        key: which.
        session: row of `sessions`.
        profile: constants of the grades.
        drivers: graded ones first, best on top, then the others in the official order.
        has_laps: the lake has laps of it.
    """

    key: SessionKey
    session: Line
    profile: Profile
    drivers: tuple[DriverResult, ...]
    has_laps: bool

    @property
    def graded(self) -> tuple[DriverResult, ...]:
        """Drivers with a grade, best first."""
        return tuple(driver for driver in self.drivers if driver.shown is not None)

    @property
    def not_graded(self) -> tuple[DriverResult, ...]:
        """Drivers without, in the official order."""
        return tuple(driver for driver in self.drivers if driver.shown is None)

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the drivers whose evidence does not add up to their grade."""
        return tuple(d.entry["driver_name"] for d in self.drivers if d.is_refused)

    @property
    def is_v2(self) -> bool:
        """The grades are of model v2, and have intervals and evidence."""
        return model_of(self.profile) == MODEL_VERSION_V2

    @property
    def is_regradable(self) -> bool:
        """There are laps, and nobody has been graded under this profile yet."""
        return self.has_laps and all(driver.grade is None for driver in self.drivers)

    @property
    def winner(self) -> DriverResult | None:
        """First of the official order."""
        first = [driver for driver in self.drivers if driver.entry["position"] == 1]
        return first[0] if first else None

    @property
    def data_source(self) -> str:
        """Provider that the grades rest on, or the classification if there are none."""
        named = [d.grade["data_source"] for d in self.drivers if d.grade is not None]
        return str(named[0] if named else self.session["data_source"])

    @property
    def inputs_hash(self) -> str | None:
        """SHA-256 over the fingerprints of all drivers' inputs; None if nobody has any."""
        rows = sorted(
            f"{driver.entry['driver_id']} {driver.grade['inputs_hash']}\n"
            for driver in self.drivers
            if driver.grade is not None
        )
        return hashlib.sha256("".join(rows).encode()).hexdigest() if rows else None

    @property
    def state_session_id(self) -> str | None:
        """Session after which the ratings went on; None at the first, and under model v1."""
        named = (d.evidence["state_session_id"] for d in self.drivers if d.evidence is not None)
        return next(named, None)

    @property
    def constants_hash(self) -> str:
        """SHA-256 of the profile's constants as JSON."""
        return hashlib.sha256(self.profile.model_dump_json().encode()).hexdigest()


def read_race(settings: Settings, session: SessionKey, profile: str = DEFAULT) -> RaceResult:
    """Read a race, its grades and what they are made of, all from one state of the lake.

    Args:
        settings: where the lake is.
        session: the race or sprint.
        profile: bundled profile or JSON file that it was graded with.

    Raises:
        ReportError: the lake has no such session.
        ProfileError: there is no such profile.
        LakeError: the lake cannot be read.
    """
    constants = read_profile(profile)
    seen = lake.snapshot(settings.lake)
    frames = read_frames(seen, session, constants)
    if frames["sessions"].is_empty():
        option = "" if session.session_kind == "race" else f" --session {session.session_kind}"
        raise ReportError(
            f"lake {seen.lake}: no session {session.session_id}. Bring it in with: drivegrade "
            f"ingest {session.season} {session.round}{option}, or: drivegrade history import PATH"
        )
    explained: dict[str, Sections | None] = {}
    if isinstance(constants, CalibrationProfileV2):
        explained = explain_all(seen, frames, constants)
    grades, evidence = by_driver(frames["driver_metrics"]), by_driver(frames["grade_evidence"])
    entries = frames["entries"].sort("position", "driver_id", nulls_last=True).to_dicts()
    drivers = [
        DriverResult(
            entry,
            grades.get(entry["driver_id"]),
            evidence.get(entry["driver_id"]),
            explained.get(entry["driver_id"]),
            is_refused=explained.get(entry["driver_id"], {}) is None,
        )
        for entry in entries
    ]
    return RaceResult(
        session,
        frames["sessions"].row(0, named=True),
        constants,
        tuple(sorted(drivers, key=_best_first)),
        not frames["laps"].is_empty(),
    )


def _best_first(driver: DriverResult) -> tuple[bool, float]:
    """Order drivers by their totals, those without last, in the order they stand in."""
    total = driver.total if driver.shown is not None else None
    return total is None, -(total or 0.0)


def reason(driver: DriverResult, race: RaceResult) -> str:
    """Say why a driver has no grade."""
    if driver.entry["status"] in NO_START:
        started = {"did_not_start": "did not start", "did_not_qualify": "did not qualify"}
        return started[driver.entry["status"]]
    if not race.has_laps:
        return "no lap times are known"
    if driver.grade is None:
        return "not graded under this profile yet" if race.is_regradable else "no lap is known"
    if isinstance(race.profile, CalibrationProfileV2):
        laps = 0 if driver.evidence is None else driver.evidence["clean_laps"]
        needed = race.profile.pace.min_laps
        if laps < needed:
            named = "lap" if laps == 1 else "laps"
            return f"{laps} clean {named}, and a pace needs {needed}"
        return "no pace could be taken from the laps"
    missing = [
        name
        for name, column in {"pace": "consistency_score", "passes": "racecraft_score"}.items()
        if driver.grade[column] is None
    ]
    return f"no evidence of {' and '.join(missing) or 'the drive'}"


def no_grades(race: RaceResult) -> str:
    """Say why nobody of a race has a grade."""
    if race.is_regradable:
        return (
            f"Nobody has been graded under profile {race.profile.name} yet, although the laps "
            "are there."
        )
    if race.has_laps:
        return (
            "Too few laps were driven at racing speed to take a pace from, so nobody has a grade."
        )
    if race.key.season < TIMED_SINCE:
        return (
            f"Lap times are published for races since {TIMED_SINCE} only. A grade is made of "
            "laps, so there is none for this race, and none is guessed from the result."
        )
    return (
        "The lap times of this race are not at hand. A grade is made of laps, so there is none, "
        "and none is guessed from the result."
    )


def regrade_command(race: RaceResult) -> str:
    """Give the command that grades the race's season under the profile."""
    return f"drivegrade regrade --season {race.key.season} --profile {race.profile.name}"
