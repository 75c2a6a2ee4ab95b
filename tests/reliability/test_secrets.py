"""H01, H06: whatever becomes of a URL with a password, nothing that is shown holds a part of it."""

from __future__ import annotations

import io
import logging
import re
import socket
import sys
import threading
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import adbc_driver_postgresql.dbapi
import pytest
from pydantic import SecretStr
from rich.traceback import Traceback

from engine.errors import DriveGradeError
from loaders.__main__ import main
from loaders.administration import public_reason
from loaders.cache import Cache, Version
from loaders.connection import open_connection
from loaders.database_url import parse_url
from loaders.errors import WarehouseError
from loaders.migrations import pending
from loaders.postgres import connect
from loaders.reconcile import cache_state
from loaders.settings import Settings
from tests.warehouse import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.soak import Figure

ONE, TWO = "Xq7wVzK9", "Jh3rT5mB"
"""Halves of the password; a sign that a URL reserves stands between them."""

PART = 4
"""Characters of a password from which on it is a part that helps to guess it."""

MALFORMED = {
    "slash": f"postgresql://user:{ONE}/{TWO}@localhost/db",
    "question mark": f"postgresql://user:{ONE}?{TWO}@localhost/db",
    "hash": f"postgresql://user:{ONE}#{TWO}@localhost/db",
    "percent": f"postgresql://user:{ONE}%zz{TWO}@localhost/db",
    "blank": f"postgresql://user:{ONE} {TWO}@localhost/db",
    "bracket": f"postgresql://user:{ONE}[{TWO}@localhost/db",
    "broken IPv6": f"postgresql://user:{ONE}{TWO}@[::1/db",
    "password as port": f"postgresql://localhost:{ONE}{TWO}/db",
    "port of letters": f"postgresql://user:{ONE}{TWO}@localhost:54x2/db",
    "as a parameter": f"postgresql://user@localhost/db?password={ONE}{TWO}",
    "unknown parameter": f"postgresql://user:{TWO}@localhost/db?{ONE}=1",
    "other scheme": f"postgres+adbc://user:{ONE}{TWO}@localhost/db",
    "key=value": f"host=localhost password='{ONE} {TWO}'",
    "nothing else": f"{ONE}{TWO}",
}

ORDINARY = {
    "wrong password": "postgresql://guarded:{wrong}@/postgres?host={socket}",
    "no such database": "postgresql://guarded:{right}@/missing?host={socket}",
    "no such socket": "postgresql://guarded:{right}@/postgres?host=%2Fnowhere%2Fat-all",
    "nothing listens": "postgresql://guarded:{right}@127.0.0.1:{closed}/postgres",
    "no encryption": "postgresql://guarded:{right}@127.0.0.1:{plain}/postgres?sslmode=require",
    "hangs up": "postgresql://guarded:{right}@127.0.0.1:{deaf}/postgres",
}

RIGHT, WRONG = f"{ONE}/{TWO}", f"{TWO}/{ONE}"


@contextmanager
def listener(answer: bytes) -> Iterator[int]:
    """A port at which whoever connects gets an answer to the first words, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    if answer:
                        peer.recv(8)
                        peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.fixture(scope="module")
def places(settings: Settings) -> Iterator[dict[str, str]]:
    """What the ordinary URLs name: a server that asks for a password, and three ports."""
    rules = settings.home / "pg" / "data" / "pg_hba.conf"
    rules.write_text(f"local all guarded scram-sha-256\n{rules.read_text()}")
    with connect(settings) as connection:
        ask(connection, f"create role guarded login password '{RIGHT}'")
        ask(connection, "grant select on public._pogo_migration to guarded")
        ask(connection, "select pg_reload_conf(), pg_sleep(0.2)::text")
        where = ask(connection, "select current_setting('unix_socket_directories')").item()
    with socket.socket() as free, listener(b"N") as plain, listener(b"") as deaf:
        free.bind(("127.0.0.1", 0))
        yield {
            "right": quote(RIGHT, safe=""),
            "wrong": quote(WRONG, safe=""),
            "socket": quote(str(where).strip('"'), safe=""),
            "closed": str(free.getsockname()[1]),
            "plain": str(plain),
            "deaf": str(deaf),
        }


def leaks(text: str) -> list[str]:
    """Parts of the password that a text holds, as it is or encoded."""
    parts = {half[at : at + PART] for half in (ONE, TWO) for at in range(len(half) - PART + 1)}
    return sorted(part for part in parts if part in text)


def by_both_drivers(settings: Settings) -> None:
    """Connect as commands do: the migrations' driver comes first."""
    with connect(settings):
        pass


def by_adbc(settings: Settings) -> None:
    """Connect by the driver that loads."""
    assert settings.database_url is not None
    with open_connection(parse_url(settings.database_url)):
        pass


def caught(act: Callable[[Settings], object], settings: Settings) -> BaseException | None:
    """Do something that fails; no local variable here holds the URL."""
    try:
        act(settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
        return error
    return None


def surfaces(act: Callable[[Settings], object], settings: Settings) -> dict[str, str]:
    """Show an error in every way in which somebody could see it."""
    log = io.StringIO()
    root, handler = logging.getLogger(), logging.StreamHandler(log)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        error = caught(act, settings)
        assert error is not None
        logging.getLogger("of.a.user").error("it failed: %s", error, exc_info=error)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    trace = Traceback.extract(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=1000,
        locals_max_string=10_000,
    )
    values = [
        f"{name} = {node}"
        for stack in trace.stacks
        for frame in stack.frames
        for name, node in (frame.locals or {}).items()
    ]
    reason = public_reason(error) if isinstance(error, DriveGradeError) else ""
    return {
        "exception": "".join([*traceback.format_exception(error), repr(error)]),
        "log": log.getvalue(),
        "trace with local variables": "\n".join(values),
        "calendar": reason,
    }


def command_line(
    url: str, home: Path, patch: pytest.MonkeyPatch, shown: pytest.CaptureFixture[str]
) -> str:
    """Give what `drivegrade db status` prints."""
    patch.setenv("DATABASE_URL", url)
    patch.setenv("DRIVEGRADE_HOME", str(home))
    patch.setattr(sys, "argv", ["drivegrade", "db", "status"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == WarehouseError.exit_code
    printed = shown.readouterr()
    return printed.out + printed.err


def test_no_surface_shows_a_part_of_the_password(
    places: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    figure: Figure,
) -> None:
    """H01: 14 malformed and 6 ordinary URLs, five surfaces each."""
    ordinary = {name: url.format(**places) for name, url in ORDINARY.items()}
    cases = 0
    for name, url in (MALFORMED | ordinary).items():
        settings = Settings(home=tmp_path, database_url=SecretStr(url))
        seen = surfaces(by_both_drivers, settings)
        seen["command line"] = command_line(url, tmp_path, monkeypatch, capsys)
        for surface, text in seen.items():
            assert text, (name, surface)
            assert leaks(text) == [], (name, surface, text)
            cases += 1
        assert not [text for text in surfaces(by_adbc, settings).values() if leaks(text)], name
    assert (len(MALFORMED), len(ORDINARY), cases) == (14, 6, 100)
    figure("H01", f"{cases} cases of DATABASE_URL, 0 with a part of the password")


def test_the_driver_alone_would_show_it(tmp_path: Path, figure: Figure) -> None:
    """H01, control: the same surfaces find the password when the driver is given the URL."""

    def bare(settings: Settings) -> None:
        assert settings.database_url is not None
        adbc_driver_postgresql.dbapi.connect(settings.database_url.get_secret_value()).close()

    found = set()
    for name, url in MALFORMED.items():
        if "localhost" in url and name not in {"slash", "question mark"}:
            url = url.replace("localhost", "127.0.0.1")  # noqa: PLW2901 - no name is looked up
        texts = surfaces(bare, Settings(home=tmp_path, database_url=SecretStr(url)))
        found |= {name for surface in ("exception", "log") if leaks(texts[surface])}
        assert leaks(texts["trace with local variables"])
    assert len(found) >= 5
    figure("H01 control", f"{len(found)} of {len(MALFORMED)} shown without our parser")


REDIS_ORDINARY = {
    "nothing listens": "redis://:{right}@127.0.0.1:{closed}/0",
    "hangs up": "redis://user:{right}@127.0.0.1:{deaf}/0",
    "wrong password": "redis://:{wrong}@127.0.0.1:{strict}/0",
    "no Redis": "redis://:{right}@127.0.0.1:{plain}/0",
    "no encryption": "rediss://:{right}@127.0.0.1:{plain}/0",
    "no such socket": "unix://:{right}@/nowhere/at-all",
}


def by_redis(settings: Settings) -> None:
    """Look an answer up, which only logs a failure, and then do what raises it."""
    cache = Cache.of(settings)
    assert cache is not None
    try:
        assert cache.get("2025-1", Version(1, 1)) is None
        list(cache.sessions())
    finally:
        cache.close()


def state(settings: Settings) -> str:
    """What `drivegrade cache status` says of Redis, or fails with."""
    try:
        return cache_state(settings)
    except DriveGradeError as error:
        return str(error)


def test_no_surface_shows_a_part_of_the_password_of_redis(
    places: dict[str, str], tmp_path: Path, figure: Figure
) -> None:
    """H01: 14 malformed and 6 ordinary REDIS_URLs, five surfaces each."""
    malformed = {
        name: url.replace("postgresql://", "redis://").replace("/db", "/0")
        for name, url in MALFORMED.items()
    }
    cases = 0
    with listener(b"-WRONGPASS invalid username-password pair\r\n") as strict:
        ordinary = {
            name: url.format(**places, strict=strict) for name, url in REDIS_ORDINARY.items()
        }
        for name, url in (malformed | ordinary).items():
            settings = Settings(home=tmp_path, database_url=None, redis_url=SecretStr(url))
            seen = surfaces(by_redis, settings)
            seen["status"] = state(settings)
            for surface, text in seen.items():
                assert text, (name, surface)
                assert leaks(text) == [], (name, surface, text)
                cases += 1
    assert cases == 100
    figure("H01", f"{cases} cases of REDIS_URL, 0 with a part of the password")


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_server_without_encryption_is_refused(
    places: dict[str, str], mode: str, tmp_path: Path, figure: Figure
) -> None:
    """H06: neither driver goes on in the clear, and trying again is no use."""
    root = quote(str(tmp_path / "missing.crt"), safe="")
    url = ORDINARY["no encryption"].format(**places)
    if mode != "require":
        url = url.replace("sslmode=require", f"sslmode={mode}&sslrootcert={root}")
    address = parse_url(SecretStr(url))
    assert f"sslmode={mode}" in address.uri
    with pytest.raises(WarehouseError) as by_asyncpg:
        pending(address)
    with pytest.raises(WarehouseError) as by_libpq, open_connection(address):
        pass
    for error in (by_asyncpg.value, by_libpq.value):
        assert re.search("no encrypted connection|certificate", str(error))
    assert not by_libpq.value.is_transient
    figure("H06", f"{mode}: refused by both drivers")
