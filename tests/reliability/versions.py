"""Versions of two sessions, loaded together, and the only right dumps of what is stored of them."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import SessionKey
from engine.v1.calibration import MODEL_VERSION
from loaders.arrow import Grading
from loaders.batch import load_sessions
from loaders.revisions import Delivery
from tests.profiles import BASELINE_PROFILE
from tests.reliability.crashing import CHILD
from tests.warehouse import MELBOURNE, ask, dump, session_tables, start_over, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loaders.batch import BatchReport
    from loaders.connection import Connection

SESSIONS: Final = (MELBOURNE, SessionKey(2025, 2))
GRADING: Final = Grading(BASELINE_PROFILE.name, BASELINE_PROFILE.version, MODEL_VERSION)
VERSIONS: Final = (1, 2, 3, 4)
"""Each has another number of laps, other lap times, other names, and every second a driver more."""

LEFT_OVER: Final = """
select
    (select count(*) from pg_class where relname like 'stage\\_%')
    + (select count(*) from pg_locks where locktype = 'advisory')
    + (select count(*) from pg_stat_activity where state like 'idle in transaction%') as left_over
"""


def version_tables(version: int) -> dict[str, pl.DataFrame]:
    """Write both sessions as one version has them; each says the version in every table."""
    drivers = [f"driver_{number}" for number in range(3 + version % 2)]
    tables = together(
        *(session_tables(session, drivers, lap_count=6 + 2 * version) for session in SESSIONS)
    )
    renamed = pl.format("{} {}", "driver_id", pl.lit(version))
    slower = pl.col("lap_time_ms") + pl.lit(version, pl.Int32)
    graded = pl.lit(0.5 + version / 100)
    return {
        **tables,
        "entries": tables["entries"].with_columns(driver_name=renamed),
        "laps": tables["laps"].with_columns(lap_time_ms=slower),
        "driver_metrics": tables["driver_metrics"].with_columns(total_grade=graded),
    }


def load_version(
    connection: Connection,
    version: int,
    tables: dict[str, pl.DataFrame] | None = None,
    sessions: Sequence[SessionKey] = SESSIONS,
) -> BatchReport:
    """Load a version of sessions, both by default, in one transaction."""
    deliveries = [Delivery(session, f"version {version}") for session in sessions]
    rows = tables or version_tables(version)
    ids = [session.session_id for session in sessions]
    if len(ids) < len(SESSIONS):
        rows = {name: part.filter(pl.col("session_id").is_in(ids)) for name, part in rows.items()}
    return load_sessions(connection, deliveries, rows, [GRADING])


def dump_hash(connection: Connection) -> str:
    """Hash what is stored, row for row.

    Left out are times, numbers that depend on earlier tries, and the name of the program.
    """
    tables = dump(connection)
    kept = {
        name: rows
        for name, rows in tables.items()
        if name.startswith(("core.", "public.")) or name == "ops.loads"
    }
    kept["ops.loads"] = re.sub('"application_name": "[^"]*"', "", kept["ops.loads"])
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def undisturbed(connection: Connection) -> list[str]:
    """Load all versions in their order: the hash before, and after each; the last one stays."""
    start_over(connection)
    hashes = [dump_hash(connection)]
    for version in VERSIONS:
        load_version(connection, version)
        hashes.append(dump_hash(connection))
    assert len(set(hashes)) == len(hashes), "versions that nobody could tell apart"
    return hashes


def left_over(connection: Connection) -> int:
    """Count temporary tables, locks and open transactions, once no child is connected any more."""
    until = time.monotonic() + 10
    while ask(
        connection,
        "select count(*) from pg_stat_activity where application_name = $1",
        CHILD,
    ).item():
        assert time.monotonic() < until, "the server still has a connection of a dead process"
        time.sleep(0.005)
    return int(ask(connection, LEFT_OVER).item())
