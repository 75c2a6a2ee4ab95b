"""A load of the lake outlives the loss of its connection, and goes on where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import pytest

from engine.tables import SessionKey
from loaders import fault_points, lake, retrying
from loaders.bulk_load import load_lake
from loaders.errors import WarehouseError
from loaders.postgres import connect
from tests.soak import IS_SOAK
from tests.warehouse import ask, dump, session_tables, start_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loaders.connection import Connection
    from loaders.settings import Settings
    from tests.soak import Figure

SESSIONS: Final = (SessionKey(2023, 1), SessionKey(2024, 1), SessionKey(2025, 1))

POINTS: Final = ("locked", "staged", "verified", "committed") if IS_SOAK else ("committed",)

TERMINATE: Final = (
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
    "where pid <> pg_backend_pid() and application_name = 'drivegrade'"
)


@pytest.fixture
def connection(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """An empty warehouse beside a lake of three seasons, on a connection that nothing ends."""
    for wait in ("FIRST_WAIT_S", "JITTER_S"):
        monkeypatch.setattr(retrying, wait, 0.0)
    if not settings.lake.exists():
        for session in SESSIONS:
            lake.write_session(settings.lake, session, session_tables(session))
    with connect(settings, "looker-on") as connection:
        start_over(connection)
        yield connection


@pytest.mark.parametrize(
    ("point", "at_once"), [*((point, False) for point in POINTS), ("verified", True)]
)
def test_a_load_of_the_lake_outlives_a_lost_connection(
    settings: Settings, connection: Connection, point: str, *, at_once: bool, figure: Figure
) -> None:
    """A06: the server process is ended once, in the second season; the rest is as undisturbed."""
    undisturbed = load_lake(settings, at_once=at_once)
    wanted = dump(connection)
    start_over(connection)
    passed = []

    def watch(name: str) -> None:
        if name == point:
            passed.append(name)
            if len(passed) == (1 if at_once else 2):
                ask(connection, TERMINATE)

    with fault_points.watching(watch):
        done = load_lake(settings, at_once=at_once)
    blocks = 1 if at_once else len(SESSIONS)
    assert len(passed) == blocks + (point != "committed")
    assert done.seasons.equals(undisturbed.seasons)
    assert done.rows.equals(undisturbed.rows)
    assert dump(connection) == wanted
    figure("A06", f"load of the lake, ended at {point}: went on by itself")


def test_it_does_not_try_for_ever(settings: Settings, connection: Connection) -> None:
    """A06: after three tries the error is raised, and the seasons before it stay."""
    tries = []

    def watch(name: str) -> None:
        if name == "staged":
            tries.append(name)
            if len(tries) > 1:
                ask(connection, TERMINATE)

    with fault_points.watching(watch), pytest.raises(WarehouseError) as refusal:
        load_lake(settings)
    assert refusal.value.is_transient
    assert len(tries) == 1 + retrying.MAX_TRIES
    stored = ask(connection, "select slug from core.races")
    assert stored.equals(pl.DataFrame({"slug": ["2023-1"]}))
