"""What an explanation is made from: a driver's stored rows, the names of rows, and their sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl

from engine.errors import DriveGradeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.v2.calibration import CalibrationProfileV2

Line: TypeAlias = dict[str, Any]
"""Numbers by name, and the `table` and `key` they are from."""

TOLERANCE: Final = 1e-9
"""By how much a sum may differ from what is stored: sums are kept to 1e-11 a row."""

EVIDENCE: Final = "core.grade_evidence"
METRICS: Final = "core.driver_metrics"
PASSES: Final = "core.pass_events"

BY_PROFILE: Final = (EVIDENCE, METRICS, PASSES, "core.slow_laps", "core.pit_cycles")
"""Tables whose key has profile and model."""

ORDER: Final = {
    "laps": "lap_number",
    "slow_laps": "lap_number",
    "penalty_events": "penalty_number",
    "pit_cycles": "stop_number",
    "strategy_events": "stop_number",
}
"""What a driver's rows are ordered by."""


class ExplainError(DriveGradeError):
    """There is nothing to explain, or it does not add up; the text says what to do."""


@dataclass(frozen=True)
class Drive:
    """What is explained, as it is stored.

    Attributes:
        frames: the session's rows by table, those of grades under one profile.
        profile: its constants.
        entry: the driver's row of `entries`.
        grades: the driver's row of `driver_metrics`.
        evidence: the driver's row of `grade_evidence`.
        before: rating and car expected before the session with their variances, columns of
            `engine.v2.rating.RATING_SCHEMA`; None if not known.
    """

    frames: Mapping[str, pl.DataFrame]
    profile: CalibrationProfileV2
    entry: Line
    grades: Line
    evidence: Line
    before: Line | None

    @property
    def driver_id(self) -> str:
        """Whose drive it is."""
        return str(self.entry["driver_id"])

    def row(self, table: str, **more: object) -> Line:
        """Name rows of a table: the session's and driver's, unless `more` says otherwise."""
        key: Line = {"session_id": self.entry["session_id"], "driver_id": self.driver_id, **more}
        if table in BY_PROFILE:
            names = ("profile_name", "model_version")
            key |= {name: self.grades[name] for name in names}
        return {"table": table, "key": key}

    def own(self, table: str) -> pl.DataFrame:
        """Give the driver's rows of a table, in the order of its key."""
        rows = self.frames[table].filter(pl.col("driver_id") == self.driver_id)
        return rows.sort(ORDER[table])

    def agree(self, what: str, parts: Iterable[float | None], stored: float | None) -> None:
        """See that parts add up to what is stored.

        Raises:
            ExplainError: they do not.
        """
        total = math.fsum(part or 0.0 for part in parts)
        if stored is None or math.isclose(total, stored, rel_tol=0.0, abs_tol=TOLERANCE):
            return
        name, version = self.profile.name, self.grades["profile_version"]
        raise ExplainError(
            f"{self.entry['session_id']} {self.driver_id}: {what} add up to {total:.9f}, and "
            f"{stored:.9f} is stored. The grade is of profile {name} {version}; either the "
            f"profile at hand (version {self.profile.version}) has other constants, or rows have "
            "changed since. Grade again with: drivegrade regrade --season "
            f"{str(self.entry['session_id'])[:4]} --profile {name} --force"
        )
