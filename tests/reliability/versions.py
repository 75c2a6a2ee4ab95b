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
from tests.reliability.crashing import CHILD, write_order
from tests.warehouse import MELBOURNE, ask, dump, session_tables, start_over, together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from loaders.batch import BatchReport
    from loaders.connection import Connection

    Tables = dict[str, pl.DataFrame]

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


def version_tables(
    version: int,
    sessions: Sequence[SessionKey] = SESSIONS,
    lap_count: int = 6,
    driver_count: int = 3,
) -> Tables:
    """Write sessions as one version has them; each says the version in every table.

    Args:
        version: which one; it has two laps a driver more than the one before.
        sessions: both by default.
        lap_count: laps of each driver, besides those.
        driver_count: drivers; every second version has one more.
    """
    drivers = [f"driver_{number}" for number in range(driver_count + version % 2)]
    laps = lap_count + 2 * version
    tables = together(*(session_tables(session, drivers, laps) for session in sessions))
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
    tables: Tables | None = None,
    sessions: Sequence[SessionKey] = SESSIONS,
) -> BatchReport:
    """Load a version of sessions, both by default, in one transaction."""
    rows = tables or version_tables(version, sessions)
    return load_sessions(connection, deliveries(version, sessions), rows, [GRADING])


def deliveries(version: int, sessions: Sequence[SessionKey]) -> list[Delivery]:
    """Say what is loaded."""
    return [Delivery(session, f"version {version}") for session in sessions]


class Story:
    """Sessions that are known in versions, ready to be loaded here or by a child."""

    def __init__(
        self, folder: Path, sessions: Sequence[SessionKey], tables: Mapping[int, Tables]
    ) -> None:
        """Write what children are to load."""
        folder.mkdir(exist_ok=True)
        self.sessions = sessions
        self.versions = tuple(tables)
        self._tables = tables
        self._folder = folder
        for version, rows in tables.items():
            write_order(self.order(version), deliveries(version, sessions), rows, GRADING)

    def order(self, version: int) -> Path:
        """Tell where it is written what a child loads."""
        return self._folder / f"version-{version}"

    def load(self, connection: Connection, version: int) -> None:
        """Load a version here."""
        load_version(connection, version, self._tables[version], self.sessions)

    def undisturbed(self, connection: Connection) -> list[str]:
        """Load all versions in their order: the hash before, and after each; the last one stays."""
        start_over(connection)
        hashes = [dump_hash(connection)]
        for version in self.versions:
            self.load(connection, version)
            hashes.append(dump_hash(connection))
        assert len(set(hashes)) == len(hashes), "versions that nobody could tell apart"
        return hashes


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


def undisturbed(connection: Connection, versions: Sequence[int] = VERSIONS) -> list[str]:
    """Load versions in their order: the hash before, and after each; the last one stays."""
    start_over(connection)
    hashes = [dump_hash(connection)]
    for version in versions:
        load_version(connection, version)
        hashes.append(dump_hash(connection))
    return hashes


def left_over(connection: Connection) -> int:
    """Count temporary tables, locks and open transactions, once no child is connected any more."""
    wait_until_gone(connection)
    return int(ask(connection, LEFT_OVER).item())


def wait_until_gone(connection: Connection) -> None:
    """Wait until the server has noticed that children are dead; until then their locks hold."""
    until = time.monotonic() + 30
    while ask(
        connection,
        "select count(*) from pg_stat_activity where application_name = $1",
        CHILD,
    ).item():
        assert time.monotonic() < until, "the server still has a connection of a dead process"
        time.sleep(0.005)
