"""How fast the API answers on loopback, against a bare FastAPI "hello" in the same run.

    python -m benchmarks.service [REQUESTS]

Each server is a process of its own with a PostgreSQL and a Redis of their own; the race has 20
drivers of 60 laps. What is asked: the kept answer, the kept answer that the caller has already
(304), the answer read from Redis, and the answer read from PostgreSQL; the last two by servers
that keep nothing. REQUESTS (2,000 if not given) over `CONNECTIONS` connections, in turns: medians
of `REPEATS`. Who asks is one process, so with two idle cores neither waits for the other.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI

from loaders import postgres, profiles
from loaders.embedded import embedded_postgres
from loaders.service import memo
from loaders.service.app import create_app
from loaders.service.serving import configuration, listen
from loaders.settings import Settings
from tests.profiles import BASELINE_PROFILE
from tests.reliability.redis_faults import redis_server
from tests.warehouse import MELBOURNE, load, session_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

REPEATS: Final = 3
REQUESTS: Final = 2_000
FEW: Final = 10
"""Where every request costs a query, this part of the requests is asked, over one connection."""

CONNECTIONS: Final = 8
STARTS_WITHIN_S: Final = 20.0

ANALYTICS: Final = "/api/v1/analytics/2025/1"


class Load(NamedTuple):
    """What a round of requests gave."""

    per_s: float
    p99_ms: float
    errors: int
    body_bytes: int


class Asker(asyncio.Protocol):
    """A connection on which the same is asked again and again."""

    def __init__(self, request: bytes, count: int) -> None:
        self._request = request
        self._left = count
        self._head = b""
        self._missing = -1
        self._began = 0.0
        self.took_s: list[float] = []
        self.errors = 0
        self.body_bytes = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        """Count an answer that does not come."""
        if not self.done.done():
            self.errors += 1
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Count bytes until the answer is whole, and ask again."""
        if self._missing < 0:
            self._head += data
            head, separator, rest = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            if head[9:12] not in (b"200", b"304"):
                self.errors += 1
            found = re.search(rb"content-length: (\d+)", head)
            self.body_bytes = int(found[1]) if found else 0
            self._missing = self.body_bytes - len(rest)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self.took_s.append(time.perf_counter() - self._began)
            self._ask()

    def _ask(self) -> None:
        if self._left == 0:
            self.done.set_result(None)
            self._transport.close()
            return
        self._left -= 1
        self._head, self._missing = b"", -1
        self._began = time.perf_counter()
        self._transport.write(self._request)


async def ask(port: int, path: str, requests: int, connections: int, *headers: str) -> Load:
    """Ask the same over some connections at once."""
    lines = [f"GET {path} HTTP/1.1", "host: localhost", *headers, "", ""]
    request = "\r\n".join(lines).encode()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        await loop.create_connection(
            lambda: Asker(request, requests // connections), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    askers = [asker for _, asker in made]
    await asyncio.gather(*(asker.done for asker in askers))
    spent_s = time.perf_counter() - began
    took_s = [each for asker in askers for each in asker.took_s]
    return Load(
        len(took_s) / spent_s,
        statistics.quantiles(took_s, n=100)[98] * 1e3,
        sum(asker.errors for asker in askers),
        askers[0].body_bytes,
    )


def hello() -> FastAPI:
    """Make the least that FastAPI answers."""
    app = FastAPI()

    @app.get("/")
    async def answer() -> dict[str, str]:
        return {"hello": "world"}

    return app


def serve(kind: str, port: int) -> None:
    """Be one of the servers: `hello`, `kept`, or `read`, which keeps no answer in memory."""
    if kind == "read":
        memo.MAX_ANSWERS = 0  # type: ignore[misc]
    settings = Settings(api_rate_per_minute=0)
    app = hello() if kind == "hello" else create_app(settings)
    uvicorn.Server(configuration(app, settings, log_config=None)).run(
        sockets=[listen("127.0.0.1", port)]
    )


@contextmanager
def server(kind: str, home: Path, redis_url: str = "") -> Iterator[int]:
    """Run a server as a process: its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"DRIVEGRADE_HOME": str(home), "REDIS_URL": redis_url}
    environment.pop("DATABASE_URL", None)
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "benchmarks.service", kind, str(port)], env=environment
    )
    try:
        ends = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def etag(port: int) -> str:
    """Ask for the answer once, and give its name."""
    import http.client  # noqa: PLC0415 - for this one request

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", ANALYTICS)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return quote(answer.headers["etag"], safe='"')


def measure(requests: int) -> dict[str, list[Load]]:
    """Ask all servers in turns."""
    found: dict[str, list[Load]] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="drivegrade-")))
        stack.enter_context(embedded_postgres(home / "pg"))
        with postgres.connect(Settings(home=home, database_url=None)) as connection:
            profiles.import_profile(connection, BASELINE_PROFILE)
            profiles.activate(connection, BASELINE_PROFILE.name)
            drivers = [f"driver_{chr(97 + number)}" for number in range(20)]
            load(connection, session_tables(MELBOURNE, drivers, lap_count=60))
        redis_url = stack.enter_context(redis_server()).url
        ports = {
            "hello": stack.enter_context(server("hello", home)),
            "kept": stack.enter_context(server("kept", home, redis_url)),
            "redis": stack.enter_context(server("read", home, redis_url)),
            "postgres": stack.enter_context(server("read", home)),
        }
        has_it = f"if-none-match: {etag(ports['kept'])}"
        many, few = (requests, CONNECTIONS), (requests // FEW, 1)
        turns = (
            ("hello", ports["hello"], "/", many, ()),
            ("cached", ports["kept"], ANALYTICS, many, ()),
            ("cached, 304", ports["kept"], ANALYTICS, many, (has_it,)),
            ("from Redis", ports["redis"], ANALYTICS, few, ()),
            ("from PostgreSQL", ports["postgres"], ANALYTICS, few, ()),
        )
        for number in range(REPEATS + 1):
            for name, port, path, asked, headers in turns:
                took = asyncio.run(ask(port, path, *asked, *headers))
                if number:
                    found.setdefault(name, []).append(took)
    return found


def main() -> None:
    """Measure, and print a line for each."""
    if len(sys.argv) == 3:
        serve(sys.argv[1], int(sys.argv[2]))
        return
    found = measure(int(sys.argv[1]) if len(sys.argv) == 2 else REQUESTS)
    print("answer            bytes   requests/s   × hello   p99 ms   errors")
    for name, rounds in found.items():
        pairs = zip(rounds, found["hello"], strict=True)
        ratio = statistics.median(one.per_s / other.per_s for one, other in pairs)
        per_s = statistics.median(each.per_s for each in rounds)
        p99_ms = statistics.median(each.p99_ms for each in rounds)
        errors = sum(each.errors for each in rounds)
        print(
            f"{name:<16}{rounds[0].body_bytes:>7}{per_s:>13.0f}{ratio:>10.2f}{p99_ms:>9.1f}"
            f"{errors:>9}"
        )


if __name__ == "__main__":
    main()
