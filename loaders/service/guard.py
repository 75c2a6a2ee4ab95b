"""What every request passes before it is answered: limits, hosts, origins, headers, and the log.

It is plain ASGI, so that it costs little; any FastAPI or Starlette site can have it:
`site.add_middleware(Guard, settings=settings)`.
"""

from __future__ import annotations

import logging
import secrets
import time
from typing import TYPE_CHECKING, Final

from loaders.service.allowance import Allowance
from loaders.service.faults import ApiError, error_response
from loaders.settings import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from loaders.settings import Settings

METHODS: Final = ("GET", "HEAD", "OPTIONS")

ALLOW: Final = ", ".join(METHODS)

MAX_URL_BYTES: Final = 2048
"""Path and query together."""

MAX_HEADER_BYTES: Final = 16 * 1024
"""All headers together."""

UNCOUNTED: Final = frozenset({"/healthz", "/readyz"})
"""Paths that are not counted against an address: whoever watches the service asks them."""

SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)

NO_CONTENT_POLICY: Final = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'",
)
"""For whatever sends no policy of its own."""

_log = logging.getLogger("drivegrade.api")


class Guard:
    """Refuses what breaks a limit, and gives every answer its headers and a line in the log."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        """Read the limits.

        Args:
            app: what answers the requests that are let through.
            settings: `api_origins`, `api_hosts` and `api_rate_per_minute`.
        """
        self._app = app
        self._origins = frozenset(name.encode() for name in listed(settings.api_origins))
        self._hosts = frozenset(name.lower() for name in listed(settings.api_hosts))
        self._allowance = Allowance(settings.api_rate_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection of ASGI."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = secrets.token_hex(8)
        scope = {**scope, "drivegrade.request_id": request_id}
        added = [*SECURITY, (b"x-request-id", request_id.encode()), *self._cross_origin(headers)]
        status = 0

        async def finish(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = message.get("headers", [])
                policy = (
                    []
                    if any(name == NO_CONTENT_POLICY[0] for name, _ in own)
                    else [NO_CONTENT_POLICY]
                )
                message = {**message, "headers": [*own, *added, *policy]}
            await send(message)

        try:
            await self._answer(scope, receive, finish, headers)
        finally:
            route = getattr(scope.get("route"), "path", "-")
            spent_ms = (time.perf_counter() - began) * 1000
            _log.info("%s %s %d %.1f ms %s", scope["method"], route, status, spent_ms, request_id)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes]
    ) -> None:
        """Refuse a request, or let it through; HEAD goes on as GET, whose body is not sent."""
        try:
            self._check(scope, headers)
        except ApiError as error:
            refusal = error_response(error, scope["drivegrade.request_id"])
            await refusal(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await send(
                {
                    "type": "http.response.start",
                    "status": 204,
                    "headers": [(b"allow", ALLOW.encode())],
                }
            )
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
            await self._app(scope, receive, _without_body(send))
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Apply the limits that need no look at what is asked.

        Raises:
            ApiError: one is broken.
        """
        url_bytes = len(scope.get("raw_path") or scope["path"].encode()) + len(
            scope["query_string"]
        )
        if url_bytes > MAX_URL_BYTES:
            raise ApiError(414, "address_too_long", "the address is longer than 2 kB")
        if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            raise ApiError(431, "headers_too_large", "the headers are longer than 16 kB")
        if _host(headers.get(b"host", b"")) not in self._hosts:
            raise ApiError(400, "unknown_host", "the service has no such name")
        if scope["path"] not in UNCOUNTED:
            client = scope.get("client")
            wait_s = self._allowance.wait_s(client[0] if client else "")
            if wait_s:
                told = f"too many requests; try again in {wait_s} s"
                raise ApiError(429, "too_many_requests", told, {"retry-after": str(wait_s)})
        if scope["method"] not in METHODS:
            told = f"only {ALLOW} are answered"
            raise ApiError(405, "method_not_allowed", told, {"allow": ALLOW})
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            told = "a request has no body here"
            raise ApiError(400, "body_refused", told, {"connection": "close"})

    def _cross_origin(self, headers: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """Tell a browser whether the page that asks may read the answer; never with its cookies."""
        if not self._origins:
            return []
        origin = headers.get(b"origin")
        if origin not in self._origins:
            return [(b"vary", b"origin")]
        return [
            (b"vary", b"origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", ALLOW.encode()),
            (b"access-control-allow-headers", b"if-none-match"),
            (b"access-control-expose-headers", b"etag, retry-after, x-request-id"),
            (b"access-control-max-age", b"600"),
        ]


def _host(header: bytes) -> str:
    """Take the port off a Host header."""
    name = header.decode("latin-1").lower()
    if name.startswith("["):
        return name.partition("]")[0].removeprefix("[")
    return name.partition(":")[0]


def _without_body(send: Send) -> Send:
    async def forward(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return forward
