"""`REDIS_URL` taken apart, so that its password is kept out of everything that is shown.

A URL that could be read in two ways is refused, and no error repeats any part of it but the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.errors import DriveGradeError
from loaders.database_url import certificate_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES: Final = ("redis", "rediss", "unix")
"""Plain TCP, TCP under TLS, and a Unix socket."""

ACCEPTED_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "redis": frozenset(),
    "rediss": frozenset({"ssl_ca_certs"}),
    "unix": frozenset({"db"}),
}
"""Query parameters by scheme; others are refused, not ignored."""

DEFAULT_PORT: Final = 6379


class CacheError(DriveGradeError):
    """Redis could not be reached or refused a command; PostgreSQL has everything all the same.

    Attributes:
        is_down: no other command would have fared better: Redis is away, or takes no writes.
    """

    exit_code = 11

    def __init__(self, message: str, *, is_down: bool = False) -> None:
        super().__init__(message)
        self.is_down = is_down


@dataclass(frozen=True)
class RedisAddress:
    """Where a Redis is; the password is shown to nobody.

    Attributes:
        host: name or address; empty if it is reached through `socket`.
        port: TCP port.
        socket: path of a Unix socket; empty if it is reached through TCP.
        database: number of the database.
        username: user of Redis' access control; None for the default one.
        password: its password; None if it has none.
        is_encrypted: TLS with a verified certificate.
        ca_file: certificates that vouch for the server's; None for the system's.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    socket: str = ""
    database: int = 0
    username: str | None = None
    password: SecretStr | None = field(default=None, repr=False)
    is_encrypted: bool = False
    ca_file: str | None = None

    @property
    def where(self) -> str:
        """What may be shown of it."""
        return self.socket or f"{self.host}:{self.port}"


def parse_redis_url(url: SecretStr) -> RedisAddress:
    """Take a URL of Redis apart.

    Args:
        url: `redis://user:password@host:port/database`, `rediss://` for TLS, or
            `unix:///path?db=0`; special characters percent-encoded.

    Raises:
        CacheError: it is not such a URL. The text says which part, and repeats none.
    """
    result = _take_apart(url.get_secret_value())
    if isinstance(result, RedisAddress):
        return result
    raise CacheError(
        f"REDIS_URL: {result}. It must read redis://user:password@host:port/database, rediss:// "
        "for TLS, or unix:///path?db=0, where / ? # % @ : and blanks inside a part are "
        "percent-encoded (%2F for /)"
    )


def what_failed(error: Exception) -> str:
    """Say what a client's error is, without repeating any of it.

    Args:
        error: of redis-py.
    """
    message = str(error)
    if fault := certificate_fault(message, "ssl_ca_certs"):
        return fault
    return "no encryption could be agreed on" if "SSL" in message else type(error).__name__


def _take_apart(url: str) -> RedisAddress | str:
    """Read a URL, or say what is wrong with it."""
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        )
    except ValueError:
        return "host, port or parameters cannot be read"
    if fault := _fault(url, parts, query):
        return fault
    is_socket = parts.scheme == "unix"
    database = query.get("db", "0") if is_socket else parts.path.strip("/") or "0"
    return RedisAddress(
        host=parts.hostname or "",
        port=port or DEFAULT_PORT,
        socket=unquote(parts.path) if is_socket else "",
        database=int(database),
        username=unquote(parts.username) if parts.username else None,
        password=SecretStr(unquote(parts.password)) if parts.password else None,
        is_encrypted=parts.scheme == "rediss",
        ca_file=query.get("ssl_ca_certs"),
    )


def _fault(url: str, parts: SplitResult, query: dict[str, str]) -> str | None:
    """Say what is wrong with a URL, without repeating any of it."""
    is_socket = parts.scheme == "unix"
    accepted = ACCEPTED_PARAMETERS.get(parts.scheme, frozenset())
    database = query.get("db", "0") if is_socket else parts.path
    faults = {
        "it does not begin with redis://, rediss:// or unix://": parts.scheme not in SCHEMES
        or not url.startswith(f"{parts.scheme}://"),
        "it contains blanks or control characters": re.search(r"[\s\x00-\x1f\x7f]|%00", url),
        "a % is not followed by two hexadecimal digits": re.search(r"%(?![0-9A-Fa-f]{2})", url),
        "characters inside a part are not percent-encoded": "#" in url
        or "@" in parts.path + parts.query,
        "the host is not one host's name or address": not re.fullmatch(
            r"[A-Za-z0-9._-]*|[0-9A-Fa-f:.]+", parts.hostname or ""
        ),
        "a parameter has no value": "" in query.values(),
        "a parameter is not one of " + (", ".join(sorted(accepted)) or "none"): not (
            query.keys() <= accepted
        ),
        "the database is no number up to 9999": not re.fullmatch(
            r"[0-9]{1,4}" if is_socket else r"/?|/[0-9]{1,4}", database, re.ASCII
        ),
        "it names no host": not is_socket and not parts.hostname,
        "it names no socket": is_socket and (bool(parts.hostname) or len(parts.path) < 2),
        "it has a user without a password": bool(parts.username) and not parts.password,
    }
    return next((fault for fault, found in faults.items() if found), None)


def open_client(
    address: RedisAddress, step_s: float | None, connect_s: float | None = None
) -> redis.Redis:
    """Make a client that tries once and gives bytes; nothing is sent yet.

    Args:
        address: where Redis is.
        step_s: how long to wait for each step, s; None for as long as it takes.
        connect_s: how long for a connection, s; as for any other step if None.
    """
    options: dict[str, Any] = {"host": address.host, "port": address.port}
    if address.socket:
        options = {"unix_socket_path": address.socket}
    elif address.is_encrypted:
        options |= {"ssl": True, "ssl_ca_certs": address.ca_file}
    password = address.password
    return redis.Redis(
        **options,
        db=address.database,
        username=address.username,
        password=None if password is None else password.get_secret_value(),
        socket_timeout=step_s,
        socket_connect_timeout=step_s if connect_s is None else connect_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # neither greeting nor naming: fewer steps to wait for
        driver_info=None,
    )
