"""H06: a server's certificate is checked, by PostgreSQL's two drivers and Redis' client.

The servers of the tests know no TLS, so each stands behind a door that does. What a server without
TLS is told is in `test_secrets`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from loaders.cache import Cache, Version
from loaders.connection import open_connection
from loaders.database_url import parse_url
from loaders.errors import WarehouseError
from loaders.migrations import pending
from loaders.postgres import connect
from loaders.redis_url import CacheError, parse_redis_url
from loaders.settings import Settings
from tests.reliability.redis_faults import Server, redis_server
from tests.reliability.test_secrets import RIGHT, by_adbc, by_both_drivers, leaks, surfaces
from tests.reliability.tls import HERE, Authority, door
from tests.warehouse import ask, load, session_tables, start_over

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from tests.soak import Figure

PASSWORD: Final = quote(RIGHT, safe="")

WRONG: Final = {
    "another host": "of another host; call the host what its certificate calls it",
    "expired": "expired",
    "unknown authority": "not vouched for, or has expired; name its authority's file in {where}",
    "self-signed": "not vouched for, or has expired; name its authority's file in {where}",
}
"""Certificates that are refused, and what their owner's clients are told."""


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that clients are told to trust."""
    return Authority.found(tmp_path_factory.mktemp("authority"), "trusted")


@pytest.fixture(scope="module")
def shown(trusted: Authority) -> dict[str, ssl.SSLContext]:
    """What servers show."""
    stranger = Authority.found(trusted.file.parent, "stranger")
    return {
        "right": trusted.issue(),
        "another host": trusted.issue("db.example.org"),
        "expired": trusted.issue(days=-1),
        "unknown authority": stranger.issue(),
        "self-signed": stranger.itself(),
    }


@pytest.fixture(scope="module")
def postgres_socket(settings: Settings) -> str:
    """Path of the server's socket."""
    with connect(settings) as connection:
        start_over(connection)
        folder = ask(connection, "select current_setting('unix_socket_directories')").item()
    return str(folder).strip('"') + "/.s.PGSQL.5432"


@pytest.fixture(scope="module")
def redis_here() -> Iterator[Server]:
    """A Redis."""
    with redis_server() as server:
        yield server


def postgres_url(port: int, authority: Authority) -> SecretStr:
    """Write a URL of the server behind a door."""
    file = quote(str(authority.file), safe="")
    where = f"postgresql://postgres:{PASSWORD}@{HERE}:{port}/postgres"
    return SecretStr(f"{where}?sslmode=verify-full&sslrootcert={file}")


def redis_url(port: int, authority: Authority) -> SecretStr:
    """Write a URL of the Redis behind a door."""
    file = quote(str(authority.file), safe="")
    return SecretStr(f"rediss://{HERE}:{port}/0?ssl_ca_certs={file}")


def test_a_load_goes_through_the_right_certificate(
    postgres_socket: str,
    shown: dict[str, ssl.SSLContext],
    trusted: Authority,
    tmp_path: Path,
    figure: Figure,
) -> None:
    """H06: with verify-full, by both drivers, a session is loaded and read back."""
    with door(postgres_socket, shown["right"], is_postgres=True) as opened:
        settings = Settings(home=tmp_path, database_url=postgres_url(opened.port, trusted))
        with connect(settings) as connection:
            assert load(connection, session_tables()).status == "loaded"
            assert ask(connection, "select count(*) from public.lap_times").item() == 6
        assert opened.passed > 1
    figure("H06", "verify-full: the right certificate loads by both drivers")


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_certificate_is_refused(
    name: str,
    postgres_socket: str,
    shown: dict[str, ssl.SSLContext],
    trusted: Authority,
    *,
    tmp_path: Path,
    figure: Figure,
) -> None:
    """H06: by both drivers, for good, with the rule and the remedy and without a secret."""
    says = WRONG[name].format(where="sslrootcert")
    with door(postgres_socket, shown[name], is_postgres=True) as opened:
        settings = Settings(home=tmp_path, database_url=postgres_url(opened.port, trusted))
        assert settings.database_url is not None
        address = parse_url(settings.database_url)
        with pytest.raises(WarehouseError) as by_asyncpg:
            pending(address)
        with pytest.raises(WarehouseError) as by_libpq, open_connection(address):
            pass
        for error in (by_asyncpg.value, by_libpq.value):
            assert re.search(f"the server's certificate .*{says}", str(error))
            assert not error.is_transient
        for act in (by_both_drivers, by_adbc):
            for surface, text in surfaces(act, settings).items():
                assert leaks(text) == [], (surface, text)
        assert opened.passed == 0
    figure("H06", f"verify-full: {name} refused by both drivers")


def test_redis_goes_through_the_right_certificate(
    redis_here: Server, shown: dict[str, ssl.SSLContext], trusted: Authority, figure: Figure
) -> None:
    """H06: an answer is stored and found by `rediss://`."""
    with door(str(redis_here.socket), shown["right"]) as opened:
        cache = Cache(parse_redis_url(redis_url(opened.port, trusted)), 60, step_s=5.0)
        assert cache.put("2025-1", Version(1, 1), {"grade": 1})
        assert cache.get("2025-1", Version(1, 1)) == {"grade": 1}
        cache.close()
        assert opened.passed == 1
    figure("H06", "rediss: the right certificate stores and finds")


@pytest.mark.parametrize("name", WRONG)
def test_redis_with_a_wrong_certificate_is_refused(
    name: str,
    redis_here: Server,
    shown: dict[str, ssl.SSLContext],
    trusted: Authority,
    figure: Figure,
) -> None:
    """H06: nothing is sent to it, and the reason is said."""
    says = WRONG[name].format(where="ssl_ca_certs")
    with door(str(redis_here.socket), shown[name]) as opened:
        cache = Cache(parse_redis_url(redis_url(opened.port, trusted)), 60, step_s=5.0)
        with pytest.raises(CacheError, match=says) as refusal:
            list(cache.sessions())
        assert refusal.value.is_down
        assert cache.get("2025-1", Version(1, 1)) is None
        cache.close()
        assert opened.passed == 0
    figure("H06", f"rediss: {name} refused")


IN_THE_CLEAR: Final = {
    "?sslmode=allow": "sslmode is not one of disable, require, verify-ca, verify-full",
    "?sslmode=prefer": "sslmode is not one of",
    "?sslmode=verify_full": "sslmode is not one of",
    "?sslmode=": "a parameter has no value",
}


@pytest.mark.parametrize("asked", IN_THE_CLEAR)
@pytest.mark.parametrize("host", ["db.example.org", "192.168.1.1", "[2001:db8::1]"])
def test_nothing_crosses_a_network_in_the_clear_unsaid(host: str, asked: str) -> None:
    """H06: unasked it is encrypted; the client library would take what whoever answers offers."""
    with pytest.raises(WarehouseError, match=IN_THE_CLEAR[asked]):
        parse_url(SecretStr(f"postgresql://u@{host}/db{asked}"))
    for said, mode in {"": "require", "?sslmode=disable": "disable"}.items():
        assert f"sslmode={mode}" in parse_url(SecretStr(f"postgresql://u@{host}/db{said}")).uri


def test_this_computer_is_no_network() -> None:
    """H06: a socket or a loopback address is asked in the clear; of a list every part counts."""
    for where in ("localhost/d", "127.0.0.1/d", "127.9.9.9/d", "[::1]/d", "/d?host=/run/pg"):
        assert "sslmode" not in parse_url(SecretStr(f"postgresql://u@{where}")).uri
    several = parse_url(SecretStr("postgresql://u@/d?host=localhost,db.example.org"))
    assert "sslmode=require" in several.uri


WEAKENED: Final = (
    "ssl_cert_reqs=none",
    "ssl_check_hostname=false",
    "ssl_min_version=1",
    "ssl_ca_certs=a&ssl_cert_reqs=optional",
)


@pytest.mark.parametrize("asked", WEAKENED)
def test_no_url_of_redis_weakens_the_check(asked: str) -> None:
    """H06: what would do so is no parameter of ours."""
    with pytest.raises(CacheError, match="a parameter is not one of ssl_ca_certs"):
        parse_redis_url(SecretStr(f"rediss://h:6379/0?{asked}"))
