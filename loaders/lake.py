"""The lake: the tables of any number of sessions as Parquet, one file per table and season.

What is written together becomes visible together (`loaders.manifest`): a reader sees all tables
of a session as one writer left them. Rows are sorted by primary key, so equal tables are equal
files, and a file that would not change is left alone.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.contract import check
from engine.errors import ContractError
from engine.tables import SESSION_ID_PATTERN, STORED, SessionKey, empty, polars_schema
from loaders import manifest
from loaders.manifest import Content, LakeError, Manifest, Place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

_SEASON: Final = pl.col("session_id").str.head(4).cast(pl.Int32)


@dataclass(frozen=True)
class Snapshot:
    """The lake as it was at one moment; what is written later does not show.

    Attributes:
        lake: its folder.
        manifest: the files that count.
    """

    lake: Path
    manifest: Manifest

    def scan(
        self,
        table: str,
        seasons: Collection[int] | None = None,
        sessions: Collection[SessionKey] | None = None,
    ) -> pl.LazyFrame:
        """Scan a table.

        Args:
            table: a key of `engine.tables.STORED`.
            seasons: only these; None for all. Files of other seasons are not opened.
            sessions: only these; None for all.

        Returns:
            The contract's columns and dtypes, sessions in no promised order; no rows if there
            are no files.

        Raises:
            LakeError: there is no table of that name, or a file is missing or damaged.
        """
        if sessions is not None:
            wanted = {key.season for key in sessions}
            seasons = wanted if seasons is None else wanted & set(seasons)
        paths = list(self.files(table, seasons).values())
        if not paths:
            return empty(table).lazy()
        rows = pl.scan_parquet(
            paths, schema=polars_schema(table), hive_partitioning=False, glob=False
        )
        if sessions is None:
            return rows
        return rows.filter(pl.col("session_id").is_in([key.session_id for key in sessions]))

    def files(self, table: str, seasons: Collection[int] | None = None) -> dict[int, Path]:
        """Name a table's files by season, each seen to hold what was written.

        Raises:
            LakeError: there is no table of that name, or a file is missing or damaged.
        """
        _known(table)
        return {
            season: manifest.verified_path(self.lake, Place(table, season), file)
            for season, file in self.manifest.of(table).items()
            if seasons is None or season in seasons
        }

    def sessions(self, seasons: Collection[int] | None = None) -> list[SessionKey]:
        """List the sessions by season and round, a sprint before its race."""
        rows = collect(self.scan("sessions", seasons).select(SessionKey._fields), self.lake).rows()
        keys = [SessionKey(*row) for row in rows]
        return sorted(keys, key=lambda key: (key.season, key.round, key.session_kind == "race"))


def snapshot(lake: Path) -> Snapshot:
    """See the lake as it is now; it may be absent."""
    return Snapshot(lake, manifest.read_manifest(lake))


def scan(lake: Path, table: str, seasons: Collection[int] | None = None) -> pl.LazyFrame:
    """Scan a table of the lake as it is now: `Snapshot.scan`."""
    return snapshot(lake).scan(table, seasons)


def sessions(lake: Path) -> list[SessionKey]:
    """List the sessions of the lake by season and round, a sprint before its race."""
    return snapshot(lake).sessions()


def listed(lake: Path, season: int) -> pl.DataFrame:
    """Read the table `sessions` of one season."""
    return collect(scan(lake, "sessions", [season]), lake)


def read_session(lake: Path, session: SessionKey) -> dict[str, pl.DataFrame]:
    """Read every table of one session.

    Returns:
        Frames by table name in the order of `engine.tables.STORED`, under contract, sorted by
        primary key; empty where the lake has no rows.

    Raises:
        LakeError: the lake does not have the session, its name is not one, or a file is damaged
            or has other columns than the contract, which has changed since.
        ContractError: a file's rows break the contract.
    """
    _session_ids([session])
    seen = snapshot(lake)
    plans = [seen.scan(table, sessions=[session]) for table in STORED]
    frames = dict(zip(STORED, (collect(plan, lake) for plan in plans), strict=True))
    if all(frame.is_empty() for frame in frames.values()):
        there = ", ".join(key.session_id for key in seen.sessions()) or "none"
        raise LakeError(f"lake {lake}: no session {session.session_id}; there are {there}")
    return {
        table: check(table, frame.sort(STORED[table].primary_key()), f"the lake, {lake}")
        for table, frame in frames.items()
    }


def write_session(lake: Path, session: SessionKey, tables: Mapping[str, pl.DataFrame]) -> None:
    """Write tables of one session: `write`."""
    write(lake, [session], tables)


def write(
    lake: Path,
    sessions: Collection[SessionKey],
    tables: Mapping[str, pl.DataFrame],
    *,
    made_from: Mapping[int, str] | None = None,
    since: Snapshot | None = None,
) -> dict[str, int]:
    """Replace the rows of sessions in the given tables, all at once.

    Args:
        lake: folder of the lake; made if absent.
        sessions: whose rows these are; all that the lake has of them in these tables goes.
        tables: frames by name, keys of `engine.tables.STORED`, any row order. Tables that are
            not given stay as they are.
        made_from: by season, the fingerprint of what the rows were computed from, if they were
            and are those of the whole season.
        since: what the rows were computed from: refuse if these seasons have changed meanwhile.

    Returns:
        Table → rows that the lake now has of these seasons.

    Raises:
        ContractError: a frame breaks its contract or holds rows of other sessions; nothing was
            written.
        LakeError: a session's name is not one, a table is unknown, the seasons have changed
            `since`, or the disk refused; nothing was written.
    """
    for name in tables:
        _known(name)
    ids = _session_ids(sessions)
    checked = {name: _of_sessions(name, frame, ids) for name, frame in tables.items()}
    seasons = {key.season for key in sessions}
    with manifest.lock(lake):
        seen = snapshot(lake)
        if since is not None:
            _refuse_changes(since, seen, seasons)
        return _publish(
            lake,
            {
                (name, season): pl.concat([_others(seen, name, season, ids), rows])
                for name, frame in checked.items()
                for season, rows in _by_season(frame, seasons).items()
            },
            made_from or {},
        )


def remove_session(lake: Path, session: SessionKey) -> None:
    """Remove all rows of a session; there may be none."""
    write(lake, [session], {name: empty(name) for name in STORED})


def rename_sessions(lake: Path, homes: Mapping[SessionKey, SessionKey]) -> dict[str, str]:
    """Move sessions to where they belong, whatever the permutation, all at once.

    Args:
        lake: folder of the lake.
        homes: session → where it belongs in the same season, also of those that stand right. Of
            two that belong to one place, that which stands there stays, else the later.

    Returns:
        Old → new id of those that moved.

    Raises:
        LakeError: a session without a home stands in the way, or the disk refused; nothing was
            moved.
    """
    _session_ids([*homes, *homes.values()])
    with manifest.lock(lake):
        seen = snapshot(lake)
        standing = set(seen.sessions())
        kept = {homes[old]: old for old in homes if old in standing}
        kept |= {home: home for home in kept if homes.get(home) == home and home in standing}
        moves = {old: home for home, old in kept.items() if old != home}
        gone = {old for old in homes if old in standing} - set(kept.values())
        for stranger in sorted((standing - homes.keys()) & set(moves.values())):
            raise LakeError(
                f"lake {lake}: {stranger.session_id}, which the warehouse does not know, stands "
                "where another session belongs. Ingest it or remove it, then try again"
            )
        rename = {old.session_id: home.session_id for old, home in moves.items()}
        rounds = {home.session_id: home.round for home in moves.values()}
        lost = [key.session_id for key in gone]
        changes = {}
        for season in {key.season for key in [*moves, *gone]}:
            for name in STORED:
                if season in seen.manifest.of(name):
                    rows = collect(seen.scan(name, [season]), lake)
                    rows = rows.filter(~pl.col("session_id").is_in(lost))
                    changes[name, season] = _renamed(rows, rename, rounds)
        _publish(lake, changes, {})
    return rename


def collect(plan: pl.LazyFrame, where: Path) -> pl.DataFrame:
    """Collect a plan over files of the lake.

    Raises:
        LakeError: a file cannot be read; the text says which and what to do.
    """
    try:
        return plan.collect()
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise LakeError(
            f"{where} cannot be read: {error}\nIts files are whole, so the tables have changed "
            "since they were written: remove the lake and ingest again."
        ) from error


def _refuse_changes(since: Snapshot, now: Snapshot, seasons: Collection[int]) -> None:
    """See that nobody has written to these seasons.

    Raises:
        LakeError: somebody has.
    """
    changed = sorted(
        season
        for season in seasons
        if any(since.manifest.of(t).get(season) != now.manifest.of(t).get(season) for t in STORED)
    )
    if changed:
        named = ", ".join(map(str, changed))
        raise LakeError(
            f"lake {now.lake}: another process has written to {named} meanwhile. What it wrote "
            "stays, and nothing else was written; run this again"
        )


def _publish(
    lake: Path, changes: Mapping[tuple[str, int], pl.DataFrame], made_from: Mapping[int, str]
) -> dict[str, int]:
    """Write frames under contract by table and season; a frame without rows gets no file."""
    contents = {
        Place(*place): _content(place[0], frame, made_from.get(place[1]))
        for place, frame in changes.items()
    }
    manifest.publish(lake, contents)
    rows: dict[str, int] = {}
    for (name, _), frame in changes.items():
        rows[name] = rows.get(name, 0) + frame.height
    return rows


def _content(table: str, frame: pl.DataFrame, made_from: str | None) -> Content | None:
    if frame.is_empty():
        return None
    buffer = io.BytesIO()
    frame.sort(STORED[table].primary_key()).write_parquet(buffer, compression="zstd")
    return Content(buffer.getvalue(), frame.height, made_from)


def _by_season(frame: pl.DataFrame, seasons: Iterable[int]) -> dict[int, pl.DataFrame]:
    """Split a table by season; a season without rows has an empty frame."""
    parts = frame.with_columns(_season=_SEASON).partition_by(
        "_season", as_dict=True, include_key=False
    )
    nothing = frame.clear()
    return {season: parts.get((season,), nothing) for season in sorted(seasons)}


def _others(seen: Snapshot, table: str, season: int, ids: Sequence[str]) -> pl.DataFrame:
    """Read the rows of a table's season that are not of these sessions."""
    rows = seen.scan(table, [season]).filter(~pl.col("session_id").is_in(ids))
    return collect(rows, seen.lake)


def _renamed(
    frame: pl.DataFrame, rename: Mapping[str, str], rounds: Mapping[str, int]
) -> pl.DataFrame:
    named = [name for name in ("session_id", "state_session_id") if name in frame.columns]
    renamed = frame.with_columns(pl.col(named).replace(rename))
    if "round" not in frame.columns:
        return renamed
    new = pl.col("session_id").replace_strict(rounds, default=None, return_dtype=pl.Int16)
    return renamed.with_columns(round=pl.coalesce(new, "round"))


def _of_sessions(table: str, frame: pl.DataFrame, ids: Sequence[str]) -> pl.DataFrame:
    """See that a frame is under contract and has rows of these sessions only."""
    named = ids[0] if len(ids) == 1 else f"{len(ids)} sessions"
    checked = check(table, frame, f"session {named}" if len(ids) == 1 else named)
    strangers = checked.filter(~pl.col("session_id").is_in(ids))
    if not strangers.is_empty():
        found = ", ".join(strangers["session_id"].unique().sort().head(3))
        raise ContractError(
            f"{table}: {strangers.height} of {checked.height} rows are not of session "
            f"{named} but of {found}\nNothing was written."
        )
    return checked


def _session_ids(sessions: Iterable[SessionKey]) -> list[str]:
    ids = [key.session_id for key in sessions]
    for session_id in ids:
        if not re.fullmatch(SESSION_ID_PATTERN, session_id):
            raise LakeError(f"no session can be called {session_id!r}; expected like 2025-1")
    return ids


def _known(table: str) -> None:
    if table not in STORED:
        raise LakeError(f"the lake has no table {table!r}; there are {', '.join(STORED)}")
