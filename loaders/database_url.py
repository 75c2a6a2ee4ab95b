"""`DATABASE_URL` taken apart, so that its password is kept out of everything that is shown.

PostgreSQL's client library quotes the connection text in its error messages, and six of fourteen
malformed URLs put the password there. So the drivers are given a URI without the password, a URL
that could be read in two ways is refused, and no error repeats any part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import SecretStr

from loaders.errors import WarehouseError

ACCEPTED_PARAMETERS: Final = frozenset(
    {"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "options"}
)
"""Query parameters that both drivers understand alike; others are refused, not ignored."""

MODES: Final = ("disable", "require", "verify-ca", "verify-full")
"""Values of `sslmode` that say whether there is encryption. `allow` and `prefer` leave it to the
server, and to whoever answers in its place."""

_CERTIFICATE: Final = (
    ("mismatch", "is of another host; call the host what its certificate calls it"),
    ("does not match host name", "is of another host; call the host what its certificate calls it"),
    ("has expired", "has expired; the server needs a new one"),
    ("not yet valid", "is not valid yet; the server needs another, or a clock is wrong"),
    ("verify failed", "is not vouched for, or has expired; name its authority's file in {where}"),
)
"""(what is said of a certificate, the fault that is); the last if no other is."""

_REASONS: Final = (
    (
        ("recovery mode", "not yet accepting", "unexpectedly", "connection_lost", "reset by peer"),
        "the server hung up, because it recovers from a crash or the network failed",
        True,
    ),
    (("starting up",), "the server is starting up", True),
    (("shutting down",), "the server is shutting down", True),
    (("password authentication failed",), "the server refused the user or the password", False),
    (("no password supplied",), "the server wants a password and none was given", False),
    (("pg_hba.conf",), "the server does not admit this user from this computer", False),
    (
        ("root certificate",),
        "the certificate that the server's is checked with (sslrootcert) is not there",
        False,
    ),
    (("does not exist",), "the server has no such database or user", False),
    (("translate host name", "not known"), "the host's name is not known", False),
    (("name resolution",), "the host's name cannot be looked up now", True),
    (
        ("SSL",),
        "no encrypted connection could be agreed on; in a network you trust, sslmode=disable",
        False,
    ),
    (("No such file",), "there is no such socket, or no such file of certificates", True),
    (("refused", "Connect call failed"), "nothing listens at that host and port", True),
    (("timeout",), "the server did not answer in time", True),
    (("too many",), "the server has no connection left", True),
)
"""(what a driver's message may contain, what we say instead, whether that may pass by itself)."""


@dataclass(frozen=True)
class Address:
    """Where a PostgreSQL is; `uri` may be shown to a driver, the password to nobody."""

    uri: str
    password: SecretStr | None = field(default=None, repr=False)

    def with_parameters(self, parameters: dict[str, str]) -> str:
        """Give the URI with more query parameters; `options` go before those it has."""
        base, _, query = self.uri.partition("?")
        own = dict(parse_qsl(query))
        options = f"{parameters.get('options', '')} {own.get('options', '')}".strip()
        merged = own | parameters | ({"options": options} if options else {})
        return f"{base}?{_encode(merged)}"


def parse_url(url: SecretStr) -> Address:
    """Take a PostgreSQL URL apart.

    Args:
        url: `postgresql://user:password@host:port/database?parameter=value`; special
            characters percent-encoded. A Unix socket is given as the parameter `host`.

    Raises:
        WarehouseError: it is not such a URL. The text says which part, and repeats none.
    """
    result = _take_apart(url.get_secret_value())
    if isinstance(result, Address):
        return result
    raise WarehouseError(
        f"DATABASE_URL: {result}. It must read postgresql://user:password@host:port/database, "
        "where / ? # % @ : and blanks inside a part are percent-encoded (%2F for /)"
    )


def refused(message: str) -> WarehouseError:
    """Make the error of a connection that failed, from what the driver said of it."""
    found = ((said, passes) for parts, said, passes in _REASONS if _holds(message, *parts))
    reason, passes = next(found, ("it cannot be reached", False))
    if fault := certificate_fault(message, "sslrootcert"):
        reason, passes = fault, False
    again = "Try again in some seconds. " if passes else ""
    return WarehouseError(
        f"cannot connect to PostgreSQL: {reason}. {again}If DATABASE_URL is set, check it, or "
        "unset it to use the embedded server",
        is_transient=passes,
    )


def certificate_fault(message: str, where: str) -> str | None:
    """Say what is wrong with a server's certificate.

    Args:
        message: what a driver said of a connection that failed.
        where: the parameter that names certificates to trust.

    Returns:
        The fault and its remedy; None if the message is of something else.
    """
    fault = next((fault for part, fault in _CERTIFICATE if part in message), None)
    if fault is None or "certificate" not in message:
        return None
    return f"the server's certificate {fault}".format(where=where)


def _holds(message: str, *parts: str) -> bool:
    return any(part in message for part in parts)


def _take_apart(url: str) -> Address | str:
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
    host = parts.hostname or ""
    user = f"{quote(unquote(parts.username), safe='')}@" if parts.username else ""
    where = f"[{host}]" if ":" in host else host
    if not all(map(_is_here, query.get("host", host).split(","))):
        query.setdefault("sslmode", "require")
    uri = f"postgresql://{user}{where}{f':{port}' if port else ''}{parts.path}"
    password = SecretStr(unquote(parts.password)) if parts.password else None
    return Address(f"{uri}?{_encode(query)}" if query else uri, password)


def _is_here(host: str) -> bool:
    """Tell whether a host, a socket or nothing leads to no other computer."""
    if host in {"", "localhost"} or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _fault(url: str, parts: SplitResult, query: dict[str, str]) -> str | None:
    """Say what is wrong with a URL, without repeating any of it."""
    mode = query.get("sslmode")
    faults = {
        "it does not begin with postgresql://": parts.scheme not in {"postgresql", "postgres"}
        or not url.startswith(f"{parts.scheme}://"),
        "it contains blanks or control characters": re.search(r"[\s\x00-\x1f\x7f]|%00", url),
        "a % is not followed by two hexadecimal digits": re.search(r"%(?![0-9A-Fa-f]{2})", url),
        "characters inside a part are not percent-encoded": "#" in url
        or "@" in parts.path + parts.query
        or parts.path.count("/") > 1,
        "the host is not one host's name or address": not re.fullmatch(
            r"[A-Za-z0-9._-]*|[0-9A-Fa-f:.]+", parts.hostname or ""
        ),
        "a parameter has no value": "" in query.values(),
        "a parameter is not one of " + ", ".join(sorted(ACCEPTED_PARAMETERS)): not (
            query.keys() <= ACCEPTED_PARAMETERS
        ),
        "it names no host": not parts.hostname and "host" not in query,
        "host or port is given twice": (parts.hostname and "host" in query)
        or (parts.port and "port" in query),
        "sslmode is not one of " + ", ".join(MODES): mode not in (None, *MODES),
    }
    return next((fault for fault, found in faults.items() if found), None)


def _encode(parameters: dict[str, str]) -> str:
    return urlencode(parameters, quote_via=quote, safe="")
