"""The lake's manifest: which files count, and what is in them.

    <lake>/manifest.json                             table → season → sha256, rows, bytes
    <lake>/<table>/season=YYYY/<first of sha256>.parquet

A file is named for its content and never changed. Whatever is written at once, any number of
tables and seasons, becomes visible at once: the new files are brought to the disk first, then one
rename puts the new manifest in place of the old. A process killed at any moment leaves the old
state or the new one. Readers take only what the manifest names, and refuse a file whose bytes are
not those it was written with.

Files that no manifest names any more are left for readers that still hold the old one, and are
removed by a later write, once they are older than `GRACE`.
"""

from __future__ import annotations

import hashlib
import re
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import DriveGradeError
from loaders.durable import UNFINISHED, make_folder, sync, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Self

MANIFEST_NAME: Final = "manifest.json"

LOCK_NAME: Final = ".write.lock"
"""File in the lake that a writer locks."""

LOCK_TIMEOUT_S: Final = 60.0
"""How long a writer waits for another, in seconds; writing a season takes well under one."""

GRACE: Final = timedelta(minutes=10)
"""How long a file that is not named any more is kept for readers of the manifest before."""

NAME_LENGTH: Final = 20
"""Hexadecimal digits of the hash in a file's name: 80 bits, never twice by chance."""

_OURS: Final = re.compile(rf"^[0-9a-f]{{{NAME_LENGTH}}}\.parquet$|^\..+\.unfinished$")
_verified: Final[set[tuple[str, int, int, str]]] = set()


class LakeError(DriveGradeError):
    """A file of the lake could not be written or read; the text names it and the remedy."""

    exit_code = 8


class LakeFile(BaseModel):
    """What is known of a file.

    Attributes:
        sha256: of its bytes, in hex.
        rows: how many it has.
        bytes: its size.
        made_from: fingerprint of what its rows were computed from; None if they were not, or if
            that is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    made_from: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """The files that count, by table and season.

    Attributes:
        layout: version of the lake's layout.
        files: table → season → file; a table without rows in a season has none.
        seal: SHA-256 of `files`; a manifest written before there were seals has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: Literal[2] = 2
    files: dict[str, dict[int, LakeFile]] = Field(default_factory=dict)
    seal: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """Refuse a manifest whose bytes have changed: a table might be missing in silence."""
        if self.seal is not None and self.seal != self.sealed().seal:
            raise ValueError("its seal is not that of the files it names")
        return self

    def sealed(self) -> Manifest:
        """Give the same manifest with its seal."""
        content = self.model_dump_json(exclude={"seal"}).encode()
        return self.model_copy(update={"seal": hashlib.sha256(content).hexdigest()})

    def of(self, table: str) -> dict[int, LakeFile]:
        """Give a table's files by season."""
        return self.files.get(table, {})


class Place(NamedTuple):
    """Where a file belongs."""

    table: str
    season: int


class Content(NamedTuple):
    """What a file is to hold: Parquet bytes, how many rows they are, and what of."""

    data: bytes
    rows: int
    made_from: str | None = None


class FileState(NamedTuple):
    """A file under examination: `ok`, `missing`, `damaged`, or `unnamed` by the manifest."""

    path: Path
    state: Literal["ok", "missing", "damaged", "unnamed"]
    bytes: int
    place: Place | None


def read_manifest(lake: Path) -> Manifest:
    """Read which files count; none if there is no lake yet.

    Raises:
        LakeError: the manifest is damaged or of another layout.
    """
    path = lake / MANIFEST_NAME
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Manifest()
    except (ValidationError, OSError) as error:
        first = str(error).partition("\n")[0]
        raise LakeError(
            f"{path} cannot be read: {first}\nBring the lake back from a copy, or remove it and "
            "ingest again."
        ) from error


def path_of(lake: Path, place: Place, file: LakeFile) -> Path:
    """Where a file lies."""
    folder = lake / place.table / f"season={place.season}"
    return folder / f"{file.sha256[:NAME_LENGTH]}.parquet"


def verified_path(lake: Path, place: Place, file: LakeFile) -> Path:
    """Where a file lies, after seeing that its bytes are those it was written with.

    A file is hashed once a process, as long as it is not touched.

    Raises:
        LakeError: it is missing or damaged.
    """
    path = path_of(lake, place, file)
    if (state := _state(path, file)) != "ok":
        raise LakeError(
            f"{path} is {state}: it is not what was written.\nBring it back from a copy; or run "
            f"drivegrade lake verify --forget, and ingest or regrade season {place.season} again."
        )
    return path


def publish(lake: Path, changes: Mapping[Place, Content | None]) -> Manifest:
    """Replace files, all at once; the caller holds `lock`.

    Args:
        lake: folder of the lake; made if absent.
        changes: the new content of each file that changes; None to have none.

    Returns:
        The manifest that is now in place. Files that would not change are left alone; if none
        would, nothing is written.

    Raises:
        LakeError: the disk refused. The old manifest is in place, and new files are removed; but
            if it refused to confirm the new manifest, that is in place, and its files are.
    """
    before = read_manifest(lake)
    files = {table: dict(seasons) for table, seasons in before.files.items()}
    written: list[Path] = []
    made: set[Path] = set()
    with _refusals(lake, written):
        for place, content in changes.items():
            seasons = files.setdefault(place.table, {})
            seasons.pop(place.season, None)
            if content is None:
                continue
            file = LakeFile(
                sha256=hashlib.sha256(content.data).hexdigest(),
                rows=content.rows,
                bytes=len(content.data),
                made_from=content.made_from,
            )
            seasons[place.season] = file
            path = path_of(lake, place, file)
            old = before.of(place.table).get(place.season)
            is_there = path.is_file()
            if old is None or old.sha256 != file.sha256 or not is_there:
                made |= {*make_folder(path.parent), path.parent}
                if not is_there:  # else it is of a manifest before, which readers may still hold
                    written.append(path)
                write_file(path, content.data)
        kept = {table: dict(sorted(files[table].items())) for table in sorted(files)}
        after = Manifest(files={table: seasons for table, seasons in kept.items() if seasons})
        for folder in sorted(made):
            sync(folder)
        if after.files != before.files:
            sealed = after.sealed().model_dump_json(indent=1)
            write_file(lake / MANIFEST_NAME, sealed.encode())
    if after.files != before.files:  # its files are named now, whatever else is refused
        with _refusals(lake, [], "It was written all the same, but may not outlast a power cut."):
            sync(lake)
    for folder in {lake / place.table / f"season={place.season}" for place in changes}:
        _sweep(folder, after, lake, GRACE)
    return after


def examine(lake: Path) -> list[FileState]:
    """Hash every file that the manifest names, and list those it does not name, by path."""
    manifest = read_manifest(lake)
    _verified.clear()
    named = {
        path_of(lake, place, file): (place, file)
        for place, file in (
            (Place(table, season), file)
            for table, seasons in manifest.files.items()
            for season, file in seasons.items()
        )
    }
    states = [
        FileState(path, _state(path, file), file.bytes, place)
        for path, (place, file) in named.items()
    ]
    unnamed = [path for path in lake.glob("*/season=*/*") if path not in named]
    states += [FileState(path, "unnamed", path.stat().st_size, None) for path in unnamed]
    return sorted(states)


def forget_damaged(lake: Path) -> list[FileState]:
    """Name the missing and damaged files no more, so that their rows can be written again."""
    with lock(lake):
        lost = [state for state in examine(lake) if state.state in {"missing", "damaged"}]
        publish(lake, {state.place: None for state in lost if state.place is not None})
    return lost


def remove_unnamed(lake: Path, grace: timedelta = GRACE) -> list[FileState]:
    """Remove the files that the manifest does not name and that are older than `grace`.

    Only files whose name is one that this program gives are removed.
    """
    with lock(lake):
        manifest = read_manifest(lake)
        folders = sorted(lake.glob("*/season=*"))
        return [state for folder in folders for state in _sweep(folder, manifest, lake, grace)]


@contextmanager
def lock(lake: Path) -> Iterator[None]:
    """Keep other writers out of the lake; who has the lock may take it again.

    Raises:
        LakeError: another has been writing for `LOCK_TIMEOUT_S`, or the folder cannot be made.
    """
    waiting = FileLock(lake.absolute() / LOCK_NAME, timeout=LOCK_TIMEOUT_S, is_singleton=True)
    with _refusals(lake, []):
        for folder in make_folder(lake):
            sync(folder)
        try:
            waiting.acquire()
        except Timeout:
            raise LakeError(
                f"lake {lake}: another process has been writing for {LOCK_TIMEOUT_S:.0f} s; "
                "try again when it has ended"
            ) from None
    try:
        yield
    finally:
        waiting.release()


def _state(path: Path, file: LakeFile) -> Literal["ok", "missing", "damaged"]:
    try:
        stat = path.stat()
        known = (str(path), stat.st_mtime_ns, stat.st_size, file.sha256)
        if known in _verified:
            return "ok"
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "damaged"
    if digest != file.sha256:
        return "damaged"
    _verified.add(known)
    return "ok"


def _sweep(folder: Path, manifest: Manifest, lake: Path, grace: timedelta) -> list[FileState]:
    """Remove what no reader needs any more from a folder; the caller holds the lock."""
    table, season = folder.parent.name, int(folder.name.removeprefix("season="))
    file = manifest.of(table).get(season)
    named = path_of(lake, Place(table, season), file) if file else None
    newest = time.time() - grace.total_seconds()
    removed = []
    for path in sorted(folder.glob("*")) + sorted(folder.glob(UNFINISHED.format(name="*"))):
        if path == named or not _OURS.match(path.name):
            continue
        with suppress(OSError):  # what cannot be removed is in nobody's way until the next sweep
            stat = path.stat()
            if path.name.startswith(".") or stat.st_mtime <= newest:
                path.unlink()
                removed.append(FileState(path, "unnamed", stat.st_size, None))
    return removed


@contextmanager
def _refusals(
    lake: Path, written: list[Path], state: str = "The lake is as it was."
) -> Iterator[None]:
    """Say which file the disk refused and what that means; remove files that were written."""
    try:
        yield
    except OSError as error:
        for path in written:
            with suppress(OSError):  # it is not named, so whoever sweeps finds it
                path.unlink(missing_ok=True)
        named = error.filename or lake
        raise LakeError(
            f"{named} could not be written: {error.strerror}\n{state} "
            "Make room or mend the folder, then try again."
        ) from error
