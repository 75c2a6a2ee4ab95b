"""What goes over the wire: one request, within its time, its size and the server's limits.

`Wire` is a transport for httpx that sits below the cache, so that only what really goes out takes
a turn and only what is good can be stored. It reads a reply whole, decodes it up to a size limit,
and marks everything but a good 200 as not to be stored. What goes wrong is a `WireError`, which
says whether the same request may succeed if it is sent again, and when.
"""

from __future__ import annotations

import time
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import httpcore
import httpx
from pyrate_limiter import RateItem, SQLiteBucket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pyrate_limiter import Rate

CONNECT_TIMEOUT_S: Final = 5.0
"""A server that takes longer, in s, to accept a connection is taken for unreachable."""

READ_TIMEOUT_S: Final = 20.0
"""Longest silence, in s; the slowest good answers of the two services take a few seconds."""

LONGEST_SHARE: Final = 0.4
"""Share of the total limit that one silence may take, so that a second try is possible."""

MAX_REPLY_BYTES: Final = 50 * 1024 * 1024
"""Largest decoded reply, in bytes; the largest good one (a season's laps) is a tenth of it."""

FETCHED_AT: Final = "x-drivegrade-fetched-at"
"""Header, kept with a stored reply, of the moment the server gave or last confirmed it (UTC)."""

_OK, _NOT_MODIFIED, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 200, 304, 404, 429, 500
_REDIRECTS: Final = range(300, 400)
_NOT_KEPT: Final = frozenset(
    {b"content-encoding", b"content-length", b"transfer-encoding", b"set-cookie", b"connection"}
)
_TURN_GRACE_S: Final = 0.02  # clocks tick in ms, so a wait ends a little after the window


class WireError(Exception):
    """One try failed.

    Attributes:
        is_transient: the same request may succeed if sent again.
        retry_after_s: how long the server asks to wait, s; None if it does not say.
        remedy: what the user can do; empty for the usual.
    """

    def __init__(
        self,
        reason: str,
        *,
        is_transient: bool = False,
        retry_after_s: float | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(reason)
        self.is_transient = is_transient
        self.retry_after_s = retry_after_s
        self.remedy = remedy


class Deadline:
    """A moment after which nothing is waited for; restarted for every request of the user."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.restart()

    def restart(self) -> None:
        """Give the full time again."""
        self._ends = time.monotonic() + self.limit_s

    def remaining_s(self) -> float:
        """Seconds left; negative when it has passed."""
        return self._ends - time.monotonic()

    def at_most(self, timeout_s: float | None) -> float:
        """The timeout (s), shortened to what is left of the whole time."""
        left = self.remaining_s()
        if left <= 0:
            raise httpcore.ReadTimeout(f"not complete within {self.limit_s:g} s")
        return left if timeout_s is None else min(timeout_s, left)


class _TimedStream(httpcore.NetworkStream):
    """A connection on which no single read, write or handshake outlasts the deadline.

    Without it a server that sends one byte a second would never run into a read timeout.
    """

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.at_most(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.at_most(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        limit = self._deadline.at_most(timeout)
        secured = self._stream.start_tls(ssl_context, server_hostname, limit)
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


class _TimedNetwork(httpcore.SyncBackend):
    """The ordinary network, with the deadline on every connection."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        limit = self._deadline.at_most(timeout)
        stream = super().connect_tcp(host, port, limit, local_address, socket_options)
        return _TimedStream(stream, self._deadline)


class Turns:
    """Keeps to several rates at once, counted over all processes that share the file."""

    def __init__(self, name: str, rates: tuple[Rate, ...], path: Path) -> None:
        ordered = sorted(rates, key=lambda rate: rate.interval)
        self._name = name
        self._bucket = SQLiteBucket.init_from_file(
            ordered, table=f"requests_{name}", db_path=str(path), use_file_lock=True
        )
        self._bucket.leak(_now_ms())

    def take(self, deadline: Deadline) -> None:
        """Wait for a turn.

        Raises:
            WireError: the next turn comes after the deadline.
        """
        while True:
            item = RateItem(self._name, _now_ms())
            if self._bucket.put(item):
                return
            waiting_ms = self._bucket.waiting(item)
            assert isinstance(waiting_ms, int)  # noqa: S101 -- only buckets of asyncio differ
            wait_s = max(waiting_ms, 0) / 1000 + _TURN_GRACE_S
            if wait_s > deadline.remaining_s():
                raise WireError(
                    f"our own limit of requests is used up for the next {wait_s:.0f} s",
                    remedy="Try again then; what is in the cache is not fetched again.",
                )
            time.sleep(wait_s)

    def close(self) -> None:
        """Close the file."""
        self._bucket.close()  # type: ignore[no-untyped-call] # the library has no type here


class Wire(httpx.BaseTransport):
    """Sends one request at a time and reads its reply whole.

    Attributes:
        tries: requests sent since the deadline was last restarted.
    """

    def __init__(
        self, context: ssl.SSLContext | None, deadline: Deadline, turns: Turns | None
    ) -> None:
        self.tries = 0
        self._deadline, self._turns = deadline, turns
        longest_s = deadline.limit_s * LONGEST_SHARE
        silence_s = min(READ_TIMEOUT_S, longest_s)
        self._timeouts = {
            "connect": min(CONNECT_TIMEOUT_S, longest_s),
            "read": silence_s,
            "write": silence_s,
            "pool": silence_s,
        }
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=_TimedNetwork(deadline), keepalive_expiry=30.0
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and give the whole reply: 200, 304, 404 or a redirect.

        Raises:
            WireError: anything else.
        """
        if self._turns is not None:
            self._turns.take(self._deadline)
        self.tries += 1
        url = request.url
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        with (
            _network_errors(),
            self._pool.stream(
                request.method,
                target,
                headers=request.headers.raw,
                extensions={"timeout": self._timeouts},
            ) as reply,
        ):
            return _read(reply)

    def close(self) -> None:
        """Close the connections and the file of turns."""
        self._pool.close()
        if self._turns is not None:
            self._turns.close()


@contextmanager
def _network_errors() -> Iterator[None]:
    """Give the network's errors, all of which may pass, in our words."""
    try:
        yield
    except httpcore.ConnectTimeout:
        raise WireError("no connection within the time limit", is_transient=True) from None
    except httpcore.TimeoutException as error:
        said = str(error).strip() or "no answer within the time limit"
        raise WireError(said, is_transient=True) from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        said = str(error).strip() or "the connection broke"
        raise WireError(said, is_transient=True) from error


def _read(reply: httpcore.Response) -> httpx.Response:
    """Judge the status, read the body, and say whether the reply may be stored."""
    headers = httpx.Headers(reply.headers)
    _check_status(reply.status, headers)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    body = _decoded(reply.iter_stream(), encoding)
    if reply.status == _OK and "html" in headers.get("content-type", ""):
        raise WireError(
            "a page of HTML came instead of data",
            remedy="A proxy or a maintenance page may be in between; open the URL in a browser.",
        )
    kept = [pair for pair in reply.headers if pair[0].lower() not in _NOT_KEPT]
    if reply.status != _NOT_MODIFIED and not (reply.status == _OK and _is_whole(body)):
        kept = [pair for pair in kept if pair[0].lower() not in (b"cache-control", b"expires")]
        kept.append((b"cache-control", b"no-store"))
    kept.append((FETCHED_AT.encode(), datetime.now(UTC).isoformat().encode()))
    return httpx.Response(reply.status, headers=kept, content=body)


def _now_ms() -> int:
    """The clock that all processes share, in ms."""
    return time.time_ns() // 1_000_000


def _check_status(status: int, headers: httpx.Headers) -> None:
    """Let pass what has a meaning for the caller.

    Raises:
        WireError: any other status; transient for 429 and 5xx.
    """
    if status in (_OK, _NOT_MODIFIED, _NOT_FOUND) or status in _REDIRECTS:
        return
    remedy = ""
    if status in (401, 403):
        remedy = "The service is closed to us, as it may be while cars are running; try later."
    is_transient = status == _TOO_MANY or status >= _SERVER_ERROR
    wait_s = _retry_after_s(headers.get("retry-after")) if is_transient else None
    raise WireError(
        f"HTTP {status}", is_transient=is_transient, retry_after_s=wait_s, remedy=remedy
    )


def _retry_after_s(text: str | None) -> float | None:
    """Read Retry-After, which is seconds or a date; null if it is neither."""
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip())
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _decoded(stream: Iterator[bytes], encoding: str) -> bytes:
    """Collect the body, unpacked, up to the size limit.

    Raises:
        WireError: it is larger, packed in a way we did not ask for, or damaged.
    """
    if encoding not in ("identity", "gzip"):
        raise WireError(f"the reply is packed as {encoding!r}, which was not asked for")
    unpacker = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    for chunk in stream:
        try:
            room = MAX_REPLY_BYTES + 1 - len(body)
            body += chunk if unpacker is None else unpacker.decompress(chunk, room)
        except zlib.error as error:
            raise WireError("the packed reply is damaged", is_transient=True) from error
        if len(body) > MAX_REPLY_BYTES:
            raise WireError(f"the reply is larger than {MAX_REPLY_BYTES // 2**20} MiB")
    if unpacker is not None and not unpacker.eof:
        raise WireError("the packed reply is cut off", is_transient=True)
    return bytes(body)


def _is_whole(body: bytes) -> bool:
    """Tell a JSON document that has both its ends; what lacks one is not worth storing."""
    text = body.strip()
    return (text[:1], text[-1:]) in ((b"{", b"}"), (b"[", b"]"))
