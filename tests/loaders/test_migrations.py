"""The migrated database holds what the contracts describe, and refuses what they refuse."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import asyncpg
import polars as pl
import pyarrow as pa
import pytest
from pogo_core.util import migrate as pogo
from pydantic import SecretStr

from engine.tables import TABLES
from loaders import migrations
from loaders.arrow import ARROW_SCHEMAS, STAGED
from loaders.connection import warehouse_address
from loaders.errors import WarehouseError
from loaders.migrations import migrate, pending
from loaders.one_file_tables import TARGETS
from loaders.postgres import connect
from loaders.settings import Settings
from tests.warehouse import ask, start_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loaders.connection import Connection

RENAMED = {("sessions", "session_id"): "slug"}
"""Columns that have another name in the database."""

REPLACED = {"session_id": ("race_id", "entry_id"), "driver_id": ("entry_id",)}
"""Keys of a contract and the surrogate keys that stand for them."""

ALLOWED = {
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.large_string(): "text",
    pa.date32(): "date",
    pa.timestamp("us", "UTC"): "timestamp with time zone",
}
"""The one type of PostgreSQL that holds each Arrow type without loss."""

COLUMNS = """
select
    attrelid::regclass::text as table_name,
    attname as column_name,
    format_type(atttypid, atttypmod) as type,
    attnotnull as is_required,
    col_description(attrelid, attnum) as meaning
from pg_attribute
join pg_class on pg_class.oid = attrelid
where attnum > 0
    and not attisdropped
    and relkind = 'r'
    and relname not like '\\_pogo%'
    and relnamespace::regnamespace::text in ('core', 'config', 'ops', 'public', 'validation')
"""

PASSES = """
create or replace function pg_temp.passes(target regclass, field text, value text)
returns boolean language plpgsql as $$
declare
    passes boolean;
begin
    execute format(
        'select %s from (select %L::%s as %I) as probe',
        coalesce(
            (
                select string_agg(pg_get_expr(conbin, conrelid), ' and ')
                from pg_constraint
                join pg_attribute on attrelid = conrelid and attname = field
                where conrelid = target and contype = 'c' and conkey = array[attnum]
            ),
            'true'
        ),
        value,
        (select format_type(atttypid, atttypmod) from pg_attribute
            where attrelid = target and attname = field),
        field
    ) into passes;
    return coalesce(passes, true);
end $$
"""
"""Whether a column's own checks accept a value."""


@pytest.fixture(scope="module")
def connection(warehouse_settings: Settings) -> Iterator[Connection]:
    """A migrated database, of which these tests read the catalogue."""
    with connect(warehouse_settings) as connection:
        start_over(connection)
        ask(connection, PASSES)
        yield connection


@pytest.fixture
def columns(connection: Connection) -> pl.DataFrame:
    """Every column of every table of ours."""
    return ask(connection, COLUMNS)


def database(warehouse_settings: Settings, name: str) -> str:
    """Make an empty database on the embedded server, and give its URL."""

    async def create(uri: str) -> None:
        connection = await asyncpg.connect(uri)
        await connection.execute("drop database if exists scratch with (force)")
        await connection.execute("create database scratch")
        await connection.close()

    with warehouse_address(warehouse_settings) as address:
        asyncio.run(create(address.uri))
        return address.uri.replace("/postgres?", f"/{name}?")


# Contracts and catalogue


@pytest.mark.parametrize("table", STAGED)
def test_contract_and_database_agree(columns: pl.DataFrame, table: str) -> None:
    """Every column of the contract is there, of the type that holds it, null where it may be."""
    stored = {
        row["column_name"]: row
        for row in columns.filter(table_name=TARGETS[table].removeprefix("public.")).to_dicts()
    }
    for name, field in TABLES[table].columns().items():
        column = RENAMED.get((table, name), name)
        if column not in stored and name in REPLACED:
            assert set(REPLACED[name]) & stored.keys()
            continue
        assert stored[column]["type"] == ALLOWED[ARROW_SCHEMAS[table].field(name).type], name
        assert stored[column]["is_required"] is not field.nullable, name


@pytest.mark.parametrize("table", STAGED)
def test_no_check_is_narrower_than_its_contract(connection: Connection, table: str) -> None:
    """What passes the contract must not fail in the database, up to the last value allowed."""
    for name, field in TABLES[table].columns().items():
        extremes = [getattr(field, bound, None) for bound in ("min", "max")]
        if isinstance(field.dtype, pl.Enum):
            extremes = list(field.dtype.categories)
        for value in extremes:
            if isinstance(value, int | float | str):
                sql = "select pg_temp.passes($1::text::regclass, $2, $3)"
                assert ask(connection, sql, TARGETS[table], name, str(value)).item(), (name, value)


def test_every_float_refuses_what_is_no_number(
    connection: Connection, columns: pl.DataFrame
) -> None:
    """PostgreSQL sorts NaN above all numbers, so `x > 0` alone would let it pass."""
    floats = columns.filter(type="double precision")
    assert floats.height > 20
    for table, column in floats.select("table_name", "column_name").rows():
        for value in ("NaN", "Infinity", "-Infinity"):
            sql = "select pg_temp.passes($1::text::regclass, $2, $3)"
            assert not ask(connection, sql, table, column, value).item(), (table, column, value)


def test_an_insert_of_nan_fails(connection: Connection) -> None:
    """The check is not only there, it holds."""
    ask(
        connection,
        "with season as (insert into core.seasons values (1990) returning season) "
        "insert into core.races "
        "(slug, season, round, session_kind, event_name, event_key, data_source) "
        "select '1990-1', season, 1, 'race', 'A Grand Prix', '1990', 'hand' from season",
    )
    for value in ("NaN", "Infinity"):
        with pytest.raises(connection.IntegrityError, match="check constraint"):
            ask(
                connection,
                "insert into public.weather_readings (race_id, session_clock_ms, humidity_pct) "
                "select race_id, 0, $1::text::float8 from core.races",
                value,
            )
        connection.rollback()


def test_no_text_has_a_length_in_its_type(columns: pl.DataFrame) -> None:
    """INTERMEDIATE has twelve letters; a type that holds ten loses every wet race."""
    assert not columns["type"].str.contains("character").any()
    assert "timestamp without time zone" not in columns["type"].to_list()


def test_everything_is_explained(connection: Connection, columns: pl.DataFrame) -> None:
    """Every table and every column has a comment."""
    assert columns.filter(pl.col("meaning").is_null()).is_empty()
    silent = ask(
        connection,
        "select oid::regclass::text as silent from pg_class "
        "where relkind = 'r' and relname not like '\\_pogo%' "
        "and relnamespace::regnamespace::text in ('core', 'config', 'ops', 'public', 'validation') "
        "and obj_description(oid, 'pg_class') is null",
    )
    assert silent.is_empty()


def test_every_reference_can_be_looked_up_backwards(connection: Connection) -> None:
    """Without an index on the referencing columns, deleting one entry scans whole tables."""
    references = ask(
        connection,
        "select conname, exists (select from pg_index where indrelid = conrelid "
        "and (indkey::smallint[])[0:array_length(conkey, 1) - 1] = conkey) as has_index "
        "from pg_constraint where contype = 'f'",
    )
    assert references.height >= 26
    assert references.filter(~pl.col("has_index"))["conname"].to_list() == []


# Migrating


def test_migrations_are_applied_once_and_in_order(warehouse_settings: Settings) -> None:
    """Asking what is missing changes nothing, not even the tool's own tables."""
    uri = database(warehouse_settings, "scratch")
    names = sorted(path.stem for path in migrations.FOLDER.glob("*.sql"))
    assert pending(uri) == names
    assert pending(uri) == names
    assert migrate(uri) == names
    assert pending(uri) == migrate(uri) == []


def test_migrators_take_turns(warehouse_settings: Settings) -> None:
    """Four start together: one applies everything, the others find nothing left."""
    uri = database(warehouse_settings, "scratch")
    names = pending(uri)
    with ThreadPoolExecutor(4) as pool:
        applied = sorted(pool.map(migrate, [uri] * 4), key=len)
    assert applied == [[], [], [], names]


def test_every_migration_can_be_undone(warehouse_settings: Settings) -> None:
    """Down to an empty database, and up again."""
    uri = database(warehouse_settings, "scratch")
    migrate(uri)

    async def undo() -> int:
        connection = await asyncpg.connect(uri)
        await pogo.rollback(
            connection, migrations.FOLDER, schema_name="public", logger=migrations._silent
        )
        left = await connection.fetchval(
            "select count(*) from pg_class where relkind = 'r' "
            "and relname not like '\\_pogo%' and relname not like 'pg\\_%' "
            "and relnamespace::regnamespace::text <> 'information_schema'"
        )
        await connection.close()
        return int(left)

    assert asyncio.run(undo()) == 0
    assert migrate(uri) == sorted(path.stem for path in migrations.FOLDER.glob("*.sql"))


def test_a_server_of_the_users_own_is_not_migrated_unasked(warehouse_settings: Settings) -> None:
    """The refusal names what is missing and the command that applies it."""
    own = Settings(
        home=warehouse_settings.home,
        database_url=SecretStr(database(warehouse_settings, "scratch")),
    )
    says = r"lacks \d+ .*0001_reference.*drivegrade db migrate"
    with pytest.raises(WarehouseError, match=says), connect(own):
        pass
    assert own.database_url is not None
    migrate(own.database_url.get_secret_value())
    with connect(own) as connection:
        assert ask(connection, "select current_database()").item() == "scratch"


def test_a_broken_migration_leaves_nothing_behind(
    warehouse_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first statement is undone with its second, and the refusal says which file it was."""
    uri = database(warehouse_settings, "scratch")
    folder = warehouse_settings.home / "migrations"
    folder.mkdir()
    (folder / "0001_broken.sql").write_text(
        "-- Breaks\n-- depends:\n\n-- migrate: apply\n\ncreate schema half;\n"
        "select no_such_column;\n\n-- migrate: rollback\n\ndrop schema half;\n"
    )
    monkeypatch.setattr(migrations, "FOLDER", folder)
    with pytest.raises(WarehouseError, match=r"0001_broken: column .* does not exist") as refusal:
        migrate(uri)
    assert refusal.value.sqlstate == "42703"
    assert pending(uri) == ["0001_broken"]


def test_it_works_where_an_event_loop_runs(warehouse_settings: Settings) -> None:
    """A notebook has one."""

    async def in_notebook() -> list[str]:
        with warehouse_address(warehouse_settings) as address:
            return migrate(address)

    assert asyncio.run(in_notebook()) == []


def test_every_connection_has_its_limits(connection: Connection) -> None:
    """Nothing of ours waits for ever; times are shown in UTC."""
    limits = {
        "statement_timeout": "1min",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "30s",
        "transaction_timeout": "5min",
        "client_connection_check_interval": "2s",
        "timezone": "UTC",
        "application_name": "drivegrade",
    }
    for name, value in limits.items():
        assert ask(connection, "select current_setting($1)", name).item() == value
