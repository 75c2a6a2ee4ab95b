"""Revisions: what a session's data said, load by load, for ever.

Results change months later. Every load that changes something is the next revision of its
session, numbered from 1, and leaves a summary of what it published: classification, grade and
components of each driver, the profile and the model. Summaries are never changed, so that a
grade that was shown once can be explained later. A load that finds everything equal is no
revision.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from engine.errors import ContractError
from loaders.connection import run_file, transaction
from loaders.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from engine.tables import SessionKey
    from loaders.arrow import Grading
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
    def refused_json(self) -> str:
        """The refusals as `ops.loads.refused_providers` holds them."""
        rows = [{"provider": name, "reason": reason} for name, reason in self.refused]
        return json.dumps(rows, ensure_ascii=False)

    @property
    def reasons_json(self) -> str | None:
        """What is missing as `ops.loads.completeness_reasons` holds it; None if nothing is."""
        return json.dumps(list(self.incomplete), ensure_ascii=False) if self.incomplete else None

    @property
    def refetch_text(self) -> str | None:
        """The time of the next fetch as PostgreSQL reads it.

        Raises:
            ContractError: it has no time zone, so nobody knows when that is.
        """
        if self.refetch_at is not None and self.refetch_at.tzinfo is None:
            raise ContractError(f"refetch_at: {self.refetch_at} has no time zone")
        return None if self.refetch_at is None else self.refetch_at.isoformat()


class Load(NamedTuple):
    """A load as `ops.loads` records it.

    Attributes:
        session: the session, under its round.
        event_key: the event it is of.
        data_hash: names the data.
        grading: what the load's grades were computed with.
        row_counts: table → rows the session has in it after the load.
        quality: what is known of it besides.
    """

    session: SessionKey
    event_key: str
    data_hash: str
    grading: Grading
    row_counts: Mapping[str, int]
    quality: Quality

    def repeats(self, last: Mapping[str, Any]) -> bool:
        """Tell whether the last load (a row of `last_load`) stored the same data and grades."""
        same = {"data_hash": self.data_hash, **self.grading._asdict()}
        return all(last.get(name) == value for name, value in same.items())


def record_load(connection: Connection, load: Load, changed_rows: int) -> int | None:
    """Add a load to `ops.loads`, and a summary if it changed something.

    Args:
        connection: in the load's transaction, after its rows are merged.
        load: the load.
        changed_rows: rows inserted, updated and deleted.

    Returns:
        The revision that the load made; None if it changed nothing.
    """
    session_id, quality = load.session.session_id, load.quality
    counts = json.dumps(load.row_counts, sort_keys=True)
    recorded = (load.data_hash, *load.grading, counts, changed_rows)
    described = (quality.refused_json, quality.reasons_json)
    stored = run_file(connection, "statements/insert_load", session_id, *recorded, *described)
    revision: int | None = stored.item()
    if revision is not None:
        run_file(connection, "statements/insert_summaries", session_id, revision, *load.grading)
    return revision


def record_quality(connection: Connection, load: Load, last: Mapping[str, Any]) -> None:
    """Note what is new about data that is not: its completeness, and the next fetch.

    Args:
        connection: in the load's transaction.
        load: the load, which repeats the last one.
        last: the last one, a row of `last_load`.
    """
    event = (load.event_key, load.session.session_kind)
    run_file(connection, "statements/set_refetch", *event, load.quality.refetch_text)
    if json.loads(last["completeness_reasons"] or "[]") != list(load.quality.incomplete):
        record_load(connection, load, 0)


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
