"""The lake: Parquet files, one per session and table.

    <lake>/<table>/season=YYYY/<session_id>.parquet

A file is replaced whole or not at all. It is written beside its place under a hidden name,
brought to the disk, and renamed over the old one; a process killed at any moment leaves the old
file or the new one. Writers of one lake wait for each other, so that a hidden file seen under
the lock belongs to a writer that died, and is swept.

The tables of a session are separate files. `sessions` is written last: a session that is listed
for the first time is complete.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import polars as pl
from filelock import FileLock, Timeout

from engine.contract import check
from engine.errors import ContractError, DriveGradeError
from engine.tables import SESSION_ID_PATTERN, TABLES, SessionKey, empty, polars_schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LOCK_NAME: Final = ".write.lock"
"""File in the lake that a writer locks."""

LOCK_TIMEOUT_S: Final = 60.0
"""How long a writer waits for another, in seconds; writing a session takes well under one."""

UNFINISHED: Final = ".{name}.unfinished"
"""Name under which a file is written; no reader takes it for a table."""

_LISTED_LAST: Final = "sessions"

_ROUNDS_ASIDE: Final = range(40, 0, -1)
"""Where a session waits while two change places; no season has had so many rounds."""


class LakeError(DriveGradeError):
    """A file of the lake could not be written or read; the text names it and the remedy."""

    exit_code = 8


def write_session(lake: Path, session: SessionKey, tables: Mapping[str, pl.DataFrame]) -> None:
    """Write the tables of one session, each in place of its old file.

    Rows are sorted by primary key first, so equal tables give equal bytes, and a file whose
    bytes would not change is left alone. Tables that are not given stay as they are.

    Args:
        lake: folder of the lake; made if absent.
        session: whose tables these are.
        tables: frames by name, keys of `engine.tables.TABLES`, any row order.

    Raises:
        ContractError: a frame breaks its contract or holds rows of another session; nothing was
            written.
        LakeError: the session's name is not one, a table is unknown (nothing was written), or
            the disk refused a file (that file is still the old one, earlier tables are new).
    """
    names = sorted(tables, key=lambda name: (name == _LISTED_LAST, name))
    contents = {_file(lake, name, session): _bytes(session, name, tables[name]) for name in names}
    with _refusals(lake), _lock(lake):
        for path, content in contents.items():
            _make_folder(path.parent)
            _sweep(path.parent)
            if not path.is_file() or path.read_bytes() != content:
                _replace(path, content)


def scan(lake: Path, table: str, seasons: Sequence[int] | None = None) -> pl.LazyFrame:
    """Scan a table of the lake.

    Args:
        lake: folder of the lake; it may be absent.
        table: a key of `engine.tables.TABLES`.
        seasons: only these; null for all. Files of other seasons are not opened.

    Returns:
        The contract's columns and dtypes, sessions in no promised order. Without any file: no
        rows. Files are opened when the plan is collected.

    Raises:
        LakeError: there is no table of that name.
    """
    _known(table)
    wanted = None if seasons is None else {f"season={season}" for season in seasons}
    files = [
        path
        for path in sorted((lake / table).glob("season=*/*.parquet"))
        if wanted is None or path.parent.name in wanted
    ]
    return _scan(table, files) if files else empty(table).lazy()


def read_session(lake: Path, session: SessionKey) -> dict[str, pl.DataFrame]:
    """Read every table of one session that the lake has.

    Returns:
        Frames by table name in the order of `engine.tables.TABLES`, under contract, sorted by
        primary key.

    Raises:
        LakeError: the lake does not have the session, its name is not one, or a file is damaged
            or has other columns than the contract, which has changed since.
        ContractError: a file's rows break the contract.
    """
    files = {table: _file(lake, table, session) for table in TABLES}
    found = {table: path for table, path in files.items() if path.is_file()}
    if not found:
        there = ", ".join(key.session_id for key in sessions(lake)) or "none"
        raise LakeError(f"lake {lake}: no session {session.session_id}; there are {there}")
    return {
        table: check(table, _collect(_scan(table, [path]), path), f"the lake, {path}")
        for table, path in found.items()
    }


def sessions(lake: Path) -> list[SessionKey]:
    """List the sessions of the lake by season and round, a sprint before its race.

    Raises:
        LakeError: a file of the table `sessions` is damaged.
    """
    listed = scan(lake, _LISTED_LAST).select(SessionKey._fields)
    keys = [SessionKey(*row) for row in _collect(listed, lake / _LISTED_LAST).rows()]
    return sorted(keys, key=lambda key: (key.season, key.round, key.session_kind == "race"))


def listed(lake: Path, season: int) -> pl.DataFrame:
    """Read the table `sessions` of one season."""
    return _collect(scan(lake, _LISTED_LAST, [season]), lake / _LISTED_LAST)


def rename_session(lake: Path, old: SessionKey, new: SessionKey) -> None:
    """Move a session to another round: its files, and what they say of it.

    The new files are written first, then the old ones are removed, `sessions` last each time:
    interrupted anywhere, a second call finishes.

    Raises:
        LakeError: there is no such session, another one stands there, or the disk refused.
    """
    is_there = _LISTED_LAST in _tables_of(lake, new)
    if is_there and not _tables_of(lake, old):
        return
    renamed = pl.lit(new.session_id)
    there = read_session(lake, old)
    moved = {name: frame.with_columns(session_id=renamed) for name, frame in there.items()}
    moved["sessions"] = moved["sessions"].with_columns(round=pl.lit(new.round, pl.Int16))
    there = read_session(lake, new) if is_there else moved
    if not all(name in there and there[name].equals(moved[name]) for name in moved):
        raise LakeError(f"lake {lake}: {new.session_id} is another session than {old.session_id}")
    if not is_there:
        remove_session(lake, new)  # what an interrupted call has left is of no session
        write_session(lake, new, moved)
    remove_session(lake, old)


def rename_sessions(lake: Path, homes: Mapping[SessionKey, SessionKey]) -> dict[str, str]:
    """Move sessions to where they belong, whatever the permutation.

    Args:
        lake: folder of the lake.
        homes: session → where it belongs, also of those that stand right. Of two that belong
            to one place, that which stands there or has more tables stays.

    Returns:
        Old → new id of those that moved. If interrupted, call again with what the lake then has.

    Raises:
        LakeError: a session without a home stands in the way, or the disk refused.
    """
    origin = _without_copies(lake, homes)
    moves = {old: home for home, old in origin.items() if old != home}
    standing = set(sessions(lake))
    for stranger in (standing - homes.keys()) & set(moves.values()):
        raise LakeError(
            f"lake {lake}: {stranger.session_id}, which the warehouse does not know, stands where "
            "another session belongs. Ingest it or remove its files, then try again"
        )
    renamed = {old.session_id: home.session_id for old, home in moves.items()}
    while moves:
        ready = (old for old, new in moves.items() if new not in standing)
        if (old := next(ready, None)) is None:  # only circles are left: one of them steps aside
            old = next(iter(moves))
            aside = (old._replace(round=number) for number in _ROUNDS_ASIDE)
            free = next(key for key in aside if key not in standing | origin.keys())
            moves |= {free: moves[old], old: free}
        new = moves.pop(old)
        rename_session(lake, old, new)
        standing = standing - {old} | {new}
    return renamed


def remove_session(lake: Path, session: SessionKey) -> None:
    """Remove the files of a session, `sessions` last; there may be none."""
    with _refusals(lake), _lock(lake):
        for path in [_file(lake, name, session) for name in _tables_of(lake, session)]:
            path.unlink()
            _sync(path.parent)


def _without_copies(
    lake: Path, homes: Mapping[SessionKey, SessionKey]
) -> dict[SessionKey, SessionKey]:
    """Say for each home which session of the lake belongs there, and remove other copies."""
    kept: dict[SessionKey, SessionKey] = {}
    for old in sorted(homes, key=lambda key: (key == homes[key], len(_tables_of(lake, key)))):
        if (copy := kept.get(homes[old])) is not None:
            remove_session(lake, copy)
        kept[homes[old]] = old
    return kept


def _tables_of(lake: Path, session: SessionKey) -> list[str]:
    """Name the tables that the lake has of a session, `sessions` last."""
    there = [name for name in TABLES if _file(lake, name, session).is_file()]
    return sorted(there, key=lambda name: name == _LISTED_LAST)


def _known(table: str) -> None:
    if table not in TABLES:
        raise LakeError(f"the lake has no table {table!r}; there are {', '.join(TABLES)}")


def _file(lake: Path, table: str, session: SessionKey) -> Path:
    """Where a session's table lies; only known tables and well-formed sessions have a place."""
    _known(table)
    if not re.fullmatch(SESSION_ID_PATTERN, session.session_id):
        raise LakeError(f"no session can be called {session.session_id!r}; expected like 2025-1")
    season = session.session_id.partition("-")[0]
    return lake / table / f"season={season}" / f"{session.session_id}.parquet"


def _bytes(session: SessionKey, table: str, frame: pl.DataFrame) -> bytes:
    """Give the Parquet file of a table: under contract, of that session, sorted by its key."""
    checked = check(table, frame, f"session {session.session_id}")
    strangers = checked.filter(pl.col("session_id") != session.session_id)
    if not strangers.is_empty():
        named = ", ".join(strangers["session_id"].unique().sort().head(3))
        raise ContractError(
            f"{table}: {strangers.height} of {checked.height} rows are not of session "
            f"{session.session_id} but of {named}\nNothing was written."
        )
    buffer = io.BytesIO()
    checked.sort(TABLES[table].primary_key()).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _scan(table: str, files: list[Path]) -> pl.LazyFrame:
    """Scan files of a table.

    The schema is given, not looked up, so each file is opened once: a reader sees the old file or
    the new one even while it is replaced.
    """
    return pl.scan_parquet(files, schema=polars_schema(table), hive_partitioning=False, glob=False)


def _collect(plan: pl.LazyFrame, where: Path) -> pl.DataFrame:
    try:
        return plan.collect()
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise LakeError(
            f"{where} cannot be read: {error}\nRemove the file and ingest the session again."
        ) from error


@contextmanager
def _lock(lake: Path) -> Iterator[None]:
    """Keep other writers out of the lake."""
    _make_folder(lake)
    try:
        with FileLock(lake / LOCK_NAME, timeout=LOCK_TIMEOUT_S):
            yield
    except Timeout:
        raise LakeError(
            f"lake {lake}: another process has been writing for {LOCK_TIMEOUT_S:.0f} s; "
            "try again when it has ended"
        ) from None


@contextmanager
def _refusals(lake: Path) -> Iterator[None]:
    """Say which file the disk refused, and what that means."""
    try:
        yield
    except OSError as error:
        named = error.filename or lake
        raise LakeError(
            f"{named} could not be written: {error.strerror}\n"
            "The old file, if there was one, is whole. Make room or mend the folder, then ingest "
            "the session again."
        ) from error


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, and bring their names to the disk."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sweep(folder: Path) -> None:
    """Remove what writers that died have left in a folder; the caller holds the lock."""
    for path in folder.glob(UNFINISHED.format(name="*")):
        path.unlink()


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place of another; it is on the disk when this returns."""
    unfinished = path.with_name(UNFINISHED.format(name=path.name))
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
