"""Reading what pictures show, from the lake alone; no drawing here, and no server needed.

    race_frames     a session: its classification, laps, stops, passes, grades and evidence
    season_frames   the sessions of one kind of a season
    career_frames   the drives of some drivers over seasons

All grades are those of one profile of model v2. Frames keep the contract of their table
(`engine.tables`) and are sorted by its primary key; they are empty where the lake knows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from engine.errors import DriveGradeError
from engine.tables import ENTRY, STORED, SessionKey
from engine.v2.calibration import MODEL_VERSION_V2, CalibrationProfileV2
from loaders import lake
from loaders.lake import Snapshot
from loaders.profiles import model_of, read_profile

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from loaders.settings import Settings

    Where: TypeAlias = Settings | Snapshot | Path
    """A lake: settings that name it, its folder, or a snapshot of it."""

PLAIN: Final = ("sessions", "entries", "laps", "pit_stops", "race_control", "strategy_events")
"""Tables of a race that no profile has a part in."""

GRADED: Final = ("driver_metrics", "grade_evidence", "pass_events", "slow_laps", "pit_cycles")
"""Tables of a race that are read under one profile."""


class PictureError(DriveGradeError):
    """There is nothing to draw, or it cannot be drawn; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Graded:
    """What all pictures know: whose grades they show.

    Attributes:
        profile: constants that the grades were made with.
        sessions: rows of `sessions`.
        entries: rows of `entries`.
        grades: rows of `driver_metrics` under the profile.
        evidence: rows of `grade_evidence` under the profile.
        graded_at: when the grades were made, UTC; None where not known: the lake does not keep it.
    """

    profile: CalibrationProfileV2
    sessions: pl.DataFrame
    entries: pl.DataFrame
    grades: pl.DataFrame
    evidence: pl.DataFrame
    graded_at: datetime | None = None

    @property
    def has_grades(self) -> bool:
        """Whether anybody is graded."""
        return not self.grades["grade"].is_null().all() if self.grades.height else False


@dataclass(frozen=True, kw_only=True)
class RaceFrames(Graded):
    """A session.

    Attributes:
        session: its key; `sessions` has its one row.
        laps: rows of `laps`.
        pit_stops: rows of `pit_stops`.
        race_control: rows of `race_control`.
        strategy_events: rows of `strategy_events`: one per tyre change.
        passes: rows of `pass_events` under the profile: one per lap at risk.
        slow_laps: rows of `slow_laps` under the profile.
        pit_cycles: rows of `pit_cycles` under the profile.
    """

    session: SessionKey
    laps: pl.DataFrame
    pit_stops: pl.DataFrame
    race_control: pl.DataFrame
    strategy_events: pl.DataFrame
    passes: pl.DataFrame
    slow_laps: pl.DataFrame
    pit_cycles: pl.DataFrame

    @property
    def stints(self) -> pl.DataFrame:
        """Give one row per driver and stint, in order.

        Returns:
            `session_id`, `driver_id`, `stint_number`, `compound` (null where not known),
            `first_lap`, `last_lap`, and `tyre_life_laps`, the age of the set at the end.
        """
        return (
            self.laps.drop_nulls("stint_number")
            .sort(*ENTRY, "lap_number")
            .group_by(*ENTRY, "stint_number", maintain_order=True)
            .agg(
                pl.col("compound").drop_nulls().first(),
                first_lap=pl.col("lap_number").min(),
                last_lap=pl.col("lap_number").max(),
                tyre_life_laps=pl.col("tyre_life_laps").max(),
            )
        )


@dataclass(frozen=True, kw_only=True)
class SeasonFrames(Graded):
    """The sessions of one kind of a season.

    Attributes:
        season: championship year.
        session_kind: race or sprint.
    """

    season: int
    session_kind: str


@dataclass(frozen=True, kw_only=True)
class CareerFrames(Graded):
    """Drives of some drivers; `sessions` has all of the years, `entries` only theirs.

    Attributes:
        driver_ids: whose, in the order asked for.
        session_kind: race or sprint.
    """

    driver_ids: tuple[str, ...]
    session_kind: str


def race_frames(
    where: Where, session: SessionKey, profile_name: str = MODEL_VERSION_V2
) -> RaceFrames:
    """Read a session; it may lack laps and grades.

    Args:
        where: the lake.
        session: which session.
        profile_name: bundled profile or JSON file that it was graded with.

    Raises:
        ProfileError: there is no such profile.
        PictureError: the profile is of another model, or the lake has no such session.
        LakeError: the lake cannot be read.
    """
    seen, profile = _seen(where), _profile(profile_name)
    plain = {name: _read(seen, name, [session]) for name in PLAIN}
    if plain["sessions"].is_empty():
        option = "" if session.session_kind == "race" else f" --session {session.session_kind}"
        raise PictureError(
            f"lake {seen.lake}: no session {session.session_id}. Bring it in with: drivegrade "
            f"ingest {session.season} {session.round}{option}, or: drivegrade history import PATH"
        )
    grades, evidence, passes, slow_laps, pit_cycles = (
        _read(seen, name, [session], profile) for name in GRADED
    )
    return RaceFrames(
        profile=profile,
        session=session,
        sessions=plain["sessions"],
        entries=plain["entries"],
        laps=plain["laps"],
        pit_stops=plain["pit_stops"],
        race_control=plain["race_control"],
        strategy_events=plain["strategy_events"],
        grades=grades,
        evidence=evidence,
        passes=passes,
        slow_laps=slow_laps,
        pit_cycles=pit_cycles,
    )


def season_frames(
    where: Where, season: int, profile_name: str = MODEL_VERSION_V2, session_kind: str = "race"
) -> SeasonFrames:
    """Read a season's races or sprints; they may lack grades.

    Raises:
        ProfileError: there is no such profile.
        PictureError: the profile is of another model, or the lake has no such sessions.
        LakeError: the lake cannot be read.
    """
    seen, profile = _seen(where), _profile(profile_name)
    keys = _sessions(seen, session_kind, season, season)
    return SeasonFrames(
        profile=profile,
        season=season,
        session_kind=session_kind,
        sessions=_read(seen, "sessions", keys).sort("round"),
        entries=_read(seen, "entries", keys),
        grades=_read(seen, "driver_metrics", keys, profile),
        evidence=_read(seen, "grade_evidence", keys, profile),
    )


def career_frames(
    where: Where,
    drivers: Sequence[str],
    first_season: int | None = None,
    last_season: int | None = None,
    *,
    profile_name: str = MODEL_VERSION_V2,
    session_kind: str = "race",
) -> CareerFrames:
    """Read the drives of some drivers over seasons; they may lack grades.

    Args:
        where: the lake.
        drivers: each an id, a three-letter code or a family name; one whose code or name two
            have shared in these seasons must be named by id.
        first_season: all that the lake has if None.
        last_season: likewise.
        profile_name: bundled profile or JSON file that they were graded with.
        session_kind: race or sprint.

    Raises:
        ProfileError: there is no such profile.
        PictureError: the profile is of another model, the lake has no sessions of these seasons,
            or a driver is nobody's or several drivers' name.
        LakeError: the lake cannot be read.
    """
    seen, profile = _seen(where), _profile(profile_name)
    keys = _sessions(seen, session_kind, first_season, last_season)
    entries = _read(seen, "entries", keys)
    ids = tuple(dict.fromkeys(_driver_id(entries, name) for name in drivers))
    theirs = pl.col("driver_id").is_in(ids)
    mine = entries.filter(theirs)
    seasons = mine["session_id"].str.head(4).cast(pl.Int32)
    keys = [key for key in keys if seasons.min() <= key.season <= seasons.max()]  # type: ignore[operator]  # a driver found has an entry
    return CareerFrames(
        profile=profile,
        driver_ids=ids,
        session_kind=session_kind,
        sessions=_read(seen, "sessions", keys).sort("season", "round"),
        entries=mine,
        grades=_read(seen, "driver_metrics", keys, profile).filter(theirs),
        evidence=_read(seen, "grade_evidence", keys, profile).filter(theirs),
    )


def training_evidence(where: Where, profile: CalibrationProfileV2) -> pl.DataFrame:
    """Read the evidence of the races of a profile's training years; the lake may lack them."""
    seen, trained = _seen(where), profile.provenance
    years = range(trained.first_season, trained.last_season + 1)
    keys = [key for key in seen.sessions(years) if key.session_kind == "race"]
    return _read(seen, "grade_evidence", keys, profile)


def _seen(where: Where) -> Snapshot:
    if isinstance(where, Snapshot):
        return where
    return lake.snapshot(where if isinstance(where, Path) else where.lake)


def _profile(name: str) -> CalibrationProfileV2:
    profile = read_profile(name)
    if isinstance(profile, CalibrationProfileV2):
        return profile
    raise PictureError(
        f"profile {name} is of model {model_of(profile)}: only grades of model {MODEL_VERSION_V2} "
        "are drawn. Name a profile of that model, or none"
    )


def _sessions(
    seen: Snapshot, session_kind: str, first_season: int | None, last_season: int | None
) -> list[SessionKey]:
    """List the sessions of a kind in some seasons, by time.

    Raises:
        PictureError: there are none.
    """
    first, last = first_season or 0, last_season or 9999
    keys = [
        key
        for key in seen.sessions()
        if key.session_kind == session_kind and first <= key.season <= last
    ]
    if keys:
        return keys
    there = sorted({key.season for key in seen.sessions() if key.session_kind == session_kind})
    years = f"{there[0]} to {there[-1]}" if there else "none"
    asked = "any season" if first_season is None else f"{first_season}"
    if last_season not in {None, first_season}:
        asked += f" to {last_season}"
    raise PictureError(
        f"lake {seen.lake}: no {session_kind} of {asked}; it has those of {years}. Bring more in "
        "with: drivegrade ingest SEASON ROUND, or: drivegrade history import PATH"
    )


def _read(
    seen: Snapshot,
    table: str,
    sessions: Collection[SessionKey],
    profile: CalibrationProfileV2 | None = None,
) -> pl.DataFrame:
    plan = seen.scan(table, sessions=sessions)
    if profile is not None:
        plan = plan.filter(
            pl.col("profile_name") == profile.name, pl.col("model_version") == MODEL_VERSION_V2
        )
    return lake.collect(plan, seen.lake).sort(STORED[table].primary_key())


def _driver_id(entries: pl.DataFrame, wanted: str) -> str:
    """Find who is meant: by id, else by code, else by family name.

    Raises:
        PictureError: nobody, or more than one; the text lists whom.
    """
    people = entries.select("driver_id", "driver_code", "driver_name").unique()
    years = entries["session_id"].str.head(4).unique().sort().to_list()
    text = wanted.strip().casefold()
    tests = (
        pl.col("driver_id").str.to_lowercase() == text,
        pl.col("driver_code").str.to_lowercase() == text,
        (" " + pl.col("driver_name").str.to_lowercase()).str.ends_with(f" {text}"),
    )
    for is_meant in tests if text else ():
        found = people.filter(is_meant)["driver_id"].unique().sort().to_list()
        if len(found) == 1:
            return str(found[0])
        if found:
            raise PictureError(
                f"{wanted!r} may be {', '.join(found)}; name one by id, or fewer seasons"
            )
    first, *_, last = [*years, *years]
    raise PictureError(
        f"no driver {wanted!r} was entered from {first} to {last}; name one by id, "
        "code or family name. drivegrade sql lists them: from entries"
    )
