"""What a grade is and is not, and where a report's numbers come from, in a few sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.v2.calibration import CalibrationProfileV2
from loaders.profiles import model_of

if TYPE_CHECKING:
    from loaders.report.race import RaceResult


@dataclass(frozen=True)
class Fact:
    """A named fact; `is_code` if it is a name or number of a machine."""

    name: str
    value: str
    is_code: bool = False


def meaning(race: RaceResult) -> tuple[str, ...]:
    """Say what a grade of the race's model is worth; figures are those of docs/validity.md."""
    if not isinstance(race.profile, CalibrationProfileV2):
        return MEANING_V1
    weights, trained = race.profile.weights, race.profile.provenance
    shares = [100 * part for part in (weights.consistency, weights.racecraft, weights.penalty)]
    made = (
        f"A grade says how well a driver drove this race in this car: {shares[0]:.0f} % pace "
        f"against the car, {shares[1]:.0f} % passes and start against what was to be expected, "
        f"less {shares[2]:.0f} % mistakes and penalties, put on the scale of the driver-races of "
        f"{trained.first_season}–{trained.last_season}."
    )
    return (made, LIMITS)


LIMITS: Final = (
    "It is not a results table, and one race tells little: it takes 8 to 11 races for a mean that "
    "repeats. What is not in the data is not in the grade: team orders, damage, saving of fuel and "
    "engine, time lost to blue flags, who caused a collision; a leader who manages the pace looks "
    "slower than he or she is. docs/grades.md reads a grade number by number, docs/validity.md "
    "measures what grades are worth."
)
"""Limits of a grade of model v2; the figures are those of docs/validity.md."""

MEANING_V1: Final = (
    (
        "A grade of model v1 is 0.55 consistency + 0.45 racecraft − 0.10 penalties, an earlier "
        "public scoring that is kept for comparison."
    ),
    (
        "It says little of the driver: of two team-mates it foretells who will be ahead no better "
        "than a coin, and it has no interval (docs/validity.md)."
    ),
)
"""What a grade of model v1 is worth."""


def sources(race: RaceResult) -> tuple[Fact, ...]:
    """Say what the page was made from."""
    profile = race.profile
    versions = {d.grade["profile_version"] for d in race.drivers if d.grade is not None}
    version = ", ".join(map(str, sorted(versions))) or str(profile.version)
    facts = [Fact("Data", race.data_source), Fact("Session", race.key.session_id, is_code=True)]
    if versions:
        facts += [
            Fact("Model", model_of(profile)),
            Fact("Calibration profile", f"{profile.name}, version {version}"),
            Fact("SHA-256 of its constants", race.constants_hash, is_code=True),
        ]
    if race.inputs_hash is not None:
        facts.append(Fact("SHA-256 of the inputs", race.inputs_hash, is_code=True))
    if race.state_session_id is not None:
        facts.append(Fact("Ratings go on from session", race.state_session_id, is_code=True))
    return tuple(facts)
