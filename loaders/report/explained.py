"""Evidence of all drivers of a session at once, read from one state of the lake.

What `loaders.explain_grade.explain` gives driver by driver; here the session is read and the
ratings are carried up to it only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from loaders import lake
from loaders.explain_drive import Drive, ExplainError
from loaders.explain_grade import READ, READ_BY_PROFILE, ratings_before
from loaders.explain_sections import sections
from loaders.profiles import model_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.tables import SessionKey
    from engine.v2.calibration import CalibrationProfileV2
    from loaders.explain_drive import Line
    from loaders.explain_sections import Sections
    from loaders.lake import Snapshot
    from loaders.profiles import Profile

    Frames = Mapping[str, pl.DataFrame]


def read_frames(seen: Snapshot, session: SessionKey, profile: Profile) -> Frames:
    """Read the rows of a session by table, those of grades under one profile.

    Raises:
        LakeError: the lake cannot be read.
    """
    plans = {name: seen.scan(name, sessions=[session]) for name in READ}
    for name in READ_BY_PROFILE:
        plans[name] = seen.scan(name, sessions=[session]).filter(
            pl.col("profile_name") == profile.name, pl.col("model_version") == model_of(profile)
        )
    return {name: lake.collect(plan, seen.lake) for name, plan in plans.items()}


def by_driver(frame: pl.DataFrame) -> dict[str, Line]:
    """Give the rows of a table with one row an entry by `driver_id`."""
    return {row["driver_id"]: row for row in frame.to_dicts()}


def explain_all(
    seen: Snapshot, frames: Frames, profile: CalibrationProfileV2
) -> dict[str, Sections | None]:
    """Explain every driver with a grade and evidence.

    Args:
        seen: the lake that `frames` were read from.
        frames: of `read_frames`.
        profile: constants that the grades were made with.

    Returns:
        Sections of each driver by id; None where the parts do not add up to what is stored.

    Raises:
        LakeError: the lake cannot be read.
    """
    entries, grades = by_driver(frames["entries"]), by_driver(frames["driver_metrics"])
    evidence = by_driver(frames["grade_evidence"])
    before = by_driver(ratings_before(seen, frames, profile))
    found: dict[str, Sections | None] = {}
    for driver_id in entries.keys() & grades.keys() & evidence.keys():
        drive = Drive(
            frames,
            profile,
            entries[driver_id],
            grades[driver_id],
            evidence[driver_id],
            before.get(driver_id),
        )
        try:
            found[driver_id] = sections(drive)
        except ExplainError:
            found[driver_id] = None
    return found
