"""The load of sessions: whole, in one transaction, or not at all.

    lock → which events are they? → same data as last time? → stage (ADBC)
         → merge (one SQL file per table) → record the loads → read back and compare → commit

A normal return means that what was staged was read back and committed. An error means that the
load is not confirmed: the old rows of all its sessions stay, and loading again is always safe,
because loading what is already there changes nothing.

The comparison before the commit is not a courtesy: after a failed statement PostgreSQL answers
`commit` with a rollback, and the driver returns normally. A query fails in that state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import polars as pl

from engine.errors import ContractError, ProfileError
from loaders import fault_points as points
from loaders import outbox
from loaders.arrow import checked_tables
from loaders.connection import run_file, transaction
from loaders.events import lock_events, place_session, session_facts, settle
from loaders.merging import (
    AFTER_RACES,
    BEFORE_RACES,
    BULK_ROWS,
    RACES,
    Changes,
    Tally,
    merge,
    merge_names,
    row_counts,
    stage,
    verify,
)
from loaders.revisions import last_loads, record_loads, record_quality
from loaders.session_locks import lock_sessions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from engine.tables import SessionKey
    from loaders.arrow import Grading
    from loaders.connection import Connection
    from loaders.revisions import Delivery, LastLoad

BULK_LIMITS: Final = ("15min", "1h")
"""What a statement and the transaction of a load of `BULK_ROWS` laps or more may take."""

_PASSED_AFTER: Final = {
    "lap_times": points.LAPS,
    "filled_columns": points.RESULTS,
    "pit_cycles": points.GRADED,
    "calendar_events": points.STATUS,
}
"""Last merge before a point → the point."""


@dataclass(frozen=True)
class LoadReport:
    """What the load of a session did.

    Attributes:
        session_id: the session's slug.
        status: `unchanged` if the session's last load had the same hash and gradings; no row of
            the session was written then. `loaded` otherwise, even if every row was equal.
            `older` if it was left as it is, because a later revision is stored.
        changes: table → rows changed; empty unless loaded.
        data_revision: number of the revision that the load made; None if no row of the session
            changed; of an `older` one the stored revision.
        renamed: old → new id of the event's sessions that were stored under another round. The
            lake's files do not follow by themselves: `loaders.lake.rename_sessions`.
    """

    session_id: str
    status: Literal["loaded", "unchanged", "older"]
    changes: Mapping[str, Changes] = field(default_factory=lambda: MappingProxyType({}))
    data_revision: int | None = None
    renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def changed_rows(self) -> int:
        """Rows inserted, updated and deleted, over all tables."""
        return sum(sum(changes) for changes in self.changes.values())


@dataclass(frozen=True)
class BatchReport:
    """What the load of sessions did.

    Attributes:
        sessions: one report each, by season and round, a sprint before its race.
        shared: changes of the tables whose rows are of no one session.
    """

    sessions: tuple[LoadReport, ...]
    shared: Mapping[str, Changes]


def load_sessions(
    connection: Connection,
    deliveries: Iterable[Delivery],
    tables: Mapping[str, pl.DataFrame],
    gradings: Collection[Grading],
    *,
    force: bool = False,
    keep_newer: bool = False,
) -> BatchReport:
    """Make the warehouse hold exactly these rows of the sessions, all of them or none.

    A session is found by its event: what is stored of it under another round follows to this
    one. Grades under the gradings become those delivered, also where a session has none; grades
    under others stay, unless they were computed from inputs that this load replaces.

    Args:
        connection: from `connect`, without an open transaction.
        deliveries: the sessions, at least one.
        tables: one frame per name of `loaders.arrow.STAGED`, rows of all sessions; others are
            left out.
        gradings: what the rows of `driver_metrics` were computed with; the profiles must be
            imported.
        force: compare row by row even if the hash is the same, and let sessions that have laps
            be replaced by ones without.
        keep_newer: leave a session as it is whose data was loaded before its last revision.

    Raises:
        ContractError: the frames break a contract; nothing was sent. Or laps are stored of a
            session and none were delivered.
        ProfileError: a profile was not imported.
        SessionBusyError: another process is loading one of the sessions.
        WarehouseError: another event stands at a session's round, the server refused or was
            lost, or what was read back differs. The stored rows are those of before.
    """
    batch = sorted(deliveries, key=lambda item: _in_order(item.session))
    frames = checked_tables([item.session for item in batch], tables, gradings)
    for item in batch:
        _ = item.quality and item.quality.refetch_text  # refuses a time without its zone
    rows = {row["session_id"]: row for row in frames["sessions"].to_dicts()}
    counts = row_counts(frames, rows)
    points.PREPARED()
    with transaction(connection, f"loading {_named(batch)}"):
        lock_sessions(connection, [item.session for item in batch])
        points.LOCKED()
        _require_profiles(connection, gradings)
        lock_events(connection, [session_facts(row) for row in rows.values()])
        known = _Known(last_loads(connection, batch), settle(connection, rows.values()))
        reports = {
            item.session_id: known.unless_due(item, gradings, force=force, keep_newer=keep_newer)
            for item in batch
        }
        repeated = [item for item in batch if _is(reports[item.session_id], "unchanged")]
        record_quality(connection, repeated, gradings, known.last, counts)
        due = [item for item in batch if reports[item.session_id] is None]
        shared: Mapping[str, Changes] = {}
        if due:
            wanted = {item.session_id: counts[item.session_id] for item in due}
            staged = frames if len(due) == len(batch) else _only(frames, wanted)
            done, shared = _load(
                connection, due, staged, gradings, known, counts=wanted, force=force
            )
            reports |= done
    points.COMMITTED()
    ordered = (reports[item.session_id] for item in batch)
    return BatchReport(tuple(one for one in ordered if one), MappingProxyType(dict(shared)))


class _Known(NamedTuple):
    """What is known of the sessions of a batch, by session.

    Attributes:
        last: what their last loads stored.
        event_keys: the events of those that stand where they stood, or of which nothing is known.
    """

    last: Mapping[str, LastLoad]
    event_keys: Mapping[str, str]

    def unless_due(
        self,
        delivery: Delivery,
        gradings: Collection[Grading],
        *,
        force: bool,
        keep_newer: bool,
    ) -> LoadReport | None:
        """Report on a session that is not to be loaded; None if it is."""
        session_id = delivery.session_id
        before = self.last.get(session_id)
        if force or before is None:
            return None
        if session_id in self.event_keys and before.stored(delivery, gradings):
            return LoadReport(session_id, "unchanged")
        if keep_newer and before.newer_revision is not None:
            return LoadReport(session_id, "older", data_revision=before.newer_revision)
        return None


def _load(
    connection: Connection,
    due: Sequence[Delivery],
    frames: Mapping[str, pl.DataFrame],
    gradings: Collection[Grading],
    known: _Known,
    *,
    counts: Mapping[str, Mapping[str, int]],
    force: bool,
) -> tuple[dict[str, LoadReport], dict[str, Changes]]:
    """Stage, merge, record and verify; what was done by session, and to shared tables."""
    tally = Tally()
    if frames["laps"].height >= BULK_ROWS:
        run_file(connection, "statements/allow_bulk_time", *BULK_LIMITS)
    stage(connection, frames, due, gradings, known.event_keys)
    points.STAGED()
    merge(connection, tally, BEFORE_RACES)
    merge(connection, tally, [RACES], None)
    doubtful = [item for item in due if item.session_id not in known.event_keys]
    renamed = _place(connection, tally, doubtful, frames["sessions"])
    last = {**known.last, **dict.fromkeys(item.session_id for item in doubtful)}
    last |= last_loads(connection, doubtful) if doubtful else {}
    before = {session_id: load for session_id, load in last.items() if load is not None}
    if not force:
        _refuse_emptying(before, counts)
    points.PLACED()
    _merge_rest(connection, tally)
    changed = {session_id: tally.rows(session_id) for session_id in counts}
    revisions = record_loads(
        connection, due, gradings, before, row_counts=counts, changed_rows=changed
    )
    points.RECORDED()
    outbox.record_loads(connection, counts)
    verify(connection, frames, gradings, counts)
    points.VERIFIED()
    return {
        session_id: LoadReport(
            session_id,
            "loaded",
            MappingProxyType(tally.of(session_id)),
            revisions[session_id],
            renamed.get(session_id, MappingProxyType({})),
        )
        for session_id in counts
    }, tally.of(None)


def _merge_rest(connection: Connection, tally: Tally) -> None:
    """Merge what depends on the sessions, table by table, and drop what was staged."""
    for file, table in AFTER_RACES:
        merge(connection, tally, [(file, table)])
        if point := _PASSED_AFTER.get(file):
            point()
    merge_names(connection, tally)
    run_file(connection, "statements/drop_staging")


def _place(
    connection: Connection, tally: Tally, deliveries: Iterable[Delivery], sessions: pl.DataFrame
) -> dict[str, Mapping[str, str]]:
    """Find the events of sessions one by one, since each may be of an event of one before it.

    Returns:
        Session → old and new ids of its event's sessions that were renumbered.
    """
    rows = {row["session_id"]: row for row in sessions.to_dicts()}
    renamed = {}
    for item in deliveries:
        session_id = item.session_id
        row = rows[session_id]
        place = place_session(connection, session_facts(row), row["data_source"])
        run_file(connection, "statements/set_place", session_id, place.event_key)
        merge(connection, tally, [RACES], session_id)
        tally.add(session_id, RACES[1], Changes(updated=len(place.renamed)))
        renamed[session_id] = place.renamed
    return renamed


def _refuse_emptying(last: Mapping[str, LastLoad], counts: Mapping[str, Mapping[str, int]]) -> None:
    """Refuse what cannot be a correction of what is stored.

    Raises:
        ContractError: laps are stored and none were delivered.
    """
    emptied = [
        session_id
        for session_id, of_session in counts.items()
        if not of_session["laps"] and session_id in last and last[session_id].has_laps
    ]
    if emptied:
        raise ContractError(
            f"laps: none of {', '.join(emptied)}, although some are stored. Nothing was loaded; "
            "if there are none indeed, force the load"
        )


def _in_order(session: SessionKey) -> tuple[int, int, bool]:
    return session.season, session.round, session.session_kind == "race"


def _named(batch: Sequence[Delivery]) -> str:
    """Name one session, or the first and the last, and say how many there are."""
    first, last = batch[0].session.session_id, batch[-1].session.session_id
    return first if len(batch) == 1 else f"{len(batch)} sessions, {first} to {last}"


def _require_profiles(connection: Connection, gradings: Iterable[Grading]) -> None:
    """Refuse grades of a profile that the warehouse cannot explain.

    Raises:
        ProfileError: it was not imported.
    """
    stored = set(run_file(connection, "queries/profiles").rows())
    known = {row[:2] for row in stored}
    for name, version, _ in sorted(gradings):
        if (name, version) not in known:
            raise ProfileError(
                f"profile {name} version {version} is not in the warehouse. Nothing was loaded; "
                "import it first, with: drivegrade profile import FILE"
            )


def _is(report: LoadReport | None, status: str) -> bool:
    return report is not None and report.status == status


def _only(
    frames: Mapping[str, pl.DataFrame], session_ids: Iterable[str]
) -> dict[str, pl.DataFrame]:
    """Leave out the rows of other sessions."""
    ids = list(session_ids)
    return {name: rows.filter(pl.col("session_id").is_in(ids)) for name, rows in frames.items()}
