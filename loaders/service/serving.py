"""The server of the API: uvicorn with limits, on an address that was free."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from engine.errors import DriveGradeError
from loaders.service.app import create_app
from loaders.settings import Settings

if TYPE_CHECKING:
    import asyncio

    from fastapi import FastAPI
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

HEADERS_WITHIN_S: Final = 5.0
"""How long a client may take to send the headers of a request, s."""

KEEP_ALIVE_S: Final = 15
"""How long a connection may be idle between requests, s."""

ENDS_WITHIN_S: Final = 10
"""How long requests may go on after the server was told to end, s."""

MAX_CONNECTIONS: Final = 500
"""Connections of a process; others are told 503."""

MAX_UNREAD_BYTES: Final = 20 * 1024
"""Longest request line and headers that are read: enough for the guard to say what is too long."""

BACKLOG: Final = 512
"""Connections that wait to be accepted."""

LOGGING: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        name: {"handlers": ["stderr"], "level": "INFO", "propagate": False}
        for name in ("drivegrade", "uvicorn")
    },
}


class ServiceError(DriveGradeError):
    """The service cannot begin: its address is taken, or is none of this machine's."""

    exit_code = 13


class BoundedProtocol(H11Protocol):
    """HTTP that hangs up on a client who does not finish the headers of a request."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADERS_WITHIN_S, self._hang_up)

    def data_received(self, data: bytes) -> None:
        """Read on; the clock stops when the headers are whole."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADERS_WITHIN_S, self._hang_up)
        super().data_received(data)
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            self._stop_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def _hang_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def application() -> FastAPI:
    """Make the application of a worker process, from the environment."""
    return create_app(Settings())


def configuration(
    app: FastAPI | str, settings: Settings, *, workers: int = 1, log_config: Any = LOGGING
) -> uvicorn.Config:
    """Say how uvicorn is to serve an application.

    Args:
        app: the application, or the name of a function that makes it.
        settings: whose word is taken for who asks.
        workers: processes.
        log_config: of the standard library's logging; None to leave it as it is.
    """
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        loop="asyncio",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=log_config,
        access_log=False,
        proxy_headers=bool(settings.api_proxies),
        forwarded_allow_ips=settings.api_proxies or None,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=ENDS_WITHIN_S,
        h11_max_incomplete_event_size=MAX_UNREAD_BYTES,
    )


def listen(host: str, port: int) -> socket.socket:
    """Take an address.

    Raises:
        ServiceError: another program has it, or it is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only on sockets that name their protocol
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        reason = {
            errno.EADDRINUSE: "another program listens there. Choose another --port, or end it",
            errno.EACCES: "that port needs more rights. Choose one above 1023",
        }.get(error.errno or 0, f"{os.strerror(error.errno or 0)}. Check --host and --port")
    else:
        return listening
    listening.close()
    raise ServiceError(f"cannot serve at {host}:{port}: {reason}")


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until the process is told to end.

    Args:
        settings: those of the environment; with several workers each reads them there again.
        host: address of this machine to listen on.
        port: TCP port.
        workers: processes.

    Raises:
        ServiceError: the address cannot be had.
        CacheError: REDIS_URL is malformed.
    """
    app = create_app(settings)
    listening = listen(host, port)
    with listening, suppress(KeyboardInterrupt):
        if workers == 1:
            uvicorn.Server(configuration(app, settings)).run(sockets=[listening])
        else:
            named = f"{__name__}:{application.__name__}"
            Multiprocess(configuration(named, settings, workers=workers), sockets=[listening]).run()
