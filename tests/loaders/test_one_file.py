"""A warehouse in one file holds what PostgreSQL holds, and answers the same questions."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.errors import ProfileError
from engine.tables import SessionKey
from loaders import jobs, lake
from loaders.bulk_load import load_lake
from loaders.errors import WarehouseError
from loaders.grading import grade_tables
from loaders.one_file import Target, load_file, parse_target, reading
from loaders.one_file_tables import SCHEMAS
from loaders.postgres import connect
from loaders.profiles import import_profile
from loaders.providers import simulated
from loaders.settings import RESOURCES, Settings
from tests.profiles import BASELINE_PROFILE, STRICT_PROFILE
from tests.profiles_v2 import V2_PROFILE
from tests.soak import some
from tests.warehouse import ask, graded_v2, session_tables, start_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loaders.connection import Connection

KINDS = ("sqlite", "duckdb")
NUMBERS: Final = {"race_id", "entry_id"}
TIMES: Final = {"graded_at", "updated_at", "created_at", "loaded_at"}
HELD: Final = some(
    [
        SessionKey(2099, 2, "sprint"),
        SessionKey(2099, 2),
        SessionKey(2099, 1),
        SessionKey(2099, 3),
    ],
    2,
)
"""The bundled sessions that are loaded."""

LEFT_OUT: Final = {"core.event_aliases", "ops.loads", "ops.revision_summaries"}
"""What only loads of the server need; of `ops.loads` a file has four columns."""

JOIN_ENTRY: Final = "join core.entries as entries on entries.entry_id = stored.entry_id"
JOIN_RACE: Final = "join core.races as races on races.race_id = {}.race_id"


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake of bundled sessions, graded under two profiles of model v1 and one of v2."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=None)
    fetched = [simulated.fetch(key, settings) for key in HELD]
    tables = {name: pl.concat([rows[name] for rows in fetched]) for name in fetched[0]}
    lazy = {name: rows.lazy() for name, rows in tables.items()}
    derived = grade_tables(lazy, [BASELINE_PROFILE, STRICT_PROFILE, V2_PROFILE], "test")
    lake.write(settings.lake, HELD, {**tables, **derived})
    return settings


@pytest.fixture(scope="module")
def server(warehouse_settings: Settings, graded: Settings) -> Iterator[Connection]:
    """PostgreSQL with the same lake in it."""
    own = warehouse_settings.model_copy()
    object.__setattr__(own, "lake", graded.lake)
    with connect(warehouse_settings) as connection:
        start_over(connection)
        import_profile(connection, STRICT_PROFILE)
        import_profile(connection, V2_PROFILE)
        assert load_lake(own).differing.is_empty()
        yield connection


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """A file that does not exist yet."""
    return Target(str(request.param), tmp_path / f"grades.{request.param}")


@pytest.fixture(scope="module", params=KINDS)
def made(
    request: pytest.FixtureRequest, graded: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Target:
    """A file with the lake in it. Do not write."""
    path = tmp_path_factory.mktemp("made") / f"grades.{request.param}"
    target = Target(str(request.param), path)
    load(target, graded)
    return target


@pytest.fixture
def loaded(made: Target, tmp_path: Path) -> Target:
    """A file like `made` that may be written."""
    return made._replace(path=Path(shutil.copy(made.path, tmp_path)))


def load(target: Target, settings: Settings, *, force: bool = False) -> pl.DataFrame:
    """Load the lake into a file, which knows the second profile: what became of the sessions."""
    return load_file(target, settings, profiles=[STRICT_PROFILE], force=force).seasons


def rows_of(target: Target, query: str) -> list[tuple[object, ...]]:
    """Ask with the kind's own driver, as anybody would."""
    if target.kind == "duckdb":
        with duckdb.connect(target.path, read_only=True) as opened:
            return opened.execute(query).fetchall()
    connection = sqlite3.connect(target.path)
    for schema in ("core", "config", "public"):
        connection.execute(f"attach ? as {schema}", [str(target.path)])
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def natural(table: str) -> str:
    """A question for all rows of a table, under names instead of numbers."""
    columns = [name for name in SCHEMAS[table] if name not in NUMBERS | TIMES]
    heads, joins = [], []
    if table not in {"core.races", "core.entries"} and NUMBERS & SCHEMAS[table].keys():
        if "entry_id" in SCHEMAS[table]:
            joins += [JOIN_ENTRY, JOIN_RACE.format("entries")]
            heads = ["races.slug", "entries.driver_id as entered"]
        else:
            joins, heads = [JOIN_RACE.format("stored")], ["races.slug"]
    elif table == "core.entries":
        joins, heads = [JOIN_RACE.format("stored")], ["races.slug"]
    listed = ", ".join([*heads, *(f"stored.{name}" for name in columns)])
    return f"select {listed} from {table} as stored {' '.join(joins)}"  # noqa: S608 - our tables


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Values as SQLite keeps them: booleans as numbers, times as text; in order."""
    written = frame.with_columns(
        pl.col(pl.Boolean).cast(pl.Int64),
        pl.col(pl.Date).dt.to_string("%Y-%m-%d"),
        pl.col(pl.Datetime).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f"),
    ).with_columns(pl.col(pl.Int16, pl.Int32).cast(pl.Int64))
    return written.sort(pl.all())


# Equal to PostgreSQL


@pytest.mark.parametrize("table", sorted(SCHEMAS.keys() - LEFT_OUT))
def test_columns_are_those_of_postgresql(server: Connection, table: str) -> None:
    """Each has the same columns; what PostgreSQL has besides is told in the module."""
    schema, _, name = table.partition(".")
    stored = ask(
        server,
        "select column_name::text from information_schema.columns "
        "where table_schema = $1 and table_name = $2",
        schema,
        name,
    )
    assert set(stored["column_name"]) == set(SCHEMAS[table])


def test_no_table_of_an_analyst_is_missing(server: Connection) -> None:
    """All of `core`, `config` and `public`, the names of events aside."""
    stored = ask(
        server,
        "select table_schema || '.' || table_name as name from information_schema.tables "
        "where table_schema in ('core', 'config', 'public') and table_name not like '\\_pogo%'",
    )
    assert set(stored["name"]) - LEFT_OUT == SCHEMAS.keys() - LEFT_OUT


def test_every_row_is_that_of_postgresql(server: Connection, made: Target) -> None:
    """All tables, value by value, floats bit for bit; none is empty but the marks of filling."""
    for table in SCHEMAS.keys() - LEFT_OUT - {"config.calibration_profiles"}:
        query = natural(table)
        stored = ask(server, query)
        assert stored.is_empty() == (table == "core.filled_columns"), table
        schema = plain(stored).schema if made.kind == "sqlite" else stored.schema
        found = pl.DataFrame(rows_of(made, query), schema=schema, orient="row")
        assert_frame_equal(plain(found), plain(stored), check_exact=True)


def test_the_same_question_has_the_same_answer(
    server: Connection, graded: Settings, loaded: Target
) -> None:
    """`sql/queries/grades.sql`, as it is, over a file that held an older grade."""
    seed(loaded, "update core.driver_metrics set total_grade = 0.123", "delete from ops.loads")
    assert load(loaded, graded)["loaded"].sum() == len(HELD)
    question = (RESOURCES / "sql" / "queries" / "grades.sql").read_text(encoding="utf-8")
    for asked in ((2099, None, None, "v2"), (2099, 2, "sprint", "strict"), (2098, 1, None, None)):
        with reading(loaded) as connection, connection.cursor() as cursor:
            cursor.execute(question, asked)
            found = pl.DataFrame(cursor.fetch_arrow_table())
        expected = ask(server, question, *asked)
        assert (expected.height == 0) == (asked[0] == 2098)
        if expected.height:
            keep = [name for name in expected.columns if name != "graded_at"]
            assert found.select(keep).rows() == expected.select(keep).rows()


def seed(target: Target, *statements: str) -> None:
    """Write into a file with the kind's own driver."""
    if target.kind == "duckdb":
        with duckdb.connect(target.path) as opened:
            for statement in statements:
                opened.execute(statement)
        return
    connection = sqlite3.connect(target.path)
    for statement in statements:
        for schema in ("core", "ops", "public"):
            statement = statement.replace(f"{schema}.", "")  # noqa: PLW2901 - plain names here
        connection.execute(statement)
    connection.commit()
    connection.close()


# Again


def test_a_second_load_changes_nothing(graded: Settings, loaded: Target) -> None:
    """Not a byte of the file; forced, rows are replaced and numbers stay."""
    before = loaded.path.read_bytes()
    again = load(loaded, graded)
    assert (again["loaded"].sum(), again["changed_rows"].sum()) == (0, 0)
    assert loaded.path.read_bytes() == before
    numbers = "select entry_id, race_id, driver_id from core.entries order by 1"
    kept = rows_of(loaded, numbers)
    forced = load(loaded, graded, force=True)
    assert forced["loaded"].sum() == len(HELD)
    assert rows_of(loaded, numbers) == kept


def test_a_session_is_replaced_as_a_set(tmp_path: Path, target: Target) -> None:
    """A withdrawn driver, a lap that is gone, a race at another round: nothing is left behind."""
    settings = Settings(home=tmp_path / "home", database_url=None)
    race, moved, other = SessionKey(2025, 1), SessionKey(2025, 5), SessionKey(2024, 1)
    for key in (race, other):
        lake.write_session(settings.lake, key, session_tables(key, lap_count=4))
    load(target, settings)
    qualified = graded_v2(["norris"])["qualifying"]
    sole = session_tables(race, ["norris"], lap_count=3, qualifying=qualified)
    lake.write_session(settings.lake, race, sole)
    assert load(target, settings)["loaded"].to_list() == [0, 1]
    laps = (
        "select races.slug, count(*) from public.lap_times as laps "
        "join core.entries as entries on entries.entry_id = laps.entry_id "
        "join core.races as races on races.race_id = entries.race_id group by races.slug "
        "order by races.slug"
    )
    assert rows_of(target, laps) == [("2024-1", 8), ("2025-1", 3)]
    lake.rename_sessions(settings.lake, {race: moved})
    load(target, settings)
    assert rows_of(target, laps) == [("2024-1", 8), ("2025-5", 3)]
    assert rows_of(target, "select count(*) from public.calendar_events") == [(2,)]
    names = rows_of(target, "select driver_id, driver_name from core.drivers order by 1")
    assert names == [("bearman", "bearman"), ("norris", "Norris"), ("piastri", "Piastri")]
    places = rows_of(target, "select driver_id, position from public.qualifying order by 1")
    assert places == [("bearman", 2), ("norris", 1)]


# What is refused


def test_a_failure_leaves_the_file_as_it_was(
    graded: Settings, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown profile, and an interruption after the first rows: no table, no row."""
    with pytest.raises(ProfileError, match="strict version 1, which the warehouse does not know"):
        load_file(target, graded)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_file(target, graded, profiles=[STRICT_PROFILE], progress=interrupted)
    with pytest.raises((sqlite3.Error, duckdb.Error)):
        rows_of(target, "select count(*) from core.races")
    assert load(target, graded)["loaded"].sum() == len(HELD)


def test_a_file_of_an_earlier_version_is_refused(graded: Settings, loaded: Target) -> None:
    """Its table of grades has no such column; what differs and the remedy are named."""
    seed(loaded, "alter table core.driver_metrics drop column grade_low")
    before = loaded.path.read_bytes()
    with pytest.raises(WarehouseError, match=r"metrics differs in grade_low.*remove it"):
        load(loaded, graded)
    assert loaded.path.read_bytes() == before


def test_a_version_keeps_its_constants(graded: Settings, loaded: Target) -> None:
    """Another body under the same version would make every stored grade a riddle."""
    other = STRICT_PROFILE.model_copy(update={"penalty_normalizer": 9.0})
    with pytest.raises(ProfileError, match="strict version 1 with other constants"):
        load_file(loaded, graded, profiles=[other])


def test_what_is_no_such_file_is_refused(graded: Settings, target: Target) -> None:
    """A folder that is not there, a file that is something else, a file to be read."""
    with pytest.raises(WarehouseError, match="drivegrade load --to"), reading(target):
        pass
    with pytest.raises(WarehouseError, match="cannot be opened"):
        load_file(target._replace(path=target.path.parent / "absent" / "a.db"), graded)
    target.path.write_text("not a database, but long enough to be taken for one\n" * 50)
    with pytest.raises(WarehouseError):
        load_file(target, graded)
    assert target.path.read_text().startswith("not a database")


def test_urls_are_read() -> None:
    """Three slashes and a path, as everywhere; all else is PostgreSQL's."""
    found = parse_target("sqlite:////tmp/a b.db")
    assert found is not None
    assert (found.kind, str(found.path)) == ("sqlite", "/tmp/a b.db")  # noqa: S108 - not opened
    assert parse_target("duckdb:///a.duckdb") is not None
    for url in ("postgresql://host/db", "sqlite://a.db", "sqlite:///", "sqlite:///a?mode=ro"):
        assert parse_target(url) is None


# An ingest without a server


@pytest.mark.parametrize("target", some(KINDS, 1), indirect=True)
def test_an_ingest_replaces_a_seeded_grade(tmp_path: Path, target: Target) -> None:
    """An old grade in `core.driver_metrics` gives way, and the analytics query finds the new."""
    settings = Settings(home=tmp_path / "home", database_url=None)
    sprint = SessionKey(2099, 2, "sprint")
    first = jobs.ingest_file(sprint, settings, target, provider_name="simulated")
    assert first.seasons["loaded"].to_list() == [1]
    graded = "select count(*), min(total_grade), max(total_grade) from core.driver_metrics"
    honest = rows_of(target, graded)
    seed(target, "update core.driver_metrics set total_grade = 0.123", "delete from ops.loads")
    assert rows_of(target, graded) == [(20, 0.123, 0.123)]
    jobs.ingest_file(sprint, settings, target, provider_name="simulated")
    assert rows_of(target, graded) == honest
    assert honest[0][0] == 20
    assert not (settings.home / "pg").exists()
