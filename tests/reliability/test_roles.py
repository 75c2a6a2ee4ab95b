"""H07: each role of the database does its work, and nothing beyond it, on a real server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from engine.tables import SessionKey
from loaders import administration, jobs, postgres, profiles
from loaders.cache import current_versions
from loaders.connection import open_connection, transaction, warehouse_address
from loaders.database_url import parse_url
from loaders.errors import SessionBusyError, WarehouseError
from loaders.migrations import migrate, pending
from loaders.roles import grant_roles
from loaders.settings import Settings
from tests.warehouse import ask, dump, snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loaders.connection import Connection
    from tests.soak import Figure

SESSION = SessionKey(2099, 1)

API_READS = ("core", "public")
"""Schemas that the api role reads whole; beside them it reads the profiles."""

OTHERS = {
    "read passwords": "select rolpassword from pg_authid",
    "read a file of the server": "select pg_read_file('PG_VERSION')",
    "run a program": "copy (select 1) to program 'true'",
    "become the superuser": "set role postgres",
    "make a role": "create role mine",
}
"""Forbidden to all three."""

FORBIDDEN = {
    "drivegrade_api": {
        "add a row": "insert into core.seasons values (1999)",
        "change a row": "update core.drivers set driver_name = 'x'",
        "remove rows": "delete from core.races",
        "empty a table": "truncate core.races cascade",
        "make a table": "create table public.mine (n int)",
        "make a temporary table": "create temporary table mine (n int)",
        "read who loaded what": "select application_name from ops.loads",
        "become another role": "set role drivegrade_ingest",
    },
    "drivegrade_ingest": {
        "empty a table": "truncate core.races cascade",
        "remove a table": "drop table core.races cascade",
        "change a table": "alter table core.drivers add column x int",
        "make a table": "create table core.mine (n int)",
        "rewrite the record of loads": "update ops.loads set data_hash = 'x'",
        "remove from the record of loads": "delete from ops.loads",
        "change a profile's constants": "update config.calibration_profiles set body = '{}'",
        "pretend a migration": "delete from public._pogo_migration",
    },
    "drivegrade_migrate": {
        "call machine code": "create function mine() returns int language c as 'libc', 'exit'",
        "change the server's settings": "select pg_reload_conf()",
        "switch triggers off": "set session_replication_role = replica",
        "load code": "load 'auto_explain'",
        "make itself superuser": "alter role drivegrade_migrate superuser",
        "end others' sessions": "select pg_terminate_backend(pid) from pg_stat_activity "
        "where usename = 'postgres'",
        "write a file of the server": "copy (select 1) to '/tmp/drivegrade-mine'",
        "become another role": "set role drivegrade_ingest",
    },
}


@pytest.fixture(scope="module")
def granted(settings: Settings) -> Settings:
    """A server with the roles."""
    grant_roles(settings)
    return settings


@contextmanager
def as_role(granted: Settings, role: str, home: Path) -> Iterator[Settings]:
    """Settings of somebody who knows the server as that role only."""
    with warehouse_address(granted) as address:
        where = address.uri.partition("?")[2]
        url = f"postgresql://{role}@/postgres?{where}"
        yield Settings(home=home, database_url=SecretStr(url))


@contextmanager
def connected(granted: Settings, role: str, home: Path) -> Iterator[Connection]:
    """Connect as a role."""
    with as_role(granted, role, home) as settings, postgres.connect(settings) as connection:
        yield connection


def refusal(connection: Connection, statement: str) -> str | None:
    """Try a statement: the code with which the server refuses it; None if it does not."""
    try:
        with transaction(connection, "trying"), connection.cursor() as cursor:
            cursor.execute(statement)
            cursor.fetch_arrow_table()
    except WarehouseError as error:
        return error.sqlstate
    return None


def test_ingest_ingests_and_api_reads(granted: Settings, tmp_path: Path) -> None:
    """H07: a session goes in as drivegrade_ingest, and its grades come out as drivegrade_api."""
    with as_role(granted, "drivegrade_ingest", tmp_path) as settings:
        first = jobs.ingest(SESSION, settings, provider_name="simulated")
        again = jobs.ingest(SESSION, settings, provider_name="simulated")
        with postgres.connect(settings) as ingesting:
            profiles.activate(ingesting, "baseline")
            profiles.activate(ingesting, profiles.DEFAULT)
    assert (first.load.status, again.load.status) == ("loaded", "unchanged")
    with as_role(granted, "drivegrade_api", tmp_path) as settings:
        grades = administration.read_grades(settings, SESSION.season, SESSION.round, None)
        calendar = administration.read_calendar(settings, SESSION.season)
        with postgres.connect(settings) as reading, transaction(reading, "asking"):
            versions = current_versions(reading, [SESSION.session_id])
    assert grades["grade"].count() == first.graded > 0
    assert versions.keys() == {SESSION.session_id}
    assert calendar["status"].to_list() == ["ingested"]


@pytest.mark.parametrize("role", FORBIDDEN)
def test_what_a_role_may_not_do(
    granted: Settings, role: str, tmp_path: Path, figure: Figure
) -> None:
    """H07: eight things each, and five that none may; refused, and nothing has changed."""
    with postgres.connect(granted) as owner:
        before = dump(owner)
    with connected(granted, role, tmp_path) as connection:
        # the api's own setting would refuse a write first; its rights must do it alone
        ask(connection, "set default_transaction_read_only = off")
        codes = {
            what: refusal(connection, statement)
            for what, statement in (FORBIDDEN[role] | OTHERS).items()
        }
    assert set(codes.values()) == {"42501"}, codes
    with postgres.connect(granted) as owner:
        assert dump(owner) == before
    figure("H07", f"{role}: {len(codes)} forbidden things refused of {len(codes)}")


def test_api_is_bounded(granted: Settings, tmp_path: Path) -> None:
    """H07: it begins read-only with two seconds a statement; more rights it does not get."""
    with as_role(granted, "drivegrade_api", tmp_path) as settings:
        assert settings.database_url is not None
        url = f"{settings.database_url.get_secret_value()}&options=-c%20statement_timeout%3D200ms"
        with open_connection(parse_url(SecretStr(url))) as connection:
            slow = refusal(connection, "select pg_sleep(5)::text")
            written = refusal(connection, "create table public.mine (n int)")
    assert (slow, written) == ("57014", "25006")
    with postgres.connect(granted) as owner:
        given = ask(
            owner, "select unnest(rolconfig) from pg_roles where rolname = 'drivegrade_api'"
        )
    assert {"default_transaction_read_only=on", "statement_timeout=2s"} <= set(given.to_series())


ROLE_SETTINGS = "select unnest(rolconfig) from pg_roles where rolname = 'drivegrade_api'"

EXPECTED = """
select
    format('%s.%I', relnamespace::regnamespace, relname) as table_name,
    relowner = 'drivegrade_migrate'::regrole as is_migrates,
    (
        select string_agg(privilege, ' ' order by privilege)
        from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'trigger'])
            as privilege
        where has_table_privilege('drivegrade_ingest', pg_class.oid, privilege)
    ) as ingest,
    (
        select string_agg(privilege, ' ' order by privilege)
        from unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'trigger'])
            as privilege
        where has_table_privilege('drivegrade_api', pg_class.oid, privilege)
    ) as api
from pg_class
where relkind in ('r', 'p', 'v', 'm')
    and relnamespace::regnamespace::text in ('core', 'config', 'ops', 'validation', 'public')
"""

INGEST_EXCEPTIONS = {
    "config.calibration_profiles": "insert select",
    "ops.loads": "insert select",
    "ops.profile_activations": "insert select",
    "ops.revision_summaries": "insert select",
    "public._pogo_migration": "select",
    "validation.external_rankings": "delete insert select",
    "validation.validation_metrics": "insert select",
}


def test_every_table_of_the_catalogue_has_its_rights(granted: Settings) -> None:
    """H07: also a table that a later migration brings; a new exception is entered here."""
    with connected(granted, "drivegrade_migrate", granted.home) as connection:
        ask(connection, "create table core.later (n int)")
        ask(connection, "create table ops.later (n int)")
    with postgres.connect(granted) as owner:
        rows = ask(owner, EXPECTED).rows(named=True)
        ask(owner, "drop table core.later")
        ask(owner, "drop table ops.later")
    assert {"core.later", "ops.later"} < {row["table_name"] for row in rows}
    for row in rows:
        table = row["table_name"]
        is_read = table.partition(".")[0] in API_READS or table == "config.calibration_profiles"
        wanted = INGEST_EXCEPTIONS.get(table, "delete insert select update")
        assert row == {
            "table_name": table,
            "is_migrates": True,
            "ingest": wanted,
            "api": "select" if is_read else None,
        }


def test_granting_again_changes_nothing(granted: Settings) -> None:
    """The command can be repeated after every migration."""
    with postgres.connect(granted) as owner:
        before = ask(owner, EXPECTED).sort("table_name"), snapshot(owner)
    counted = grant_roles(granted)
    with postgres.connect(granted) as owner:
        assert ask(owner, EXPECTED).sort("table_name").equals(before[0])
        assert snapshot(owner) == before[1]
    assert dict(counted.select("role_name", "owns").rows())["drivegrade_ingest"] == 0


def test_migrate_makes_a_whole_database(granted: Settings, tmp_path: Path) -> None:
    """H07: drivegrade_migrate needs no help; ingest may not apply what is pending."""
    with postgres.connect(granted) as owner:
        owner.adbc_connection.set_autocommit(True)
        with owner.cursor() as cursor:
            cursor.execute("create database fresh owner drivegrade_migrate")
    addresses = {}
    for role in ("drivegrade_ingest", "drivegrade_migrate"):
        with as_role(granted, role, tmp_path) as settings:
            assert settings.database_url is not None
            url = settings.database_url.get_secret_value().replace("/postgres?", "/fresh?")
            addresses[role] = parse_url(SecretStr(url))
    with pytest.raises(WarehouseError) as refused:
        migrate(addresses["drivegrade_ingest"])
    assert refused.value.sqlstate == "42501"
    missing = pending(addresses["drivegrade_migrate"])
    assert migrate(addresses["drivegrade_migrate"]) == missing != []
    assert pending(addresses["drivegrade_migrate"]) == []


def test_ingest_is_told_of_a_holder_under_another_role(granted: Settings, tmp_path: Path) -> None:
    """H07, P7: the server hides when another role's transaction began, not that it holds."""
    lock = "select pg_try_advisory_xact_lock(hashtextextended('drivegrade.session.2099-1', 0))"
    with postgres.connect(granted) as owner, owner.cursor() as cursor:
        cursor.execute(lock)
        cursor.fetch_arrow_table()
        with (
            as_role(granted, "drivegrade_ingest", tmp_path) as settings,
            pytest.raises(SessionBusyError, match="as another role"),
        ):
            jobs.ingest(SESSION, settings, provider_name="simulated")
