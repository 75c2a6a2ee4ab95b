"""All of it at once, as the site runs it: database, Redis, worker, scheduler and API as processes.

A session is over; it is ingested, though its worker is killed in the middle; the API and the
report show its grades, and no older ones. The session is a real race where `DRIVEGRADE_REALDATA`
is set, else a simulated one.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import redis
from pydantic import SecretStr

from engine.tables import SessionKey
from loaders import administration, scheduling
from loaders.calendar import sync_calendar
from loaders.postgres import connect
from tests.loaders.job_processes import PATIENCE_S, environment, is_alive, running, stop, wait_until
from tests.loaders.simulated_season import hold_season, told
from tests.loaders.test_calendar import Event, calendar
from tests.real_races import copy_cache
from tests.reliability.redis_faults import redis_server
from tests.warehouse import start_over

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from loaders.settings import Settings
    from tests.reliability.redis_faults import Server

LEASE_S = 4
"""A worker that is silent for so long is dead."""

MIDDLE = "staged 1"
"""Where the first ingest is when its worker is killed: its locks are held, all rows are on the
server."""

AUSTRALIA = Event("Australian Grand Prix", "albert_park", "2025-03-16", 1254)


class Deployment(NamedTuple):
    """What the processes share, and the session that is over.

    Attributes:
        settings: with the Redis of the answers.
        variables: environment of the processes.
        session: the one that is due.
        logs: folder of the processes' logs.
        marker: the first ingest freezes in the middle, and leaves its process id here.
        port: of the API.
        client: asks the API.
    """

    settings: Settings
    variables: dict[str, str]
    session: SessionKey
    logs: Path
    marker: Path
    port: int
    client: httpx.Client

    def ask(self, path: str) -> httpx.Response:
        """Ask for something about the session."""
        return self.client.get(f"{path}/{self.session.season}/{self.session.round}")

    def analytics(self) -> dict[str, Any]:
        """What the API says about the session."""
        answer = self.ask("/api/v1/analytics")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def report(self) -> httpx.Response:
        """Ask for the session's page; 503 means that it is being made."""
        return self.ask("/report")


@pytest.fixture(scope="module")
def site_redis() -> Iterator[Server]:
    """One server with two databases; a site has two servers."""
    with redis_server() as server:
        yield server


@pytest.fixture
def deployment(settings: Settings, site_redis: Server, tmp_path: Path) -> Iterator[Deployment]:
    """A database in which one session is over, and what its processes need."""
    session, more = SessionKey(2099, 1), {"DRIVEGRADE_PROVIDERS": "simulated"}
    if "DRIVEGRADE_REALDATA" in os.environ:
        session = SessionKey(2025, 1)
        cache = tmp_path / "fastf1"
        cache.mkdir(mode=0o700)
        copy_cache(Path(os.environ["DRIVEGRADE_REALDATA"]), cache, session)
        more = {
            "DRIVEGRADE_PROVIDERS": "fastf1",
            "DRIVEGRADE_OFFLINE": "1",
            "FASTF1_CACHE_DIR": str(cache),
        }
        with connect(settings) as connection:
            start_over(connection)
            sync_calendar(connection, 2025, calendar((1, AUSTRALIA)), settings.lake)
    else:
        hold_season(settings, session)
    marker = tmp_path / "frozen"
    cache_url = f"{site_redis.url}?db=1"
    variables = environment(
        settings,
        site_redis.url,
        tmp_path,
        {f"{session.season}-{session.round}-race": (MIDDLE, "freeze", marker)},
    )
    variables |= {"REDIS_URL": cache_url, "DRIVEGRADE_API_RATE_PER_MINUTE": "0", **more}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cached = settings.model_copy(update={"redis_url": SecretStr(cache_url)})
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
        yield Deployment(cached, variables, session, tmp_path, marker, port, client)


def cached(server: Server) -> set[bytes]:
    """Keys of the answers in the cache."""
    with redis.Redis(unix_socket_path=str(server.socket), db=1) as client:
        return set(client.scan_iter("drivegrade:v1:analytics:*"))


def test_a_session_that_is_over_is_served(deployment: Deployment, site_redis: Server) -> None:
    """Calendar → job → ingest → outbox → cache → API → page, though the worker is killed once."""
    settings, logs = deployment.settings, deployment.logs
    names = ("api", "schedule", "killed", "worker")
    api_log, schedule_log, killed_log, worker_log = (logs / f"{name}.log" for name in names)
    every = ("--lease", str(LEASE_S))

    with ExitStack() as stack:

        def start(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
            return stack.enter_context(running(deployment.variables, log, *arguments))

        api = start(api_log, "serve", "--port", str(deployment.port))
        wait_until(lambda: is_up(deployment.client), "the API", api_log)
        before = deployment.analytics()
        assert (before["status"], before["driver_pace_grades"]) == ("scheduled", [])
        assert deployment.report().status_code == 404

        killed = start(killed_log, "worker", *every)
        scheduler = start(schedule_log, "schedule", "--loop", "--no-sync", "--every", "2", *every)
        wait_until(deployment.marker.exists, "an ingest", schedule_log, killed_log)
        ingest = int(deployment.marker.read_text())
        assert deployment.analytics()["status"] == "scheduled"
        assert calendar_of(deployment) == ("scheduled", None, 1)
        killed.kill()
        wait_until(lambda: not is_alive(ingest), "the end of the ingest, with its worker")

        worker = start(worker_log, "worker", *every)
        wait_until(
            lambda: deployment.analytics()["status"] == "graded", "grades", schedule_log, worker_log
        )
        after = deployment.analytics()
        assert calendar_of(deployment) == ("ingested", None, 2)
        stored = administration.read_grades(settings, *deployment.session)
        graded = stored.drop_nulls("profile_name")
        served = {row["driver_id"]: row["grade"] for row in after["driver_pace_grades"]}
        assert served == dict(graded.select("driver_id", "grade").rows())
        old_keys = cached(site_redis)
        assert len(old_keys) == 1

        wait_until(lambda: deployment.report().status_code == 200, "the page", api_log)
        page, best = deployment.report(), stored.row(0, named=True)
        assert best["driver_name"] in page.text
        assert f"{best['grade']:.1f}" in page.text

        nobody_told = settings.model_copy(update={"redis_url": None})
        administration.activate_profile(nobody_told, "baseline", None)
        wait_until(lambda: deployment.analytics()["status"] == "not_graded", "the other profile")
        assert deployment.analytics()["driver_pace_grades"] == []
        assert old_keys < cached(site_redis)
        assert scheduling.run_once(scheduling.steps_of(settings, None, is_syncing=False)) == []
        assert old_keys.isdisjoint(cached(site_redis))

        assert [stop(process) for process in (scheduler, worker)] == [0, 0]
        assert stop(api) in (0, -signal.SIGTERM)  # uvicorn ends, then by the signal it was sent
    assert "Traceback" not in schedule_log.read_text() + worker_log.read_text()


def is_up(client: httpx.Client) -> bool:
    """Tell whether the API is ready."""
    try:
        return client.get("/readyz").status_code == 200
    except httpx.ConnectError:
        return False


def calendar_of(deployment: Deployment) -> tuple[str, str | None, int]:
    """What the calendar tells of the session: status, reason and attempts."""
    with connect(deployment.settings) as connection:
        (row,) = told(connection, deployment.session.season).values()
    return row
