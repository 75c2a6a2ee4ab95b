"""The command that serves, what is kept in memory, and a missing extra."""

from __future__ import annotations

import asyncio
import builtins
import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from loaders.__main__ import app
from loaders.extras import MissingExtraError, extra
from loaders.postgres import connect
from loaders.service import database, memo
from loaders.service.allowance import MAX_ADDRESSES, Allowance
from loaders.service.app import create_app
from loaders.service.memo import Flights, Memo, encode
from loaders.service.serving import ServiceError, listen
from loaders.settings import RESOURCES
from tests.loaders.service.conftest import serving as serve
from tests.soak import runs
from tests.typed import Typist
from tests.warehouse import ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loaders.settings import Settings
    from tests.loaders.service.conftest import Served

STARTS_WITHIN_S = 60.0


class Stamps:
    """A database that knows its stamp, and counts what is asked of it."""

    def __init__(self) -> None:
        self.stamp = "first"
        self.asked = 0

    async def run(self, work: Callable[[Any], Any]) -> Any:
        """Answer the stamp, or do the work."""
        await asyncio.sleep(0)
        self.asked += 1
        return self.stamp if work is memo._stamp else work(None)


def kept(stamps: Stamps, clock: Callable[[], float]) -> Memo:
    """Make a memory over such a database."""
    return Memo(stamps, clock=clock)  # type: ignore[arg-type]


def test_an_answer_is_at_most_a_second_old() -> None:
    """Within the second nothing is asked; after it the stamp, and only if it differs the answer."""
    now, stamps, computed = [0.0], Stamps(), [0]

    def compute(_: object) -> memo.Encoded:
        computed[0] += 1
        return encode(stamps.stamp.encode())

    async def story() -> list[tuple[bytes, int, int]]:
        answers = kept(stamps, lambda: now[0])
        seen = []
        for at_s, stamp in ((0.0, "first"), (0.9, "second"), (1.0, "second"), (2.0, "second")):
            now[0], stamps.stamp = at_s, stamp
            answer = await answers.get("question", compute)
            answers.remember("/url?", "question")
            assert answers.at("/url?") == answer
            assert answers.at("/other?") is None
            seen.append((answer.body, stamps.asked, computed[0]))
        now[0] = 3.0
        assert answers.at("/url?") is None
        return seen

    assert asyncio.run(story()) == [
        (b"first", 2, 1), (b"first", 2, 1), (b"second", 4, 2), (b"second", 5, 2)
    ]  # fmt: skip


def test_a_question_asked_by_many_is_answered_once() -> None:
    """At the same moment; and a fault is told to all, and not kept."""
    stamps, computed = Stamps(), [0]

    def compute(_: object) -> memo.Encoded:
        computed[0] += 1
        if computed[0] == 1:
            raise ZeroDivisionError
        return encode(b"{}")

    async def story() -> tuple[list[Any], list[Any]]:
        answers = kept(stamps, lambda: 0.0)

        async def many() -> list[Any]:
            asked = (answers.get("question", compute) for _ in range(20))
            return await asyncio.gather(*asked, return_exceptions=True)

        return await many(), await many()

    first, second = asyncio.run(story())
    assert {type(each) for each in first} == {ZeroDivisionError}
    assert {each.body for each in second} == {b"{}"}
    assert computed == [2]


def test_a_caller_who_goes_away_does_not_end_the_work() -> None:
    """Others wait for it."""

    async def work() -> str:
        await asyncio.sleep(0.02)
        return "done"

    async def story() -> str:
        flights = Flights()
        first = asyncio.create_task(flights.fly("work", work))
        second = asyncio.create_task(flights.fly("work", work))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(story()) == "done"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """In answers, in bytes and in addresses; what was asked for longest ago goes."""
    monkeypatch.setattr(memo, "MAX_ANSWERS", 3)
    monkeypatch.setattr(memo, "MAX_KEPT_BYTES", 100)

    async def story() -> Memo:
        answers = kept(Stamps(), lambda: 0.0)
        for number, size in enumerate((10, 10, 10, 10, 95)):
            await answers.get(number, lambda _, size=size: encode(b"x" * size))  # type: ignore[misc]
            answers.remember(f"/{number}", number)
        return answers

    answers = asyncio.run(story())
    assert list(answers._kept) == [4]
    assert answers._kept_bytes == 95
    assert list(answers._asked) == ["/2", "/3", "/4"]


def test_an_allowance_comes_back_after_a_minute() -> None:
    """Each address has its own; IPv6 addresses of a household share one."""
    now = [0.0]
    allowance = Allowance(2, clock=lambda: now[0])
    assert [allowance.wait_s("192.0.2.1") for _ in range(3)] == [0, 0, 61]
    assert allowance.wait_s("192.0.2.2") == 0
    assert [allowance.wait_s(f"2001:db8::{last}") > 0 for last in (1, 2, 3)] == [False, False, True]
    assert allowance.wait_s("2001:db8:0:1::1") == 0
    now[0] = 60.1
    assert allowance.wait_s("192.0.2.1") == 0
    assert Allowance(0).wait_s("192.0.2.1") == 0


def test_an_allowance_remembers_so_many_addresses() -> None:
    """Whoever has more addresses is not stopped by a limit of one, and fills no memory."""
    allowance = Allowance(1, clock=lambda: 0.0)
    for number in range(MAX_ADDRESSES + 10):
        allowance.wait_s(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(allowance._buckets) == MAX_ADDRESSES
    assert allowance.wait_s("10.0.0.0") == 0
    assert allowance.wait_s(f"10.0.{(MAX_ADDRESSES + 9) // 256}.{(MAX_ADDRESSES + 9) % 256}") > 0


def test_an_address_that_is_taken_is_said_so() -> None:
    """What is wrong, where, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match="another program listens there") as refused:
            listen("127.0.0.1", port)
        assert f"127.0.0.1:{port}" in str(refused.value)
    with pytest.raises(ServiceError, match="Check --host"):
        listen("192.0.2.1", 0)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a trace: which library, and how to install it."""
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return original(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "loaders.service.serving")
    monkeypatch.delattr("loaders.service.serving")
    monkeypatch.setattr(builtins, "__import__", without)
    result = Typist().invoke(app, ["serve"])
    assert isinstance(result.exception, MissingExtraError)
    assert "needs uvicorn" in str(result.exception)
    assert "pip install 'drive-grade[service]'" in str(result.exception)


def test_a_missing_module_of_ours_is_a_fault() -> None:
    """No extra brings it."""
    with pytest.raises(ModuleNotFoundError, match=r"loaders\.nothing"), extra("service"):
        __import__("loaders.nothing")


def test_without_the_report_extra_the_api_is_served(
    stored: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its pages are left out, and the log says why."""
    monkeypatch.setitem(sys.modules, "loaders.service.pages", None)
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "loaders.service" and args[2] and "pages" in args[2]:
            raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.WARNING, "drivegrade.api"):
        made = create_app(stored)
    assert "drive-grade[report]" in caplog.text
    assert "/api/v1/races" in made.openapi()["paths"]


def test_the_command_serves_until_it_is_told_to_end(stored: Settings, tmp_path: Path) -> None:
    """As a process, two workers in a soak: it answers, and SIGTERM ends all of it in its time."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "loaders", "serve", "--port", str(port), "--workers"]
    command.append(str(runs(1, 2)))
    environment = os.environ | {"DRIVEGRADE_HOME": str(stored.home), "PYTHONWARNINGS": "error"}
    environment.pop("DATABASE_URL", None)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            answer = _first_answer(port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)
    text = (tmp_path / "log").read_text()
    assert answer == 200, text
    assert process.returncode in (0, -signal.SIGTERM), text
    assert "GET /api/v1/races 200 " in text
    assert "Traceback" not in text


def _first_answer(port: int) -> int:
    """Ask until there is an answer: its status; 0 if none came in time."""
    ends = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < ends:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STARTS_WITHIN_S)
        try:
            connection.request("GET", "/api/v1/races")
            return connection.getresponse().status
        except (ConnectionError, http.client.HTTPException):
            time.sleep(0.2)
        finally:
            connection.close()
    return 0


def test_a_restarted_server_costs_no_request(served: Served, stored: Settings) -> None:
    """Connections that the server has hung up on are replaced, all of the pool if need be."""
    ended = (
        "select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'drivegrade-api' offset 0) as ended"
    )
    together = threading.Barrier(4)
    used = served.app.state.service.database
    with ThreadPoolExecutor(4) as threads:
        for work in [threads.submit(used._run, lambda _: together.wait(10)) for _ in range(4)]:
            work.result()
    with connect(stored) as owner:
        assert ask(owner, ended).item() == 4
    assert served.client.get("/api/v1/standings/2025?of=teams").status_code == 200


def test_readiness_names_what_is_missing(stored: Settings) -> None:
    """A pending migration is a reason not to be ready; an old outbox is told, no more."""
    silent = stored.model_copy(update={"redis_url": SecretStr("unix:///nowhere")})
    with connect(stored) as owner, serve(silent) as served:
        ask(owner, "update ops.outbox set created_at = now() - interval '1 hour'")
        delayed = served.client.get("/readyz")
        ask(owner, "update public._pogo_migration set migration_id = 'x' where migration_id ~ '12'")
        lacking = served.client.get("/readyz")
        ask(
            owner,
            "update public._pogo_migration set migration_id = '0012_outbox' "
            "where migration_id = 'x'",
        )
    assert (delayed.status_code, delayed.json()["reasons"]) == (200, ["outbox_delayed"])
    assert (lacking.status_code, lacking.json()["reasons"]) == (503, ["migrations_pending"])


def test_the_limits_of_connections_are_those_of_the_role() -> None:
    """One place is not changed without the other."""
    granted = (RESOURCES / "sql" / "roles" / "api.sql").read_text(encoding="utf-8")
    for name, value in database.LIMITS.items():
        assert f"set {name} = {value}" in granted.replace("'", ""), name
