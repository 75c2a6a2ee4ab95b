"""A server on this machine that answers as OpenF1 and Jolpica do, from recorded data.

    python -m tests.replay        prints what to set, and serves until it is interrupted

A test can make the next replies of a path faulty (`Replay.fail`). What was asked and what was
missing is kept; a miss answers 404 and names the command that would record it. A document under
``$DRIVEGRADE_REALDATA/jolpica/`` comes before one made from the history tables.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.replay_jolpica import Jolpica
from tests.replay_openf1 import NotRecordedError, OpenF1

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPENF1_PREFIX, JOLPICA_PREFIX = "/v1/", "/ergast/f1/"
DRIP_S = 0.05
NOTHING_FOUND = {"detail": "No results found."}


@dataclass(frozen=True)
class Answer:
    """What is sent: a status, headers, a body, and how.

    Attributes:
        manner: whole; silent (nothing comes at all); stalled (headers, then nothing); dripping
            (a byte at a time); slow_headers (the same from the first line on); cut (less than
            announced); or dropped (the connection is closed at once).
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    manner: str = "whole"


@dataclass
class _Plan:
    part: str
    fault: Callable[[Answer], Answer]
    after: int
    times: int | None


class Replay:
    """The running server.

    Attributes:
        asked: paths with their queries, in the order they came.
        missed: commands that would record what was asked in vain.
    """

    def __init__(self, realdata: Path) -> None:
        self.asked: list[str] = []
        self.missed: list[str] = []
        self._openf1, self._jolpica = OpenF1(realdata), Jolpica(realdata)
        self._recorded = realdata / "jolpica"
        self._plans: list[_Plan] = []
        self._lock = threading.Lock()
        self.is_stopping = threading.Event()
        self._server = _Server(self)

    @property
    def openf1_url(self) -> str:
        """Base URL to set as DRIVEGRADE_OPENF1_URL."""
        return self._url(OPENF1_PREFIX)

    @property
    def jolpica_url(self) -> str:
        """Base URL to set as DRIVEGRADE_JOLPICA_URL."""
        return self._url(JOLPICA_PREFIX)

    def fail(
        self, part: str, fault: Callable[[Answer], Answer], *, times: int | None = 1, after: int = 0
    ) -> None:
        """Make replies to URLs that contain the part faulty.

        Args:
            part: of path and query, such as ``2019/1/laps`` or ``offset=100``.
            fault: what to make of the right answer; see the functions below.
            times: how many replies; None is all from now on.
            after: how many right replies come first.
        """
        self._plans.append(_Plan(part, fault, after, times))

    def reset(self) -> None:
        """Forget faults and what was asked."""
        self._plans.clear()
        self.asked.clear()
        self.missed.clear()

    def reply(self, target: str) -> Answer:
        """Give the answer, right or faulty, for a path with its query."""
        with self._lock:
            self.asked.append(target)
            answer = self._right(target)
            for plan in self._plans:
                if plan.part not in target or plan.times == 0:
                    continue
                if plan.after:
                    plan.after -= 1
                    continue
                plan.times = None if plan.times is None else plan.times - 1
                return plan.fault(answer)
            return answer

    def serve(self) -> None:
        """Answer until `stop`."""
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """End the server and whatever it holds back."""
        self.is_stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _url(self, prefix: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{prefix}".rstrip("/")

    def _right(self, target: str) -> Answer:
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        try:
            if parts.path.startswith(OPENF1_PREFIX):
                rows = self._openf1.answer(parts.path.removeprefix(OPENF1_PREFIX), query)
                return _json(200, rows) if rows else _json(404, NOTHING_FOUND)
            path = parts.path.removeprefix(JOLPICA_PREFIX)
            first = {name: values[0] for name, values in query.items()}
            recorded = self._recorded / path
            if recorded.is_file() and ".." not in path:
                return Answer(200, recorded.read_bytes(), {"Content-Type": "application/json"})
            return _json(200, self._jolpica.answer(path, first))
        except NotRecordedError as miss:
            self.missed.append(str(miss))
            return _json(404, {"detail": f"Not recorded. To record it: {miss}"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def __init__(self, replay: Replay) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replay = replay

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up, which is what the faults are for."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Send the answer in its manner."""
        answer = self.server.replay.reply(self.path)
        self.close_connection = answer.manner != "whole"
        if answer.manner == "silent":
            self._wait()
            return
        if answer.manner == "dropped":
            return
        if answer.manner == "slow_headers":
            self._drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000)
            return
        self.send_response(answer.status)
        for name, text in answer.headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.manner == "whole":
            self.wfile.write(answer.body)
        elif answer.manner == "cut":
            self.wfile.write(answer.body[: len(answer.body) // 2])
        elif answer.manner == "stalled":
            self._wait()
        else:
            self._drip(answer.body)

    def _wait(self) -> None:
        self.server.replay.is_stopping.wait()

    def _drip(self, content: bytes) -> None:
        for byte in content:
            if self.server.replay.is_stopping.wait(DRIP_S):
                return
            self.wfile.write(bytes([byte]))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as in the base
        """Keep the terminal clean; `Replay.asked` tells what came."""


@contextlib.contextmanager
def replay(realdata: Path) -> Iterator[Replay]:
    """Run a replay server as long as the block lasts."""
    running = Replay(realdata)
    thread = threading.Thread(target=running.serve, name="replay")
    thread.start()
    try:
        yield running
    finally:
        running.stop()
        thread.join()


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """Give a base URL whose host neither accepts nor refuses: its queue of callers is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 -- the socket's own signature
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def refused() -> str:
    """Give a base URL on whose port nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def _json(status: int, document: object) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def manner(name: str) -> Callable[[Answer], Answer]:
    """Send the right answer in another manner (`Answer.manner`)."""
    return lambda answer: replace(answer, manner=name)


def status(code: int, **headers: str) -> Callable[[Answer], Answer]:
    """Answer with a status and headers (``retry_after="2"``) instead."""
    named = {name.replace("_", "-").title(): text for name, text in headers.items()}
    return lambda _: Answer(
        code, b'{"detail": "no"}', {**named, "Content-Type": "application/json"}
    )


def body(content: bytes, content_type: str = "application/json") -> Callable[[Answer], Answer]:
    """Answer 200 with this body instead."""
    return lambda _: Answer(200, content, {"Content-Type": content_type})


def gzip_bomb(size_mib: int = 64) -> Callable[[Answer], Answer]:
    """Answer with few packed bytes that unpack to many blanks; packed when it is first sent."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return lambda _: Answer(200, _packed(size_mib), headers)


@cache
def _packed(size_mib: int) -> bytes:
    return gzip.compress(b"[" + b" " * (size_mib * 2**20) + b"]")


def edited(edit: Callable[[Any], Any]) -> Callable[[Answer], Answer]:
    """Change the right document: the function gets it and returns what is sent."""
    return lambda answer: replace(answer, body=json.dumps(edit(json.loads(answer.body))).encode())


def written(name: str, raw: str) -> Callable[[Answer], Answer]:
    """Put raw text in the place of the first value of that name: ``written("lap", "NaN")``."""
    value = rf'("{name}"\s*:\s*)("(?:[^"\\]|\\.)*"|[^,}}\]]+)'
    return lambda answer: replace(
        answer,
        body=re.sub(value, lambda found: found[1] + raw, answer.body.decode(), count=1).encode(),
    )


def repeated(first: dict[str, Answer]) -> Callable[[Answer], Answer]:
    """Send the first answer that this fault saw, again and again: a page that repeats."""
    return lambda answer: first.setdefault("page", answer)


def main() -> None:
    """Serve until interrupted."""
    named = os.environ.get("DRIVEGRADE_REALDATA")
    if not named:
        sys.exit("Set DRIVEGRADE_REALDATA to the folder of the recorded data.")
    with replay(Path(named)) as running:
        sys.stdout.write(
            f"export DRIVEGRADE_OPENF1_URL={running.openf1_url}\n"
            f"export DRIVEGRADE_JOLPICA_URL={running.jolpica_url}\n"
            "export DRIVEGRADE_ALLOW_LOOPBACK=1\n"
        )
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)


if __name__ == "__main__":
    main()
