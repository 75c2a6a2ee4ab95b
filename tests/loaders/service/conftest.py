"""The API as it is served: a real server on loopback, over sessions made by hand."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
import uvicorn

from engine.tables import SessionKey, empty
from loaders.postgres import connect
from loaders.service.app import create_app
from loaders.service.serving import configuration, listen
from tests.frames import frame
from tests.warehouse import (
    MELBOURNE,
    ask,
    entry_row,
    lap_row,
    load,
    metrics_row,
    session_tables,
    start_over,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import FastAPI

    from loaders.settings import Settings

    Serve = Callable[..., "AbstractContextManager[Served]"]
    from contextlib import AbstractContextManager

UNGRADED = SessionKey(2025, 2)
SPRINT = SessionKey(2025, 2, "sprint")

CALENDAR = """
insert into public.calendar_events
    (season, round, session_kind, event_name, event_key, starts_at, status, status_reason)
values
    (2025, 3, 'race', 'Race to Come', 'e3', '2025-04-06 05:00Z', 'scheduled', null),
    (2025, 4, 'race', 'Race under Way', 'e4', '2025-04-13 15:00Z', 'live', null),
    (2025, 5, 'race', 'Race that Failed', 'e5', '2025-04-20 17:00Z', 'failed', 'no laps yet')
"""


class Served(NamedTuple):
    """A running API.

    Attributes:
        client: asks it.
        app: what answers.
        port: where.
    """

    client: httpx.Client
    app: FastAPI
    port: int


@contextmanager
def serving(settings: Settings, app: FastAPI | None = None) -> Iterator[Served]:
    """Serve an application, the API if none is given, from a thread as long as the block."""
    app = app or create_app(settings)
    with listen("127.0.0.1", 0) as listening:
        port = int(listening.getsockname()[1])
        server = uvicorn.Server(configuration(app, settings, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                yield Served(client, app, port)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def stored(settings: Settings) -> Settings:
    """A warehouse with three sessions and three more in the calendar.

    In Melbourne Norris has 0.5 and Piastri, who is without a code that day, 0.75; round 2 has no
    grades; its sprint has Norris alone. Norris' third lap took 84 s, all others 90 s.
    """
    here = {"session_id": MELBOURNE.session_id}
    norris, piastri = ({**here, "driver_id": name} for name in ("norris", "piastri"))
    laps = [lap_row(norris, 1), lap_row(norris, 2), {**lap_row(norris, 3), "lap_time_ms": 84_000}]
    tables = session_tables(
        entries=frame("entries", [entry_row(norris), entry_row(piastri, driver_code=None)]),
        laps=frame("laps", [*laps, *(lap_row(piastri, lap) for lap in (1, 2, 3))]),
        driver_metrics=frame(
            "driver_metrics", [metrics_row(norris), metrics_row(piastri, total_grade=0.75)]
        ),
    )
    with connect(settings) as connection:
        start_over(connection)
        ask(connection, "update config.calibration_profiles set is_active = true")
        load(connection, tables)
        ungraded = session_tables(UNGRADED, driver_metrics=empty("driver_metrics"))
        load(connection, ungraded, UNGRADED)
        load(connection, session_tables(SPRINT, ["norris"]), SPRINT)
        ask(connection, CALENDAR)
    return settings.model_copy(update={"api_rate_per_minute": 0})


@pytest.fixture(scope="module")
def served(stored: Settings) -> Iterator[Served]:
    """The API over that warehouse; any number of requests."""
    with serving(stored) as found:
        yield found


@pytest.fixture(scope="module")
def client(served: Served) -> httpx.Client:
    """Who asks it."""
    return served.client
