"""H02: what a provider or a user says is data: never SQL, a path, a pattern or code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.errors import ContractError, DriveGradeError
from engine.tables import SessionKey
from engine.v1.calibration import MODEL_VERSION
from loaders import cache, explore, lake, postgres
from loaders.arrow import Grading, checked_tables
from loaders.batch import load_sessions
from loaders.errors import WarehouseError
from loaders.profiles import activate, get_profile, read_profile
from loaders.revisions import Delivery
from loaders.settings import Settings
from tests.profiles import BASELINE_PROFILE
from tests.warehouse import (
    MELBOURNE,
    ask,
    dump,
    load,
    session_tables,
    start_over,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from loaders.connection import Connection
    from tests.soak import Figure

    Tables = Mapping[str, pl.DataFrame]

PAYLOADS = {
    "quote": "x'); drop table core.races cascade; --",
    "double quote": 'x"; create role pwned superuser; --',
    "comment": "x --",
    "semicolon": "x; create table core.pwned (n int)",
    "dollar quotes": "$$; create table core.pwned (n int); $$",
    "NUL": "x\x00y",
    "backslash": "x\\'; create table core.pwned (n int); --\\",
    "percent": "%s %(name)s %n %x",
    "braces": "{0.__class__} {settings} ${HOME}",
    "newline": "x\n2099-1\r\ninjected: yes",
    "path": "../../../../pwned*",
    "right to left": "x\u202etxt.exe\u202c",
}

GRADING = Grading(BASELINE_PROFILE.name, BASELINE_PROFILE.version, MODEL_VERSION)

SESSIONS = {name: SessionKey(2025, number) for number, name in enumerate(PAYLOADS, start=1)}

TEXTS = {
    "driver name": ("entries", "driver_name"),
    "team name": ("entries", "team_name"),
    "event name": ("sessions", "event_name"),
    "race control": ("race_control", "message"),
}
"""Sinks that a provider fills: table and column."""

STORED = {
    "driver name": "select slug, driver_name from core.entries join core.races using (race_id)",
    "team name": "select slug, team_name from core.entries join core.races using (race_id)",
    "event name": "select slug, event_name from core.races",
    "race control": "select slug, message from public.race_control_messages "
    "join core.races using (race_id)",
}

CATALOGUE = """
select (
    select jsonb_agg(format('%s.%s', relnamespace::regnamespace, relname) order by oid)
    from pg_class where relnamespace::regnamespace::text !~ '^pg_'
)::text || (select jsonb_agg(rolname order by oid) from pg_roles)::text
"""
"""Names of all tables and roles."""


@pytest.fixture(scope="module")
def connection(settings: Settings) -> Iterator[Connection]:
    """The one connection of these tests."""
    with postgres.connect(settings) as opened:
        start_over(opened)
        yield opened


@pytest.fixture
def nothing_else_changed(connection: Connection, tmp_path: Path) -> Iterator[Path]:
    """A folder for the home; afterwards there are the same tables and roles, no stray files."""
    before = ask(connection, CATALOGUE).item()
    home = tmp_path / "a" / "b" / "c" / "d" / "e"
    home.mkdir(parents=True)
    yield home
    assert ask(connection, CATALOGUE).item() == before
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and home not in path.parents]
    assert outside == []
    assert not list(tmp_path.rglob("*pwned*"))


def with_payload(payload: str, session: SessionKey, *sinks: str) -> Tables:
    """A session in which some texts are the payload."""
    tables = dict(session_tables(session, drivers=["norris"]))
    for table, column in map(TEXTS.__getitem__, sinks):
        tables[table] = tables[table].with_columns(pl.lit(payload).alias(column))
    return tables


def test_what_providers_say_is_stored_as_it_is(
    connection: Connection, nothing_else_changed: Path, figure: Figure
) -> None:
    """H02: 4 sinks × 12 payloads: in PostgreSQL, in the lake, and asked for in DuckDB."""
    start_over(connection)
    sessions = {name: key for name, key in SESSIONS.items() if name != "NUL"}
    tables = together(
        *(with_payload(PAYLOADS[name], key, *TEXTS) for name, key in sessions.items())
    )
    load_sessions(
        connection, [Delivery(key, name, None) for name, key in sessions.items()], tables, [GRADING]
    )
    settings = Settings(home=nothing_else_changed)
    lake.write(settings.lake, list(sessions.values()), tables)
    wanted = {key.session_id: PAYLOADS[name] for name, key in sessions.items()}
    with explore.connect(settings) as opened:
        for sink, (table, column) in TEXTS.items():
            assert dict(ask(connection, STORED[sink]).rows()) == wanted, sink
            rows = explore.query(opened, f"select session_id, {column} from lake.{table}")  # noqa: S608
            assert dict(rows.rows()) == wanted, sink
    before = dump(connection)
    for sink in TEXTS:
        with pytest.raises(WarehouseError) as refusal:
            load(connection, with_payload(PAYLOADS["NUL"], SESSIONS["NUL"], sink), SESSIONS["NUL"])
        assert refusal.value.sqlstate in {"22021", "22P05"}, sink
    assert dump(connection) == before
    figure("H02", f"{len(TEXTS)} sinks: {len(wanted)} of 12 stored as data, 1 refused, in each")


@pytest.mark.parametrize("name", PAYLOADS)
def test_an_id_is_a_word_or_refused(name: str, connection: Connection) -> None:
    """H02: before anything is sent; a hyphen is of a word, and then the id is stored."""
    tables = dict(session_tables(drivers=["norris"]))
    for table, frame in tables.items():
        if "driver_id" in frame.columns:
            tables[table] = frame.with_columns(pl.lit(PAYLOADS[name]).alias("driver_id"))
    if name != "comment":
        with pytest.raises(ContractError, match="driver_id"):
            checked_tables([MELBOURNE], tables, [GRADING])
        return
    start_over(connection)
    load(connection, tables, data_hash=name)
    assert ask(connection, "select driver_id from core.entries").item() == PAYLOADS[name]


def outcome(act: Callable[[], object]) -> str:
    """Do something: `refused` if one of our errors says no, else `done`."""
    try:
        act()
    except DriveGradeError:
        return "refused"
    return "done"


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_profile_of_that_name_is_refused(
    name: str, connection: Connection, nothing_else_changed: Path
) -> None:
    """H02: in a file, asked for, and activated; and what is stored stays."""
    before = dump(connection)
    payload = PAYLOADS[name]
    file = nothing_else_changed / "profile.json"
    file.write_text(json.dumps({**json.loads(BASELINE_PROFILE.model_dump_json()), "name": payload}))
    assert outcome(lambda: read_profile(file)) == "refused"
    if name != "NUL":  # which no argument of a command can hold
        assert outcome(lambda: read_profile(payload)) == "refused"
    assert outcome(lambda: get_profile(connection, payload)) == "refused"
    assert outcome(lambda: activate(connection, payload)) == "refused"
    assert dump(connection) == before


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_parameter_of_a_question_is_only_compared(
    name: str, connection: Connection, nothing_else_changed: Path
) -> None:
    """H02: session kind and profile of `grades`, the session of a history: no rows, or refused."""
    load(connection, session_tables())  # the first time
    before = dump(connection)
    payload = PAYLOADS[name]

    def ask_for(query: str, *parameters: str | int | None) -> int:
        return postgres.read(connection, query, *parameters).height

    assert ask_for("grades", 2025, 1, "race", "baseline") == 2
    kinds = outcome(lambda: require(ask_for("grades", 2025, 1, payload, None) == 0))
    profiles = outcome(lambda: require(ask_for("load_history", payload) == 0))
    assert kinds == profiles == ("refused" if name == "NUL" else "done")
    assert outcome(lambda: ask_for(payload)) == "refused"
    assert dump(connection) == before


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_name_leads_out_of_the_lake(name: str, nothing_else_changed: Path) -> None:
    """H02: as a table, a kind of session, and a session's id in rows: refused, nothing written."""
    payload = PAYLOADS[name]
    settings = Settings(home=nothing_else_changed)
    tables = session_tables()
    forged = SessionKey(2025, 1, payload)
    rows = {
        table: frame.with_columns(pl.lit(forged.session_id).alias("session_id"))
        for table, frame in tables.items()
    }
    assert outcome(lambda: lake.write_session(settings.lake, MELBOURNE, rows)) == "refused"
    assert outcome(lambda: lake.write_session(settings.lake, forged, rows)) == "refused"
    renamed = {**tables, payload: tables["laps"]}
    assert outcome(lambda: lake.write_session(settings.lake, MELBOURNE, renamed)) == "refused"
    assert outcome(lambda: lake.scan(settings.lake, payload)) == "refused"
    assert list(settings.lake.rglob("*.parquet")) == []


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_name_becomes_part_of_a_key(name: str) -> None:
    """H02: a key of Redis has no part that a user chose, so nothing is separated or matched."""
    with pytest.raises(ContractError):
        cache.key(PAYLOADS[name], cache.Version(1, 1))
    assert cache.Version.parse(PAYLOADS[name]) is None


def test_all_sinks_are_counted(figure: Figure) -> None:
    """H02: five that providers fill, and profile, parameter, path and key: 108 cases."""
    cases = (len(TEXTS) + 5) * len(PAYLOADS)
    assert cases == 108
    figure("H02", f"{cases} cases, 0 executed, 0 files outside of the lake")


QUESTIONS = (
    "select * from read_text('/etc/passwd')",
    "select * from read_csv('/etc/passwd')",
    "select * from '/etc/passwd'",
    "select * from glob('/etc/*')",
    "select getenv('HOME')",
    "copy (select 1) to '{home}/pwned.csv'",
    "attach '{home}/pwned.db' as pwned",
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "select 1; drop view main.grades",
    "select * from read_parquet('{home}/../../*')",
)


def test_sql_reads_the_lake_and_nothing_else(nothing_else_changed: Path, figure: Figure) -> None:
    """H02: `drivegrade sql` takes SQL, so it is bounded by what it may reach."""
    settings = Settings(home=nothing_else_changed)
    lake.write_session(settings.lake, MELBOURNE, session_tables())
    with explore.connect(settings) as opened:
        for question in QUESTIONS:
            with pytest.raises(explore.ExploreError):
                explore.query(opened, question.format(home=nothing_else_changed))
            assert explore.query(opened, "select count(*) as n from main.grades").item() == 2
        for payload in PAYLOADS.values():
            with pytest.raises(explore.ExploreError):
                explore.query(opened, payload)
    figure("H02 sql", f"{len(QUESTIONS) + len(PAYLOADS)} hostile questions refused")


def require(is_so: bool) -> None:
    """Fail, where a lambda cannot assert."""
    assert is_so
