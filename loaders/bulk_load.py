"""From the lake into PostgreSQL: any number of seasons, one transaction each or one for all.

The lake is copied as it is: what a loaded session has in the warehouse becomes what it has in the
lake, under every grading that the lake knows. A session whose data is the one loaded last is left
alone, so that a second load changes nothing. So is one of which the warehouse has a later
revision than the lake, or one of later data (an ingest was interrupted before it wrote the lake,
or is about to), unless it is forced. Sessions that only the warehouse has stay.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import polars as pl

from engine.tables import SessionKey
from loaders import lake, reconcile
from loaders.administration import profile_store
from loaders.batch import load_sessions
from loaders.connection import run_file, transaction
from loaders.lake_source import (
    SEASONS_SCHEMA,
    LakeLoad,
    known_profiles,
    lake_gradings,
    read_tables,
    rows_beside,
    session_hashes,
    wanted_seasons,
)
from loaders.merging import MANY_ROWS
from loaders.retrying import retried
from loaders.revisions import Delivery, gradings_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from loaders.arrow import Grading
    from loaders.batch import LoadReport
    from loaders.connection import Connection
    from loaders.lake import Snapshot
    from loaders.profiles import Profile
    from loaders.settings import Settings


def load_lake(
    settings: Settings,
    *,
    seasons: Collection[int] | None = None,
    at_once: bool = False,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LakeLoad:
    """Copy sessions of the lake into PostgreSQL.

    After what passes by itself it goes on, on a new connection, with the season that it was at.

    Args:
        settings: where the lake and PostgreSQL are.
        seasons: only these; None for all.
        at_once: all in one transaction, instead of one a season.
        force: compare row by row what is unchanged, load what is older than the stored revision,
            and let sessions that have laps be replaced by ones without.
        progress: told after each transaction how many of how many seasons are done.

    Raises:
        LakeError: the lake has none of the seasons, or a file is damaged.
        ProfileError: a profile that grades name is not in the warehouse, or has other constants.
        ContractError: rows break a contract.
        SessionBusyError: another process is loading one of the sessions.
        WarehouseError: PostgreSQL refused.

        What was committed before stays; of the transaction that failed, nothing does.
    """
    seen = lake.snapshot(settings.lake)
    wanted = wanted_seasons(seen, seasons)
    gradings = lake_gradings(seen)
    left = [wanted] if at_once else [[season] for season in wanted]
    done: list[LoadReport] = []

    def work() -> pl.DataFrame:
        with profile_store(settings) as connection:
            with transaction(connection, "reading the profiles"):
                bodies = run_file(connection, "queries/profile_bodies").rows()
            profiles = known_profiles(gradings, bodies)
            for block, deliveries, tables in _read_ahead(seen, tuple(left), profiles):
                report = load_sessions(
                    connection, deliveries, tables, gradings, force=force, keep_newer=True
                )
                done.extend(report.sessions)
                left.remove(block)
                if progress is not None:
                    progress(wanted.index(block[-1]) + 1, len(wanted))
            if sum(one.changed_rows for one in done) >= MANY_ROWS:
                with transaction(connection, "counting what was loaded"):
                    run_file(connection, "statements/analyze_stored")
            reconcile.after_commit(connection, settings)
            return rows_beside(seen, wanted, _stored_rows(connection, wanted, gradings))

    rows = retried(work)
    older = {one.session_id: one.data_revision for one in done if one.status == "older"}
    return LakeLoad(_seasons(done), rows, older)


def _read_ahead(
    seen: Snapshot, blocks: Sequence[list[int]], profiles: Sequence[Profile]
) -> Iterator[tuple[list[int], list[Delivery], dict[str, pl.DataFrame]]]:
    """Read and hash each block of seasons while the one before it is being loaded."""

    def read(block: list[int]) -> tuple[list[Delivery], dict[str, pl.DataFrame]]:
        tables = read_tables(seen, block, profiles)
        deliveries = [
            Delivery(key, hashes.data_hash, None, hashes.source_hash)
            for key, hashes in session_hashes(tables).items()
        ]
        return deliveries, tables

    if not blocks:
        return
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, blocks[0])
        for number, block in enumerate(blocks, start=1):
            deliveries, tables = coming.result()
            if number < len(blocks):
                coming = reader.submit(read, blocks[number])
            yield block, deliveries, tables


def _seasons(done: Sequence[LoadReport]) -> pl.DataFrame:
    """Count by season what became of its sessions: `SEASONS_SCHEMA`."""
    rows = [
        {
            "season": SessionKey.parse(one.session_id).season,
            "loaded": one.status == "loaded",
            "unchanged": one.status == "unchanged",
            "older": one.status == "older",
            "changed_rows": one.changed_rows,
        }
        for one in done
    ]
    counted = pl.DataFrame(rows).group_by("season").agg(pl.all().sum()).sort("season")
    return counted.select(pl.col(name).cast(dtype) for name, dtype in SEASONS_SCHEMA.items())


def _stored_rows(
    connection: Connection, seasons: Sequence[int], gradings: Sequence[Grading]
) -> pl.DataFrame:
    """Count what PostgreSQL has: `season`, `table_name`, `warehouse_rows`."""
    with transaction(connection, "counting the rows"):
        stored = run_file(
            connection, "queries/season_counts", json.dumps(seasons), gradings_json(gradings)
        )
    return stored.unpivot(index="season", variable_name="table_name", value_name="warehouse_rows")
