"""A regrade of the lake, loaded, beside an ingest of corrected data: as if one after the other."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import polars as pl

from loaders import lake, manifest, profiles
from loaders.bulk_load import load_lake
from loaders.errors import SessionBusyError
from loaders.fault_points import watching
from loaders.jobs import store
from loaders.manifest import LakeError
from loaders.postgres import connect
from loaders.providers import simulated
from loaders.regrade import regrade
from tests.profiles import BASELINE_PROFILE, STRICT_PROFILE
from tests.soak import chance, runs
from tests.warehouse import dump, start_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.tables import SessionKey
    from loaders.connection import Connection
    from loaders.providers import SessionTables
    from loaders.settings import Settings
    from tests.soak import Figure

SESSIONS = simulated.sessions()[:2]


def delivered(session: SessionKey, settings: Settings, slower_ms: int = 0) -> SessionTables:
    """Give what the provider delivers of a session; a correction makes one driver's laps slower."""
    tables = simulated.fetch(session, settings)
    is_corrected = pl.col("driver_id") == pl.col("driver_id").min()
    later_ms = is_corrected.cast(pl.Int32) * (pl.col("lap_number").cast(pl.Int32) % 5) * slower_ms
    longer = pl.col("lap_time_ms") + later_ms
    return {**tables, "laps": tables["laps"].with_columns(lap_time_ms=longer)}


def restore(connection: Connection, settings: Settings) -> None:
    """Store both sessions as they were before any correction, here and in the lake."""
    shutil.rmtree(settings.lake, ignore_errors=True)
    start_over(connection)
    profiles.import_profile(connection, STRICT_PROFILE)
    profiles.activate(connection, BASELINE_PROFILE.name)
    for session in SESSIONS:
        store(session, delivered(session, settings), settings)


def stored(connection: Connection) -> dict[str, str]:
    """Tell what is stored, without the ledger: how often something was tried is in there."""
    return {name: rows for name, rows in dump(connection).items() if name[:4] != "ops."}


def ended_as(serial: dict[str, dict[str, str]], found: dict[str, str]) -> str:
    """Name the order that leaves the same; else the tables that are other than in each."""
    other = {
        name: [table for table in wanted if found[table] != wanted[table]]
        for name, wanted in serial.items()
    }
    return next((name for name, tables in other.items() if not tables), f"none: {other}")


def persistently(work: Callable[[], None]) -> int:
    """Do work until nobody is in its way: how often it was refused."""
    for refusals in range(50):
        try:
            work()
        except (SessionBusyError, LakeError):
            continue
        return refusals
    raise AssertionError("refused for ever")


def test_a_regrade_beside_an_ingest_loses_no_correction(settings: Settings, figure: Figure) -> None:
    """C03: what is stored in the end is what one of them after the other would have left.

    An ingest writes the lake after its commit: a load that saw the lake before that has new grades
    of old laps, and leaves the session as it is.
    """

    def ingest() -> None:
        store(SESSIONS[0], delivered(SESSIONS[0], settings, slower_ms=70), settings)

    def grade_all() -> None:
        regrade(settings.lake, [BASELINE_PROFILE, STRICT_PROFILE], force=True)
        load_lake(settings)

    rng = chance("C03")
    seen: Counter[str] = Counter()
    with connect(settings) as connection, ThreadPoolExecutor(2) as pool:
        restore(connection, settings)
        serial: dict[str, dict[str, str]] = {}
        for name, step in {"before": grade_all, "ingest": ingest, "regrade": grade_all}.items():
            step()
            assert ended_as(serial, stored(connection)) not in serial
            serial[f"{name} last"] = stored(connection)
        for _ in range(runs(1, 30)):
            restore(connection, settings)
            both = [ingest, grade_all]
            rng.shuffle(both)
            seen["refused"] += sum(pool.map(persistently, both))
            order = ended_as(serial, stored(connection))
            assert order in serial, order
            seen[order] += 1
            grade_all()
            assert ended_as(serial, stored(connection)) == "regrade last"
    figure("C03", dict(seen))


def test_an_ingest_leaves_the_grades_that_a_regrade_has_just_written(settings: Settings) -> None:
    """What it keeps of the lake is read once nobody else writes there."""
    committed = threading.Event()

    def watch(point: str) -> None:
        if point == "committed":
            committed.set()

    with connect(settings) as connection:
        restore(connection, settings)
    with ThreadPoolExecutor(1) as pool, watching(watch):
        with manifest.lock(settings.lake):
            tables = delivered(SESSIONS[0], settings)
            ingesting = pool.submit(store, SESSIONS[0], tables, settings, force=True)
            assert committed.wait(20)
            time.sleep(0.2)  # it has come to the lake
            regrade(settings.lake, [STRICT_PROFILE], force=True)
        ingesting.result(20)
    grades = lake.read_session(settings.lake, SESSIONS[0])["driver_metrics"]
    by_profile = dict(grades.group_by("profile_name").len().rows())
    assert by_profile[STRICT_PROFILE.name] == by_profile[BASELINE_PROFILE.name] > 0
