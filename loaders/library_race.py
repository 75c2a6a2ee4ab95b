"""A race in the hands of somebody who uses Drive Grade as a library, and its grades.

The way is that of an ingest (`loaders.jobs`): what the lake knows of the time before, then
`loaders.grading`; nothing is stored.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import DERIVED, ENTRY, SESSION
from engine.v2.calibration import CalibrationProfileV2
from loaders import lake, profiles
from loaders.grading import grade_session
from loaders.grading_v2 import GRADING, UPSTREAM
from loaders.previous import NOTHING, Previous, previous

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.tables import SessionKey
    from loaders.fallback import Refusal
    from loaders.lake import Snapshot
    from loaders.profiles import Profile
    from loaders.providers import SessionTables
    from loaders.settings import Settings

SHOWN: Final = (
    *("driver_name", "team_name", "grade", "grade_low", "grade_high"),
    *("grid_position", "position", "status"),
    *("total_grade", "total_grade_low", "total_grade_high"),
    *("consistency_score", "racecraft_score", "penalty_score", "team_strategy_score"),
    *("session_id", "event_name", "driver_id", "driver_code", "data_source"),
    *("profile_name", "profile_version", "model_version", "rating_state"),
)
"""Columns of a frame of grades."""


class NothingKnownWarning(UserWarning):
    """Model v2 graded a race as if it were the first of all: the lake knows no earlier one.

    Driver and car are then told apart by this race alone, so the grades are not those that a
    lake with the seasons before it gives.
    """


@dataclass(frozen=True, repr=False)
class Race:
    """A session as one source gave it, ready to be graded.

    Attributes:
        session: which one.
        tables: its frames by name (`engine.tables.NORMALIZED`), each under contract; with
            `filled_columns` if gaps were filled.
        gaps: what it lacks, one phrase each; empty if it is complete.
        refused: other sources that were asked, and why theirs was not taken.
    """

    session: SessionKey
    tables: SessionTables
    gaps: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()

    def __getitem__(self, table: str) -> pl.DataFrame:
        """Give one of its tables: ``race["laps"]``."""
        return self.tables[table]

    def __repr__(self) -> str:
        row = self.tables["sessions"].row(0, named=True)
        return (
            f"<{self.session.session_id} {row['event_name']} from {row['data_source']}: "
            f"{self['entries'].height} drivers, {self['laps'].height} laps, "
            f"{len(self.gaps)} gaps>"
        )


def graded(
    race: Race, profile: Profile, settings: Settings
) -> tuple[SessionTables, dict[str, pl.DataFrame]]:
    """Grade a race from what the lake knows of the time before it.

    Args:
        race: any.
        profile: what to grade with.
        settings: where the lake lies; it may be absent.

    Returns:
        The race's tables, with the lake's qualifying if the source gave none, and the frames of
        `engine.tables.DERIVED` by name, each sorted by its key.

    Warns:
        NothingKnownWarning: model v2 has no earlier session to go on from; told to the caller's
            caller.

    Raises:
        ContractError: the race breaks a contract.
        LakeError: a file of the lake is damaged.
    """
    seen = lake.snapshot(settings.lake)
    tables: SessionTables = race.tables
    if tables["qualifying"].is_empty():  # the lake's may come from a later fetch
        known = lake.collect(seen.scan("qualifying", sessions=[race.session]), settings.lake)
        tables = {**tables, "qualifying": known}
    before = NOTHING
    if isinstance(profile, CalibrationProfileV2):
        before = _before(seen, race, profile)
        if before.states.is_empty():
            warnings.warn(
                f"{race.session.session_id}: {settings.lake} has no earlier session graded with "
                f"profile {profile.name}: this one is graded as if it were the first of all. For "
                "grades that go on from history: drivegrade history import, then regrade --all",
                NothingKnownWarning,
                stacklevel=3,
            )
    source = f"{tables['sessions']['data_source'].item()} {race.session.session_id}"
    derived = grade_session(tables, profile, source, before)
    in_order = {name: derived[name].sort(DERIVED[name].primary_key()) for name in DERIVED}
    return tables, in_order


def shown(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Put grades beside who they are of.

    Args:
        tables: `sessions`, `entries`, `driver_metrics` and `grade_evidence` of any sessions.

    Returns:
        The columns `SHOWN`, one row per grade: session by session, profile by profile, the best
        first, those without a total last.
    """
    held = tables["sessions"].select(*SESSION, "event_name", "season", "round", "session_kind")
    who = tables["entries"].drop("points", "completed_laps", "race_time_ms")
    states = tables["grade_evidence"].select(*ENTRY, *GRADING, rating_state="state_session_id")
    return (
        tables["driver_metrics"]
        .join(who, on=ENTRY)
        .join(held, on=SESSION)
        .join(states, on=[*ENTRY, *GRADING], how="left")
        .sort(
            *("season", "round", pl.col("session_kind") == "race", "profile_name"),
            *(-pl.col("total_grade"), "driver_id"),
            nulls_last=True,
        )
        .select(SHOWN)
    )


def _before(seen: Snapshot, race: Race, profile: CalibrationProfileV2) -> Previous:
    """Read what the lake knows of the time before a race under a profile.

    A profile that the lake has nothing of goes on from the bundled one if the two differ only in
    what makes raw values scores: ratings and passes are then the same.
    """
    held_on = race["sessions"]["session_date"].item()
    own = previous(seen, race.session, [profile], held_on)
    bundled = profiles.read_profile(profiles.DEFAULT)
    if own.states.height or not isinstance(bundled, CalibrationProfileV2):
        return own
    if profile.model_dump(include=set(UPSTREAM)) != bundled.model_dump(include=set(UPSTREAM)):
        return own
    found = previous(seen, race.session, [bundled], held_on)
    named = pl.lit(profile.name).alias("profile_name")
    return Previous(*(frame.with_columns(named) for frame in found))
