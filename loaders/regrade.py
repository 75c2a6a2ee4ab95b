"""Regrading: the sessions of the lake under any number of profiles, in few plans.

Seasons are graded together, as many as fit into memory (`BLOCK_LAPS`, `BLOCK_GRADES`), and
written block by block. A season's file of grades names what it was made from: the files of its
tables, the profiles and the engine's source. Where that is what a regrade would start from, the
season is left alone; so an interrupted regrade goes on where it stopped, and a second one does
nothing.

Where the grading is done is a parameter (`Grader`): in this process, or by `loaders.cluster`.

Model v2 goes on from one season to the next: its seasons are graded in order, each from the state
that the lake has of the session before, and a season is due again when one before it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from engine.errors import DriveGradeError
from engine.tables import NORMALIZED
from engine.v1.calibration import MODEL_VERSION
from engine.v2.calibration import CalibrationProfileV2
from loaders import lake
from loaders.grading import BY_PROFILE, engine_fingerprint, grade_tables, with_kept
from loaders.previous import NOTHING, Previous, in_order, previous

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from engine.tables import SessionKey
    from loaders.lake import Snapshot
    from loaders.profiles import Profile

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
        before: gives what was known before them; asked once the pieces before are written.
    """

    seasons: tuple[int, ...]
    read: Callable[[], Frames]
    source: str
    before: Callable[[], Previous] = lambda: NOTHING


class Grader(Protocol):
    """Where pieces are graded.

    Attributes:
        is_by_season: each season is to be a piece of its own, and they are graded in any order;
            else as many as fit into memory, in theirs.
    """

    is_by_season: bool

    def __call__(
        self, pieces: Iterable[Piece], profiles: Sequence[Profile]
    ) -> Iterator[tuple[Piece, Frames]]:
        """Give each piece, in any order, with the frames of `engine.tables.DERIVED` by name."""


class LocalGrader:
    """Grades piece after piece in this process, on all its threads."""

    is_by_season: bool = False

    def __call__(
        self, pieces: Iterable[Piece], profiles: Sequence[Profile]
    ) -> Iterator[tuple[Piece, Frames]]:
        """Grade each piece when it is asked for.

        Raises:
            ContractError: what `loaders.grading.grade_tables` raises.
        """
        for piece in pieces:
            tables = {name: frame.lazy() for name, frame in piece.read().items()}
            yield piece, grade_tables(tables, profiles, piece.source, piece.before())


def regrade(
    folder: Path,
    profiles: Sequence[Profile],
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
        profiles: what to grade with, of any model; grades under other profiles stay, as long as
            their inputs are the same.
        seasons: only these; None for all.
        sessions: only these; None for all. Then nothing is left alone; for model v2 they must
            follow one another.
        force: grade also what was made from the same already.
        grader: where it is done; None for here. The grades are the same, to the last bit.
        progress: told after each piece how many of how many seasons are done.

    Raises:
        DriveGradeError: the lake has none of the sessions, or none with laps; or the grader, or
            the choice of sessions, leaves no order for model v2.
        LakeError: a file is damaged, or the disk refused; pieces written before stay.
    """
    seen = lake.snapshot(folder)
    wanted = _seasons(seen, seasons, sessions)
    made_from = _made_from(seen, profiles)
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
    second = [profile for profile in profiles if isinstance(profile, CalibrationProfileV2)]
    if second:
        _refuse_disorder(seen, grader, is_wanted)
        made_from = _resting_on_done(seen, due, made_from)
    blocks = [[season] for season in due] if grader.is_by_season else _blocks(seen, due, profiles)
    pieces = (_piece(seen, block, is_wanted, second) for block in blocks)
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


def _refuse_disorder(
    seen: Snapshot, grader: Grader, sessions: Collection[SessionKey] | None
) -> None:
    """See that model v2 can go from session to session.

    Raises:
        DriveGradeError: the grader takes seasons in any order, or sessions are left out.
    """
    if grader.is_by_season:
        raise DriveGradeError(
            "model v2 grades season after season, each from the state after the one before: it "
            "cannot be spread over machines. Nothing was graded; leave out --engine ray"
        )
    there = in_order(seen.sessions())
    places = [place for place, key in enumerate(there) if sessions is None or key in sessions]
    if sessions is not None and places != list(range(places[0], places[-1] + 1)):
        named = ", ".join(there[place].session_id for place in places)
        raise DriveGradeError(
            f"model v2 goes from session to session, and between {named} others were held. "
            "Nothing was graded; regrade them one by one, or their seasons"
        )


def _resting_on_done(
    seen: Snapshot, due: Collection[int], made_from: Mapping[int, str]
) -> dict[int, str]:
    """Choose the seasons before which nothing stays undone: others will be due once more."""
    sound: dict[int, str] = {}
    for season in sorted(made_from):
        if season not in due and not _was_made_from(seen, season, made_from[season]):
            break
        sound[season] = made_from[season]
    return sound


def _piece(
    seen: Snapshot,
    seasons: Sequence[int],
    sessions: Collection[SessionKey] | None,
    second: Sequence[CalibrationProfileV2],
) -> Piece:
    """Make a piece of seasons, or of some of their sessions.

    Its tables are read once, as a whole: a plan would open each file at every place where it
    needs the table.
    """

    def read() -> Frames:
        return {
            name: lake.collect(seen.scan(name, seasons, sessions), seen.lake) for name in NORMALIZED
        }

    def before() -> Previous:
        held = [key for key in seen.sessions(seasons) if sessions is None or key in sessions]
        return previous(lake.snapshot(seen.lake), in_order(held)[0], second)

    return Piece(tuple(seasons), read, f"the lake, {seen.lake}", before)


def _write(
    seen: Snapshot,
    piece: Piece,
    sessions: Collection[SessionKey] | None,
    frames: Frames,
    made_from: Mapping[int, str],
) -> dict[str, int]:
    """Write what a piece gave, beside the grades that stay: table → rows the lake now has."""
    there = [key for key in seen.sessions(piece.seasons) if sessions is None or key in sessions]
    stored = {
        name: lake.collect(seen.scan(name, piece.seasons, sessions), seen.lake)
        for name in BY_PROFILE
    }
    whole = None if sessions else made_from
    return lake.write(seen.lake, there, with_kept(frames, stored), made_from=whole, since=seen)


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
    seen: Snapshot, seasons: Sequence[int], profiles: Sequence[Profile]
) -> Iterator[list[int]]:
    """Divide seasons into blocks that fit into memory; a season is never divided.

    Where seasons that the lake has laps of are left out, a block ends.
    """
    block: list[int] = []
    laps = grades = 0
    place = {season: number for number, season in enumerate(sorted(seen.manifest.of("laps")))}
    for season in seasons:
        more_laps = seen.manifest.of("laps")[season].rows
        more_grades = seen.manifest.of("entries")[season].rows * len(profiles)
        follows = block and place[season] == place[block[-1]] + 1
        is_full = laps + more_laps > BLOCK_LAPS or grades + more_grades > BLOCK_GRADES
        if block and (is_full or not follows):
            yield block
            block, laps, grades = [], 0, 0
        block.append(season)
        laps, grades = laps + more_laps, grades + more_grades
    if block:
        yield block


def _made_from(seen: Snapshot, profiles: Sequence[Profile]) -> dict[int, str]:
    """Fingerprint what the grades of each season with laps are computed from and by.

    For model v2 that is also what those of the season before are.
    """
    goes_on = any(isinstance(profile, CalibrationProfileV2) for profile in profiles)
    common = [engine_fingerprint(), MODEL_VERSION]
    common += sorted(profile.model_dump_json() for profile in profiles)
    made_from: dict[int, str] = {}
    before = ""
    for season in sorted(seen.manifest.of("laps")):
        parts = [*common, before] if goes_on else list(common)
        for name in NORMALIZED:
            file = seen.manifest.of(name).get(season)
            parts.append(f"{name} {file.sha256 if file else 'none'}")
        before = made_from[season] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return made_from


def _was_made_from(seen: Snapshot, season: int, fingerprint: str) -> bool:
    file = seen.manifest.of("driver_metrics").get(season)
    return file is not None and file.made_from == fingerprint
