"""Revisions: what a session's data said, load by load, for ever.

Results change months later. Every load that changes something is the next revision of its
session, numbered from 1, and leaves a summary of what it published: classification, grade and
components of each driver, the profile and the model. Summaries are never changed, so that a
grade that was shown once can be explained later. A load that finds everything equal is no
revision.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from engine.errors import ContractError
from loaders.arrow import Grading
from loaders.connection import run_file, transaction
from loaders.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from engine.tables import SessionKey
    from loaders.connection import Connection


class Quality(NamedTuple):
    """What is known of a load besides its rows.

    Attributes:
        refused: providers that were tried before, each with the reason why it was refused.
        incomplete: what the session lacks, in words; empty if it is complete.
        refetch_at: when it should be fetched again; None for never.
    """

    refused: Sequence[tuple[str, str]] = ()
    incomplete: Sequence[str] = ()
    refetch_at: datetime | None = None

    @property
    def refused_providers(self) -> list[dict[str, str]]:
        """The refusals as `ops.loads.refused_providers` holds them."""
        return [{"provider": name, "reason": reason} for name, reason in self.refused]

    @property
    def refetch_text(self) -> str | None:
        """The time of the next fetch as PostgreSQL reads it.

        Raises:
            ContractError: it has no time zone, so nobody knows when that is.
        """
        if self.refetch_at is not None and self.refetch_at.tzinfo is None:
            raise ContractError(f"refetch_at: {self.refetch_at} has no time zone")
        return None if self.refetch_at is None else self.refetch_at.isoformat()


class Delivery(NamedTuple):
    """A session that is to be loaded, besides its rows.

    Attributes:
        session: the session, under its round.
        data_hash: names the data.
        quality: what is known of it; None if nothing is said, so that what was noted stays.
        source_hash: names what the provider delivered, without events and grades; None if
            nothing is said.
    """

    session: SessionKey
    data_hash: str
    quality: Quality | None = Quality()
    source_hash: str | None = None

    @property
    def session_id(self) -> str:
        """The session's slug."""
        return self.session.session_id


class LastLoad(NamedTuple):
    """What the last load of a session stored: a row of `last_load`.

    Attributes:
        data_hash: names the data.
        gradings: what it said all grades of.
        reasons: what the session lacked, in words.
        refused: `ops.loads.refused_providers`.
        has_laps: laps are stored.
        newer_revision: the last revision made after the data that is being loaded now was, or
            made of newer data than that which is now delivered with other grades; None if there
            is none.
    """

    data_hash: str | None = None
    gradings: frozenset[Grading] = frozenset()
    reasons: Sequence[str] = ()
    refused: Sequence[Mapping[str, str]] = ()
    has_laps: bool = False
    newer_revision: int | None = None

    def stored(self, delivery: Delivery, gradings: Collection[Grading]) -> bool:
        """Tell whether it stored the same data, and said all grades under these gradings."""
        return self.data_hash == delivery.data_hash and self.gradings >= set(gradings)


def last_loads(connection: Connection, deliveries: Iterable[Delivery]) -> dict[str, LastLoad]:
    """Tell by session what the last load stored; a session that was never loaded has none."""
    incoming = [
        {
            "session_id": item.session_id,
            "data_hash": item.data_hash,
            "source_hash": item.source_hash,
        }
        for item in deliveries
    ]
    rows = run_file(connection, "queries/last_load", json.dumps(incoming)).to_dicts()
    return {
        row["session_id"]: LastLoad(
            row["data_hash"],
            frozenset(Grading(**grading) for grading in json.loads(row["gradings"])),
            json.loads(row["completeness_reasons"] or "[]"),
            json.loads(row["refused_providers"]),
            row["has_laps"],
            row["newer_revision"],
        )
        for row in rows
    }


def record_loads(
    connection: Connection,
    deliveries: Iterable[Delivery],
    gradings: Collection[Grading],
    last: Mapping[str, LastLoad],
    *,
    row_counts: Mapping[str, Mapping[str, int]],
    changed_rows: Mapping[str, int],
) -> dict[str, int | None]:
    """Add loads to `ops.loads`, and summaries of those that changed something.

    Args:
        connection: in the loads' transaction, after the rows are merged.
        deliveries: the loads.
        gradings: what they say all grades of.
        last: the loads before, by session.
        row_counts: session → table → rows the session has in it now.
        changed_rows: session → rows inserted, updated and deleted; none if not named.

    Returns:
        Session → the revision that the load made; None if it changed nothing.
    """
    records = []
    for item in deliveries:
        session_id = item.session_id
        before = last.get(session_id, LastLoad())
        quality = item.quality
        reasons = before.reasons if quality is None else quality.incomplete
        refused = before.refused if quality is None else quality.refused_providers
        records.append(
            {
                "session_id": session_id,
                "data_hash": item.data_hash,
                "source_hash": item.source_hash,
                "row_counts": row_counts[session_id],
                "changed_rows": changed_rows.get(session_id, 0),
                "refused": list(refused),
                "reasons": list(reasons) or None,
            }
        )
    stored = run_file(
        connection, "statements/insert_load", json.dumps(records), gradings_json(gradings)
    )
    made: dict[str, int | None] = dict(stored.rows())
    if new := {session_id: number for session_id, number in made.items() if number is not None}:
        run_file(connection, "statements/insert_summaries", json.dumps(new))
    return made


def record_quality(
    connection: Connection,
    deliveries: Iterable[Delivery],
    gradings: Collection[Grading],
    last: Mapping[str, LastLoad],
    row_counts: Mapping[str, Mapping[str, int]],
) -> None:
    """Note what is new about data that is not: its completeness, and the next fetch.

    Args:
        connection: in the loads' transaction.
        deliveries: loads that repeat the last ones; those of which nothing is said are left out.
        gradings: what they say all grades of.
        last: the last ones, by session.
        row_counts: session → table → rows the session has in it.
    """
    told = {item.session_id: item for item in deliveries if item.quality is not None}
    if not told:
        return
    wanted = {key: item.quality.refetch_text for key, item in told.items() if item.quality}
    run_file(connection, "statements/set_refetch", json.dumps(wanted))
    moved = [
        item
        for key, item in told.items()
        if item.quality and list(last[key].reasons) != list(item.quality.incomplete)
    ]
    if moved:
        record_loads(connection, moved, gradings, last, row_counts=row_counts, changed_rows={})


def gradings_json(gradings: Collection[Grading]) -> str:
    """Write gradings as `ops.loads.gradings` holds them, in order."""
    return json.dumps([grading._asdict() for grading in sorted(gradings)])


def revisions(connection: Connection, session: SessionKey) -> pl.DataFrame:
    """List the revisions of a session, the first one first.

    Args:
        connection: from `loaders.postgres.connect`, without an open transaction.
        session: under the round that it has now.

    Returns:
        One row per revision: `data_revision`, `loaded_at` (UTC), `data_source`, `data_hash`,
        `changed_rows`, profile, model, `completeness`, and `drivers`: how many its summary has,
        null if it was replaced before summaries were kept. No row if it was never loaded.

    Raises:
        WarehouseError: the server refused.
    """
    with transaction(connection, f"reading the revisions of {session.session_id}"):
        return run_file(connection, "queries/revisions", session.session_id)


def diff(
    connection: Connection, session: SessionKey, older: int | None = None, newer: int | None = None
) -> pl.DataFrame:
    """Tell what moved between two revisions of a session.

    Args:
        connection: from `loaders.postgres.connect`, without an open transaction.
        session: under the round that it has now.
        older: revision to start from; None is the one before `newer`.
        newer: revision to arrive at; None is the last one.

    Returns:
        One row per driver and column that differs, by driver: `driver_id`, `what` (the column),
        `before`, `after` (as text). A driver who is in one of them only has nulls on the other
        side. No row if the published values are equal.

    Raises:
        WarehouseError: there is no such revision, or it has no summary.
    """
    chosen = diff_header(connection, session, older, newer)["data_revision"].to_list()
    with transaction(connection, f"comparing revisions of {session.session_id}"):
        return run_file(connection, "queries/revision_diff", session.session_id, *chosen)


def diff_header(
    connection: Connection, session: SessionKey, older: int | None = None, newer: int | None = None
) -> pl.DataFrame:
    """Tell which two revisions `diff` compares, called with the same arguments.

    Returns:
        Two rows in the columns of `revisions`, the older one first.

    Raises:
        WarehouseError: there is no such revision, or it has no summary.
    """
    there = revisions(connection, session)
    known: list[int] = there["data_revision"].to_list()
    if newer is None and known:
        newer = known[-1]
    if older is None and newer is not None:
        older = newer - 1
    chosen = there.filter(pl.col("data_revision").is_in([older or 0, newer or 0]))
    name = session.session_id
    if chosen.height < 2 or older is None or newer is None or older > newer:
        listed = ", ".join(map(str, known)) or "none"
        raise WarehouseError(
            f"{name}: two revisions can be compared, an older and a newer one, not "
            f"{older or 'nothing'} and {newer or 'nothing'}; there are {listed}"
        )
    silent = chosen.filter(pl.col("drivers").is_null())["data_revision"].to_list()
    if silent:
        raise WarehouseError(
            f"{name}: revision {silent[0]} was replaced before summaries were kept; later ones "
            "can be compared"
        )
    return chosen
