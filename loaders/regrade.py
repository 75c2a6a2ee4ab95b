"""Regrading: the sessions of the lake under any number of profiles, in few plans.

Seasons are graded together, as many as fit into memory (`BLOCK_LAPS`, `BLOCK_GRADES`), and
written block by block. A season's file of grades names what it was made from: the files of its
tables, the profiles and the engine's source. Where that is what a regrade would start from, the
season is left alone; so an interrupted regrade goes on where it stopped, and a second one does
nothing.

Where the grading is done is a parameter (`Grader`): in this process, or by `loaders.cluster`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import polars as pl

from engine.errors import DriveGradeError
from engine.tables import NORMALIZED
from engine.v1.calibration import MODEL_VERSION
from loaders import lake
from loaders.grading import engine_fingerprint, grade_tables, kept_grades

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine.tables import SessionKey
    from engine.v1.calibration import CalibrationProfile
    from loaders.lake import Snapshot

    Frames = dict[str, pl.DataFrame]

BLOCK_LAPS: Final = 1_000_000
"""Laps graded at once; all of Formula 1's history has fewer. A block of them takes some 2 GiB."""

BLOCK_GRADES: Final = 1_000_000
"""Grades computed at once: driver-races times profiles."""


@dataclass(frozen=True)
class RegradeReport:
    """What a regrade did.

    Attributes:
        graded_seasons: seasons that were graded now.
        unchanged_seasons: seasons whose grades were made from the same already.
        rows: table → rows that the lake now has of the graded seasons.
        profiles: names of the profiles, in the order given.
    """

    graded_seasons: tuple[int, ...]
    unchanged_seasons: tuple[int, ...]
    rows: Mapping[str, int]
    profiles: tuple[str, ...]


@dataclass(frozen=True)
class Piece:
    """What is graded in one plan.

    Attributes:
        seasons: whose sessions these are.
        read: gives the frames of `engine.tables.NORMALIZED` by name.
        source: where they come from, for messages.
    """

    seasons: tuple[int, ...]
    read: Callable[[], Frames]
    source: str


class Grader(Protocol):
    """Where pieces are graded.

    Attributes:
        is_by_season: each season is to be a piece of its own; else as many as fit into memory.
    """

    is_by_season: bool

    def __call__(
        self, pieces: Iterable[Piece], profiles: Sequence[CalibrationProfile]
    ) -> Iterator[tuple[Piece, Frames]]:
        """Give each piece, in any order, with the frames of `engine.tables.DERIVED` by name."""


class LocalGrader:
    """Grades piece after piece in this process, on all its threads."""

    is_by_season: bool = False

    def __call__(
        self, pieces: Iterable[Piece], profiles: Sequence[CalibrationProfile]
    ) -> Iterator[tuple[Piece, Frames]]:
        """Grade each piece when it is asked for.

        Raises:
            ContractError: what `loaders.grading.grade_tables` raises.
        """
        for piece in pieces:
            tables = {name: frame.lazy() for name, frame in piece.read().items()}
            yield piece, grade_tables(tables, profiles, piece.source)


def regrade(
    folder: Path,
    profiles: Sequence[CalibrationProfile],
    *,
    seasons: Collection[int] | None = None,
    sessions: Collection[SessionKey] | None = None,
    force: bool = False,
    grader: Grader | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RegradeReport:
    """Grade what the lake has laps of, and write events and grades beside it.

    Args:
        folder: the lake.
        profiles: what to grade with; grades under other profiles stay, as long as the driver's
            inputs are the same.
        seasons: only these; None for all.
        sessions: only these; None for all. Then nothing is left alone.
        force: grade also what was made from the same already.
        grader: where it is done; None for here. The grades are the same, to the last bit.
        progress: told after each piece how many of how many seasons are done.

    Raises:
        DriveGradeError: the lake has none of the sessions, or none with laps.
        LakeError: a file is damaged, or the disk refused; pieces written before stay.
    """
    seen = lake.snapshot(folder)
    wanted = _seasons(seen, seasons, sessions)
    made_from = {season: _made_from(seen, season, profiles) for season in wanted}
    is_done = {
        season: not force and sessions is None and _was_made_from(seen, season, made_from[season])
        for season in wanted
    }
    due = [season for season in wanted if not is_done[season]]
    rows: dict[str, int] = {}
    done = len(wanted) - len(due)
    tell = progress or _tell_nobody
    tell(done, len(wanted))
    grader = grader or LocalGrader()
    is_wanted = None if sessions is None else set(sessions)
    blocks = [[season] for season in due] if grader.is_by_season else _blocks(seen, due, profiles)
    pieces = (_piece(seen, block, is_wanted) for block in blocks)
    for piece, frames in grader(pieces, profiles):
        for name, count in _write(seen, piece, is_wanted, frames, made_from).items():
            rows[name] = rows.get(name, 0) + count
        done += len(piece.seasons)
        tell(done, len(wanted))
    return RegradeReport(
        tuple(due),
        tuple(season for season in wanted if is_done[season]),
        rows,
        tuple(profile.name for profile in profiles),
    )


def _piece(
    seen: Snapshot, seasons: Sequence[int], sessions: Collection[SessionKey] | None
) -> Piece:
    """Make a piece of seasons, or of some of their sessions.

    Its tables are read once, as a whole: a plan would open each file at every place where it
    needs the table.
    """

    def read() -> Frames:
        return {
            name: lake.collect(seen.scan(name, seasons, sessions), seen.lake) for name in NORMALIZED
        }

    return Piece(tuple(seasons), read, f"the lake, {seen.lake}")


def _write(
    seen: Snapshot,
    piece: Piece,
    sessions: Collection[SessionKey] | None,
    frames: Frames,
    made_from: Mapping[int, str],
) -> dict[str, int]:
    """Write what a piece gave, beside the grades that stay: table → rows the lake now has."""
    there = [key for key in seen.sessions(piece.seasons) if sessions is None or key in sessions]
    stored = lake.collect(seen.scan("driver_metrics", piece.seasons, sessions), seen.lake)
    kept = kept_grades(stored, frames["driver_metrics"])
    graded = {**frames, "driver_metrics": pl.concat([frames["driver_metrics"], kept])}
    whole = None if sessions else made_from
    return lake.write(seen.lake, there, graded, made_from=whole, since=seen)


def _tell_nobody(done: int, total: int) -> None:
    """Stand in for a progress that nobody watches."""


def _seasons(
    seen: Snapshot, seasons: Collection[int] | None, sessions: Collection[SessionKey] | None
) -> list[int]:
    """Choose the seasons that have laps among those wanted.

    Raises:
        DriveGradeError: there are none.
    """
    timed = seen.manifest.of("laps")
    wanted = timed.keys() if seasons is None else timed.keys() & set(seasons)
    if sessions is not None:
        wanted = wanted & {key.season for key in seen.sessions() if key in set(sessions)}
    if not wanted:
        there = ", ".join(map(str, timed)) or "none"
        raise DriveGradeError(
            f"the lake {seen.lake} has no laps of what is to be graded; seasons with laps: "
            f"{there}. Bring them in with: drivegrade ingest SEASON ROUND, or: drivegrade history "
            "import PATH"
        )
    return sorted(wanted)


def _blocks(
    seen: Snapshot, seasons: Sequence[int], profiles: Sequence[CalibrationProfile]
) -> Iterator[list[int]]:
    """Divide seasons into blocks that fit into memory; a season is never divided."""
    block: list[int] = []
    laps = grades = 0
    for season in seasons:
        more_laps = seen.manifest.of("laps")[season].rows
        more_grades = seen.manifest.of("entries")[season].rows * len(profiles)
        if block and (laps + more_laps > BLOCK_LAPS or grades + more_grades > BLOCK_GRADES):
            yield block
            block, laps, grades = [], 0, 0
        block.append(season)
        laps, grades = laps + more_laps, grades + more_grades
    if block:
        yield block


def _made_from(seen: Snapshot, season: int, profiles: Sequence[CalibrationProfile]) -> str:
    """Fingerprint what a season's grades are computed from and by."""
    parts = [engine_fingerprint(), MODEL_VERSION]
    parts += sorted(profile.model_dump_json() for profile in profiles)
    for name in NORMALIZED:
        file = seen.manifest.of(name).get(season)
        parts.append(f"{name} {file.sha256 if file else 'none'}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _was_made_from(seen: Snapshot, season: int, fingerprint: str) -> bool:
    file = seen.manifest.of("driver_metrics").get(season)
    return file is not None and file.made_from == fingerprint
