"""The one HTTP client: cached by the rules of HTTP, retried within bounds, at the agreed rate.

    address → cache → (miss or stale) → our turn → request → reply whole → cache

Every `get` ends within ``settings.http_timeout_s``, tries and waits included, in a `Reply` or in
a `ProviderError`. Sent again is only what may pass by itself: no connection, silence, a lost
connection, 429 and 5xx; a ``Retry-After`` is obeyed if it ends in time. Only the services'
own hosts are asked, over https; a replay on this machine is allowed by a setting, and
not held to the rates, which protect the public services. A redirect never leads elsewhere.

Stored is what a server lets be stored, and only good replies of status 200: no error, no 404, no
half document. A stored reply that is no longer fresh is confirmed or fetched anew. Offline,
what is stored is given whatever its age, which `Reply.age_s` tells.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import httpx
import stamina
from hishel import CacheOptions, SqliteStorage
from hishel.httpx import CacheTransport

from loaders.http_wire import FETCHED_AT, Deadline, Turns, Wire, WireError
from loaders.providers import ProviderError
from loaders.quarantine import remember

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyrate_limiter import Rate

    from loaders.settings import Settings

ALLOWED_HOSTS: Final = frozenset({"api.openf1.org", "api.jolpi.ca"})
"""The services we know; no setting can send requests to another host of the internet."""

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "::1", "localhost"})

MAX_TRIES: Final = 4
"""A fault that outlasts this many tries, with growing waits between them, will not pass soon."""

FIRST_WAIT_S, LONGEST_WAIT_S, JITTER_S = 0.5, 5.0, 0.5
"""Wait before the second try, which doubles up to the longest, and what chance adds, in s."""

MAX_REDIRECTS: Final = 3
"""Redirects followed on the same host."""

KEPT_S: Final = 180 * 24 * 60 * 60.0
"""How long a stored reply can be of use offline, in s: half a year."""

MAX_CACHE_BYTES: Final = 512 * 1024 * 1024
"""About ten times all that a season of both services takes."""

# Retries and cache faults are told to who configures logging, never printed for want of it.
logging.getLogger("stamina").addHandler(logging.NullHandler())
logging.getLogger("hishel").addHandler(logging.NullHandler())

USER_AGENT: Final = "drivegrade"


@dataclass(frozen=True)
class Source:
    """A service that is asked.

    Attributes:
        name: of the provider, for messages and for counting its requests; a plain word.
        base_url: what every path is appended to.
        rates: the most requests that may be sent, in each of several intervals at once.
    """

    name: str
    base_url: str
    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class Reply:
    """What the service says.

    Attributes:
        url: what was asked.
        status: 200; or 404, which the caller may take for "nothing there".
        content: the body, decoded.
        fetched_at: when the service gave or last confirmed it, UTC.
        age_s: 0 when that was now; else the age of what the cache gave, s.
    """

    url: str
    status: int
    content: bytes
    fetched_at: datetime
    age_s: float


class Client:
    """Asks one service; used by one thread. Made by `open_client`."""

    def __init__(self, source: Source, settings: Settings, folder: Path) -> None:
        base = _checked_base(source, settings)
        is_public = base.host not in LOOPBACK_HOSTS
        self._source, self._base, self._offline = source, base, settings.offline
        self._storage = SqliteStorage(
            database_path=folder / "replies.db", default_ttl=KEPT_S, max_size=MAX_CACHE_BYTES
        )
        self._deadline = Deadline(settings.http_timeout_s)
        turns = Turns(source.name, source.rates, folder / "turns.db") if is_public else None
        context = httpx.create_ssl_context() if base.scheme == "https" else None
        self._wire = Wire(context, self._deadline, turns)
        options = CacheOptions(shared=False, allow_stale=False)
        self._http = httpx.Client(
            transport=CacheTransport(self._wire, storage=self._storage, rfc=options),
            headers={
                "accept": "application/json",
                "accept-encoding": "gzip",
                "user-agent": USER_AGENT,
            },
            trust_env=False,
        )

    def get(self, path: str, **parameters: str | int) -> Reply:
        """Ask for a path below the base URL.

        Raises:
            ProviderError: no usable answer within the limits, or, offline, none stored.
        """
        url = self._address(path, parameters)
        self._deadline.restart()
        self._wire.tries = 0
        started = time.monotonic()
        try:
            if self._offline:
                return self._stored(url)
            for attempt in self._attempts():
                with attempt:
                    return self._ask(url)
        except WireError as error:
            raise self._failure(url, error, time.monotonic() - started) from error
        except httpx.HTTPError as error:
            refused = WireError(f"the answer breaks the rules of HTTP ({type(error).__name__})")
            raise self._failure(url, refused, time.monotonic() - started) from error
        except (RuntimeError, sqlite3.Error) as error:
            name = self._storage.database_path
            remedy = f"Delete {name}; it holds nothing that cannot be fetched again."
            broken = WireError(f"the cache cannot be used ({error})", remedy=remedy)
            raise self._failure(url, broken, time.monotonic() - started) from error
        raise AssertionError("the last try either returns or raises")

    def close(self) -> None:
        """Close connections and files."""
        self._http.close()

    def _address(self, path: str, parameters: dict[str, str | int]) -> httpx.URL:
        """Append path and parameters (in the order of their names) to the base URL."""
        joined = f"{str(self._base).rstrip('/')}/{path.lstrip('/')}"
        query = {name: str(parameters[name]) for name in sorted(parameters)}
        return httpx.URL(joined, params=query) if query else httpx.URL(joined)

    def _attempts(self) -> Iterator[stamina.Attempt]:
        """Give tries with growing waits, as long as the next wait ends in time."""
        limit_s = self._deadline.limit_s
        longest_s = min(LONGEST_WAIT_S, limit_s / 5)

        def may_pass(error: Exception) -> bool | float:
            if not isinstance(error, WireError) or not error.is_transient:
                return False
            wait_s = error.retry_after_s
            if self._deadline.remaining_s() <= (longest_s if wait_s is None else wait_s):
                return False
            return True if wait_s is None else wait_s

        return iter(
            stamina.retry_context(
                on=may_pass,
                attempts=MAX_TRIES,
                timeout=None,
                wait_initial=min(FIRST_WAIT_S, limit_s / 20),
                wait_max=longest_s,
                wait_jitter=min(JITTER_S, limit_s / 20),
            )
        )

    def _ask(self, url: httpx.URL) -> Reply:
        """Ask once, through the cache, following redirects on the same host."""
        answer = self._http.send(self._request(url))
        for _ in range(MAX_REDIRECTS):
            if answer.next_request is None:
                break
            target = answer.next_request.url
            if _origin(target) != _origin(url):
                raise WireError(f"it redirects to another host ({target.host!r})")
            answer = self._http.send(self._request(target))
        if answer.status_code not in (200, 404):
            raise WireError(f"HTTP {answer.status_code}")
        fetched_at = datetime.fromisoformat(answer.headers[FETCHED_AT])
        status = answer.extensions["caching"]
        is_old = status["from_cache"] and not status["revalidated"]
        return Reply(
            url=str(url),
            status=answer.status_code,
            content=remember(str(url), answer.content),
            fetched_at=fetched_at,
            age_s=_age_s(fetched_at) if is_old else 0.0,
        )

    def _request(self, url: httpx.URL) -> httpx.Request:
        return self._http.build_request("GET", url, extensions={"caching": {"key": _key(url)}})

    def _stored(self, url: httpx.URL) -> Reply:
        """Give the newest stored reply, however old."""
        entries = self._storage.get_entries(_key(url))
        if not entries:
            raise WireError(
                "it is not in the cache, and DRIVEGRADE_OFFLINE is set",
                remedy="Fetch it once without DRIVEGRADE_OFFLINE.",
            )
        newest = max(entries, key=lambda entry: entry.response.headers[FETCHED_AT])
        fetched_at = datetime.fromisoformat(newest.response.headers[FETCHED_AT])
        body = b"".join(newest.response.stream or ())  # type: ignore[arg-type] # sync storage
        return Reply(
            url=str(url),
            status=newest.response.status_code,
            content=remember(str(url), body),
            fetched_at=fetched_at,
            age_s=_age_s(fetched_at),
        )

    def _failure(self, url: httpx.URL, error: WireError, took_s: float) -> ProviderError:
        """Say what was asked, how often, what happened, and what to do."""
        tries = self._wire.tries
        effort = f" after {tries} {'try' if tries == 1 else 'tries'}" if tries else ""
        if error.retry_after_s is not None:
            wait = f", asking to wait {error.retry_after_s:.0f} s"
            remedy = f"Try again in {error.retry_after_s:.0f} s."
        else:
            wait = ""
            remedy = error.remedy or (
                "Try again later; DRIVEGRADE_HTTP_TIMEOUT_S gives it more time."
                if error.is_transient
                else "The service may have changed; see its documentation."
            )
        return ProviderError(
            f"{self._source.name}: no answer from {url}{effort} in {took_s:.1f} s: {error}{wait}.\n"
            f"Nothing was loaded. {remedy}"
        )


@contextmanager
def open_client(source: Source, settings: Settings) -> Iterator[Client]:
    """Open a client for one service, whose cache lies in the folder http-cache under home.

    Raises:
        ProviderError: the base URL is not one we may ask, or the folder cannot be used.
    """
    client = Client(source, settings, _private_folder(source, settings.home / "http-cache"))
    try:
        yield client
    finally:
        client.close()


def _checked_base(source: Source, settings: Settings) -> httpx.URL:
    """Let through https to the known hosts, and to this machine if that is allowed.

    Raises:
        ProviderError: anything else; the text never repeats the URL, which may hold a password.
    """
    try:
        url = httpx.URL(source.base_url)
    except (httpx.InvalidURL, ValueError):
        raise ProviderError(
            f"{source.name}: the address of the service is no URL.\nNothing was asked. "
            f"Correct DRIVEGRADE_{source.name.upper()}_URL."
        ) from None
    is_loopback = url.host in LOOPBACK_HOSTS and settings.allow_loopback
    fault = ""
    if url.userinfo:
        fault = "holds a user name or a password"
    elif url.query or url.fragment:
        fault = "holds a query or a fragment"
    elif not is_loopback and url.host not in ALLOWED_HOSTS:
        fault = f"names the host {url.host!r}, which is not one of {', '.join(ALLOWED_HOSTS)}"
    elif not is_loopback and (url.scheme != "https" or url.port is not None):
        fault = "is not plain https on its own port"
    elif url.scheme not in ("http", "https"):
        fault = f"has the scheme {url.scheme!r}"
    if fault:
        raise ProviderError(
            f"{source.name}: the address of the service {fault}.\nNothing was asked. Correct "
            f"DRIVEGRADE_{source.name.upper()}_URL; an address on this machine needs "
            "DRIVEGRADE_ALLOW_LOOPBACK."
        )
    return url


def _private_folder(source: Source, folder: Path) -> Path:
    """Make the cache's folder if it is new, and see that nobody else can put answers into it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = folder.stat()
    except OSError as error:
        raise ProviderError(
            f"{source.name}: the cache folder {folder} cannot be made ({error.strerror}).\n"
            "Nothing was asked. Name a folder of your own in DRIVEGRADE_HOME."
        ) from error
    if info.st_uid != os.getuid() or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ProviderError(
            f"{source.name}: the cache folder {folder} belongs to, or is writable by, others, who "
            "could plant answers.\nNothing was asked. Make it yours (chown) and chmod go-w it."
        )
    return folder


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _key(url: httpx.URL) -> str:
    return hashlib.sha256(str(url).encode()).hexdigest()


def _age_s(fetched_at: datetime) -> float:
    return max(0.0, (datetime.now(UTC) - fetched_at).total_seconds())
