"""A URL is read in one way or refused, and no error ever shows a password."""

from __future__ import annotations

import os
import socket
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from loaders.connection import open_connection, require_driver
from loaders.database_url import Address, parse_url, refused
from loaders.errors import WarehouseError
from loaders.migrations import migrate, pending
from loaders.postgres import connect
from loaders.settings import Settings
from tests.test_architecture import ROOT
from tests.warehouse import ask

MALFORMED = (
    "postgresql://user:hunter/2secret@localhost/db",
    "postgresql://user:hunter?2secret@localhost/db",
    "postgresql://user:hunter#2secret@localhost/db",
    "postgresql://user:hunter%2secret@localhost/db",
    "postgresql://user:hunter%zzsecret@localhost/db",
    "postgresql://user:hunter 2secret@localhost/db",
    "postgresql://user:hunter[2secret@localhost/db",
    "postgresql://user:hunter2secret@[::1/db",
    "postgresql://localhost:hunter2secret/db",
    "postgresql://user:hunter2secret@local host/db",
    "postgresql://user:hunter2secret@localhost:54x2/db",
    "postgresql://user:hunter2secret@localhost/db?password=hunter2secret",
    "postgresql://user:hunter2secret@localhost/db?hunter2secret=1",
    "postgresql://user:hunter2secret@localhost/db\n",
    "postgresql://user:hunter2secret@/db",
    "postgresql+adbc://user:hunter2secret@localhost/db",
    "postgres+psycopg://user:hunter2secret@localhost/db",
    "mysql://user:hunter2secret@localhost/db",
    "host=localhost password=hunter2secret",
    "hunter2secret",
    "postgresql:user:hunter2secret@localhost/db",
)

OURS = (ROOT / "loaders", ROOT / "engine")

SECRETS = ("hunter", "secret", "2secret")


def shown(error: BaseException) -> str:
    """Everything of an error that could be printed: text, chain, and our local variables."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [repr(frame.locals) for frame in stack if Path(frame.filename).parent in OURS]
    return "\n".join(
        [*traceback.format_exception(error), repr(error), repr(error.__context__), *ours]
    )


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_refused_without_being_shown(url: str, tmp_path: Path) -> None:
    """What one reader takes for the password, another takes for the host and prints."""
    settings = Settings(home=tmp_path, database_url=SecretStr(url))
    with pytest.raises(WarehouseError, match=r"^DATABASE_URL: ") as refusal, connect(settings):
        pass
    assert not [secret for secret in SECRETS if secret in shown(refusal.value)]


@pytest.fixture
def closed_port() -> int:
    """A port of this computer at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("password", ["hunter2secret", "hunter%2F2secret", "hunter@2secret"])
def test_a_refused_connection_shows_no_password(
    password: str, closed_port: int, tmp_path: Path
) -> None:
    """Neither through the driver nor through the migrations, and it may be tried again."""
    url = f"postgresql://user:{password}@127.0.0.1:{closed_port}/db"
    settings = Settings(home=tmp_path, database_url=SecretStr(url))
    address = parse_url(SecretStr(url))
    assert "secret" not in address.uri + repr(address) + repr(settings)
    with pytest.raises(WarehouseError, match="nothing listens") as refusal, connect(settings):
        pass
    with (
        pytest.raises(WarehouseError, match="nothing listens") as by_adbc,
        open_connection(address),
    ):
        pass
    for error in (refusal.value, by_adbc.value):
        assert error.is_transient
        assert "secret" not in shown(error)
    assert "secret" not in os.environ.get("PGPASSWORD", "")


@pytest.fixture
def guarded(warehouse_settings: Settings) -> str:
    """URL of a user whom the embedded server asks for the password `hunter/2secret`."""
    rules = warehouse_settings.home / "pg" / "data" / "pg_hba.conf"
    if "guarded" not in rules.read_text():
        rules.write_text(f"local all guarded scram-sha-256\n{rules.read_text()}")
        with connect(warehouse_settings) as connection:
            ask(connection, "create role guarded login password 'hunter/2secret'")
            ask(connection, "grant select on public._pogo_migration to guarded")
            ask(connection, "select pg_reload_conf(), pg_sleep(0.2)::text")
    host = quote(str(rules.parent), safe="")
    return f"postgresql://guarded:hunter%2F2secret@/postgres?host={host}"


def test_the_right_password_opens_both_drivers(guarded: str, tmp_path: Path) -> None:
    """It reaches the server, though no driver is given it in the URI."""
    settings = Settings(home=tmp_path, database_url=SecretStr(guarded))
    with connect(settings) as connection:
        assert ask(connection, "select current_user::text").item() == "guarded"
    assert "secret" not in os.environ.get("PGPASSWORD", "")


def test_a_wrong_password_is_not_shown(guarded: str, tmp_path: Path) -> None:
    """Neither the wrong one nor the right one; trying again would not help."""
    url = guarded.replace("hunter%2F2secret", "2secret%2Fhunter")
    settings = Settings(home=tmp_path, database_url=SecretStr(url))
    says = "refused the user or the password"
    with pytest.raises(WarehouseError, match=says) as refusal, connect(settings):
        pass
    with (
        pytest.raises(WarehouseError, match=says) as by_adbc,
        open_connection(parse_url(SecretStr(url))),
    ):
        pass
    for error in (refusal.value, by_adbc.value):
        assert not error.is_transient
        assert not [secret for secret in SECRETS if secret in shown(error)]


@pytest.mark.parametrize("action", [migrate, pending])
def test_migrations_take_a_url_apart_too(action: object) -> None:
    """They have a driver of their own."""
    assert callable(action)
    with pytest.raises(WarehouseError, match=r"^DATABASE_URL: ") as refusal:
        action("postgresql://user:hunter/2secret@localhost/db")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "uri", "password"),
    [
        ("postgresql://u:p@localhost:5433/d", "postgresql://u@localhost:5433/d", "p"),
        ("postgres://u:p%2Fq%3F@localhost/d", "postgresql://u@localhost/d", "p/q?"),
        ("postgresql://u:p@q@localhost/d", "postgresql://u@localhost/d", "p@q"),
        ("postgresql://a%40b@localhost/d", "postgresql://a%40b@localhost/d", None),
        ("postgresql://u@[::1]:1/d", "postgresql://u@[::1]:1/d", None),
        ("postgresql:///d?host=/run/pg", "postgresql:///d?host=%2Frun%2Fpg", None),
        (
            "postgresql://u@h/d?sslmode=verify-full",
            "postgresql://u@h/d?sslmode=verify-full",
            None,
        ),
    ],
)
def test_a_url_is_taken_apart(url: str, uri: str, password: str | None) -> None:
    """User, host, port and database go on; the password goes aside, decoded."""
    address = parse_url(SecretStr(url))
    found = address.password and address.password.get_secret_value()
    assert (address.uri, found) == (uri, password)


@pytest.mark.parametrize(
    "url", ["postgresql://u@localhost/d?host=/run/pg", "postgresql://u@localhost:1/d?port=2"]
)
def test_a_host_given_twice_is_refused(url: str) -> None:
    """One driver would take the first, the other the second."""
    with pytest.raises(WarehouseError, match="host or port is given twice"):
        parse_url(SecretStr(url))


@pytest.mark.parametrize(
    ("said", "reason", "passes"),
    [
        ("FATAL:  the database system is in recovery mode", "recovers from a crash", True),
        ("the database system is not yet accepting connections", "recovers from a crash", True),
        ("server closed the connection unexpectedly", "the server hung up", True),
        ("unexpected connection_lost() call", "the server hung up", True),
        ("[Errno 104] Connection reset by peer", "the server hung up", True),
        ("the database system is starting up", "starting up", True),
        ("SSL error: certificate verify failed", "not vouched for", False),
        ("no pg_hba.conf entry for host", "does not admit this user", False),
        ("whatever else", "cannot be reached", False),
    ],
)
def test_what_a_driver_says_is_put_in_our_words(said: str, reason: str, *, passes: bool) -> None:
    """Both drivers' phrases stand in one list, and whether trying again may help with them."""
    error = refused(said)
    assert reason in str(error)
    assert said not in str(error)
    assert error.is_transient is passes
    assert ("Try again" in str(error)) is passes


def test_own_options_come_last() -> None:
    """The server takes the last of two settings, so a user can overrule ours."""
    address = Address("postgresql://h/d?options=-c%20lock_timeout%3D9s")
    assert address.with_parameters({"options": "-c lock_timeout=5s", "connect_timeout": "5"}) == (
        "postgresql://h/d?options=-c%20lock_timeout%3D5s%20-c%20lock_timeout%3D9s&connect_timeout=5"
    )


def test_an_old_driver_is_refused() -> None:
    """Before 1.13 a rollback kept rows that were written after a read."""
    require_driver("1.13.0")
    require_driver("2.0")
    with pytest.raises(WarehouseError, match=r"1\.12\.3 is installed, 1\.13 or later is needed"):
        require_driver("1.12.3")
