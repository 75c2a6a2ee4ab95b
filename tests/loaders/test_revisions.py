"""Results change months later: what was published is kept, numbered and compared."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg
import polars as pl
import pytest
from pogo_core.util import migrate as pogo
from pydantic import SecretStr

from engine.errors import ContractError
from engine.tables import SessionKey
from engine.v1.calibration import MODEL_VERSION
from loaders import migrations
from loaders.connection import warehouse_address
from loaders.errors import WarehouseError
from loaders.migrations import migrate
from loaders.postgres import connect, load_session, read
from loaders.profiles import import_profile
from loaders.revisions import diff, diff_header, revisions
from loaders.settings import Settings
from tests.frames import frame
from tests.profiles import BASELINE_PROFILE
from tests.profiles_v2 import V2_PROFILE
from tests.warehouse import (
    MELBOURNE,
    ask,
    entry_row,
    graded_v2,
    load,
    metrics_row,
    session_tables,
    snapshot,
    start_over,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loaders.connection import Connection
    from loaders.postgres import LoadReport

MONACO = SessionKey(2026, 6)

Result = tuple[str, int | None, float, str]
"""Driver, place, points, status."""

ON_THE_DAY: tuple[Result, ...] = (("hadjar", 3, 15.0, "finished"), ("gasly", 4, 12.0, "finished"))
HADJAR_OUT: tuple[Result, ...] = (
    ("hadjar", None, 0.0, "disqualified"),
    ("gasly", 3, 15.0, "finished"),
)


@pytest.fixture(scope="module")
def open_connection(warehouse_settings: Settings) -> Iterator[Connection]:
    """One connection for all tests."""
    with connect(warehouse_settings) as connection:
        yield connection


@pytest.fixture
def connection(open_connection: Connection) -> Connection:
    """An empty warehouse that knows the baseline profile."""
    start_over(open_connection)
    return open_connection


def publish(
    connection: Connection, results: tuple[Result, ...], *, data_hash: str, grade: float = 0.5
) -> LoadReport:
    """Load Monaco with these results; every driver has the same grade."""
    entries = [
        entry_row({"session_id": MONACO.session_id, "driver_id": driver}, **values)
        for driver, place, points, status in results
        for values in [{"position": place, "points": points, "status": status}]
    ]
    drivers = [driver for driver, *_ in results]
    metrics = [
        metrics_row({"session_id": MONACO.session_id, "driver_id": driver}, total_grade=grade)
        for driver in drivers
    ]
    tables = session_tables(
        MONACO,
        drivers,
        entries=frame("entries", entries),
        driver_metrics=frame("driver_metrics", metrics),
    )
    return load(connection, tables, MONACO, data_hash=data_hash)


def reload(
    connection: Connection,
    *,
    data_hash: str = "first",
    force: bool = False,
    refused: tuple[tuple[str, str], ...] = (),
    incomplete: tuple[str, ...] = (),
    refetch_at: datetime | None = None,
) -> LoadReport:
    """Load the same rows of Monaco, saying more about them."""
    return load_session(
        connection,
        MONACO,
        session_tables(MONACO),
        data_hash=data_hash,
        profile=BASELINE_PROFILE,
        model_version=MODEL_VERSION,
        force=force,
        refused=refused,
        incomplete=incomplete,
        refetch_at=refetch_at,
    )


def quality(connection: Connection) -> list[tuple[str, str, str | None, int | None]]:
    """What each load recorded besides its rows, the first one first."""
    return ask(
        connection,
        "select refused_providers::text as refused, completeness, "
        "completeness_reasons::text as reasons, data_revision from ops.loads order by load_id",
    ).rows()


# Numbering


def test_a_load_that_changes_something_is_a_revision(connection: Connection) -> None:
    """1, 2, 3 per session; equal rows under another hash, or forced, are none."""
    assert publish(connection, ON_THE_DAY, data_hash="1").data_revision == 1
    assert publish(connection, ON_THE_DAY, data_hash="1").data_revision is None
    assert publish(connection, ON_THE_DAY, data_hash="2").data_revision is None
    assert publish(connection, HADJAR_OUT, data_hash="3").data_revision == 2
    assert load(connection, session_tables(), data_hash="1").data_revision == 1
    assert publish(connection, ON_THE_DAY, data_hash="4").data_revision == 3
    listed = revisions(connection, MONACO)
    assert listed["data_revision"].to_list() == [1, 2, 3]
    assert listed["data_hash"].to_list() == ["1", "3", "4"]
    assert listed["drivers"].to_list() == [2, 2, 2]
    assert read(connection, "load_history", "2026-6")["data_revision"].to_list() == [3, 2, None, 1]


def test_an_unchanged_load_writes_nothing(connection: Connection) -> None:
    """Neither a revision nor a summary nor a record."""
    reload(connection)
    before = snapshot(connection)
    assert reload(connection).status == "unchanged"
    assert snapshot(connection) == before


# Comparing


def test_a_disqualification_months_later(connection: Connection) -> None:
    """Monaco 2026: third place goes from Hadjar to Gasly in June, and back in September."""
    publish(connection, ON_THE_DAY, data_hash="24 May")
    publish(connection, HADJAR_OUT, data_hash="12 June")
    assert diff(connection, MONACO).rows() == [
        ("gasly", "position", "4", "3"),
        ("gasly", "points", "12", "15"),
        ("hadjar", "position", "3", None),
        ("hadjar", "points", "15", "0"),
        ("hadjar", "status", "finished", "disqualified"),
    ]
    publish(connection, ON_THE_DAY, data_hash="4 September", grade=0.1 + 0.2)
    back = diff(connection, MONACO)
    assert back.columns == ["driver_id", "what", "before", "after"]
    assert back.filter(pl.col("what") == "position").rows() == [
        ("gasly", "position", "3", "4"),
        ("hadjar", "position", None, "3"),
    ]
    graded = diff(connection, MONACO, 1, 3)
    assert graded.rows() == [
        (driver, "total_grade", "0.5", "0.30000000000000004") for driver in ("gasly", "hadjar")
    ]
    header = diff_header(connection, MONACO, 1)
    assert header["data_hash"].to_list() == ["24 May", "4 September"]
    assert header["data_source"].to_list() == ["hand", "hand"]
    assert header["changed_rows"].to_list()[1] == revisions(connection, MONACO)["changed_rows"][2]


def test_a_grade_for_people_is_summarized(connection: Connection) -> None:
    """What was published under model v2 is told by column; the total is the same."""
    import_profile(connection, V2_PROFILE)
    for grade, data_hash in ((40.0, "1"), (41.5, "2")):
        tables = {**session_tables(), **graded_v2(driver_metrics={"grade": grade})}
        load(connection, tables, data_hash=data_hash, profile=V2_PROFILE)
    assert diff(connection, MELBOURNE).rows() == [("norris", "grade", "40", "41.5")]


def test_a_withdrawn_driver_has_one_side_only(connection: Connection) -> None:
    """Every published value of the driver goes to null."""
    publish(connection, ON_THE_DAY, data_hash="1")
    publish(connection, ON_THE_DAY[:1], data_hash="2")
    moved = diff(connection, MONACO)
    assert set(moved["driver_id"]) == {"gasly"}
    assert moved["after"].null_count() == moved.height
    assert set(moved["what"]) >= {"position", "status", "total_grade", "profile_name"}


def test_summaries_outlive_what_they_summarize(connection: Connection) -> None:
    """Entries and grades of revision 1 are gone, its summary is not; rounds do not matter."""
    publish(connection, ON_THE_DAY, data_hash="1")
    publish(connection, HADJAR_OUT, data_hash="2")
    ask(connection, "update core.races set round = 7, slug = '2026-7'")
    moved = SessionKey(2026, 7)
    assert diff(connection, moved).filter(what="status")["before"].to_list() == ["finished"]


@pytest.mark.parametrize(
    ("older", "newer", "says"),
    [
        (None, None, "not nothing and 1; there are 1"),
        (1, 4, "not 1 and 4; there are 1"),
        (1, 1, "not 1 and 1"),
    ],
)
def test_what_cannot_be_compared_is_said(
    connection: Connection, older: int | None, newer: int | None, says: str
) -> None:
    """With one revision there is nothing to compare; those that exist are listed."""
    publish(connection, ON_THE_DAY, data_hash="1")
    with pytest.raises(WarehouseError, match=f"2026-6: two revisions can be compared.*{says}"):
        diff(connection, MONACO, older, newer)
    with pytest.raises(WarehouseError, match="not nothing and nothing; there are none"):
        diff(connection, SessionKey(2026, 7))


# What is known besides


def test_refusals_and_gaps_are_recorded(connection: Connection) -> None:
    """Who was asked before and why it was no use, and what the session lacks."""
    reload(connection, refused=(("fastf1", "no laps"),), incomplete=("no weather",))
    assert quality(connection) == [
        (
            '[{"reason": "no laps", "provider": "fastf1"}]',
            "incomplete",
            '["no weather"]',
            1,
        )
    ]


def test_completeness_of_unchanged_data_is_recorded(connection: Connection) -> None:
    """The same rows turn out to be all there is: a record, no revision, no row of the session."""
    reload(connection, incomplete=("laps of 3 drivers",))
    before = snapshot(connection)
    report = reload(connection)
    assert (report.status, report.data_revision, report.changed_rows) == ("unchanged", None, 0)
    after = snapshot(connection)
    assert {table for table in after if after[table] != before[table]} == {"ops.loads"}
    assert quality(connection) == [
        ("[]", "incomplete", '["laps of 3 drivers"]', 1),
        ("[]", "complete", None, None),
    ]
    reload(connection)
    assert len(quality(connection)) == 2


def test_the_next_fetch_is_in_the_calendar(connection: Connection) -> None:
    """Set, moved by an unchanged load, and cleared when nothing more is expected."""
    for moment in (datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 8, tzinfo=UTC), None):
        reload(connection, refetch_at=moment)
        assert read(connection, "calendar", 2026)["refetch_at"].to_list() == [moment]
    with pytest.raises(ContractError, match="has no time zone"):
        reload(connection, refetch_at=datetime(2026, 6, 1))  # noqa: DTZ001 - that is the point


# A database that holds data


HELD = """
insert into config.calibration_profiles values ('baseline', 1, '{}', true);
insert into core.seasons values (2025), (2026);
insert into core.circuits values ('miami'), ('imola');
insert into core.teams values ('team', 'Team');
insert into core.drivers values ('gasly', 'Gasly');
insert into core.races (slug, season, round, session_kind, event_name, circuit_id, session_date,
    started_at, meeting_key, data_source)
values
    ('2026-6-sprint', 2026, 6, 'sprint', 'Miami GP', 'miami', '2026-05-02', null, null, 'jolpica'),
    ('2026-6', 2026, 6, 'race', 'Miami GP', 'miami', '2026-05-03', null, 1284, 'fastf1'),
    ('2026-4', 2026, 4, 'race', 'Miami GP', 'miami', '2026-05-03', null, 1284, 'fastf1'),
    ('2025-7', 2025, 7, 'race', 'Emilia-Romagna GP', 'imola', null, '2025-05-18T13:00Z', null,
        'jolpica'),
    ('2025-8', 2025, 8, 'race', 'A Mystery', null, null, null, null, 'hand');
insert into core.entries (race_id, driver_id, driver_name, team_id, team_name, status, position)
select race_id, 'gasly', 'Gasly', 'team', 'Team', 'finished', 3 from core.races;
insert into core.driver_metrics
select entry_id, 'baseline', 1, 'v1', 0, .5, .5, .5, .5, .5, .5, .5, 0, 0, 0, .25, 'hand',
    repeat('0', 64)
from core.entries join core.races using (race_id) where slug = '2026-4';
insert into ops.loads (race_id, data_source, data_hash, profile_name, profile_version,
    model_version, row_counts, changed_rows, application_name)
select race_id, data_source, hash, 'baseline', 1, 'v1', '{}', changed, 'drivegrade'
from core.races
join (values ('2026-6', 'a', 9), ('2026-4', 'b', 9), ('2026-4', 'c', 0), ('2026-4', 'd', 2))
    as done (slug, hash, changed) using (slug)
order by hash;
insert into public.calendar_events values
    (2026, 4, 'race', 'Miami GP', null, 'ingested'),
    (2026, 6, 'race', 'Miami GP', null, 'ingested'),
    (2026, 9, 'race', 'Canadian GP', null, 'scheduled');
"""


@pytest.fixture
def held(
    warehouse_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A database of its own that was migrated to 0004 and holds races of two seasons."""

    async def prepare(uri: str, database: str) -> None:
        connection = await asyncpg.connect(uri)
        await connection.execute("drop database if exists held with (force)")
        await connection.execute("create database held")
        await connection.close()
        with monkeypatch.context() as patch:
            for path in sorted(migrations.FOLDER.glob("000[1-4]*.sql")):
                (tmp_path / path.name).write_bytes(path.read_bytes())
            patch.setattr(migrations, "FOLDER", tmp_path)
            assert len(migrate(database)) == 4
        connection = await asyncpg.connect(database)
        await connection.execute(HELD)
        await connection.close()

    with warehouse_address(warehouse_settings) as address:
        database = address.uri.replace("/postgres?", "/held?")
        asyncio.run(prepare(address.uri, database))
        yield database


def test_a_database_that_holds_data_is_migrated(held: str, warehouse_settings: Settings) -> None:
    """Events get keys and names; a copy under an old round is told; loads become revisions."""
    applied = migrate(held)
    assert [name[:4] for name in applied][:2] == ["0005", "0006"]
    own = Settings(home=warehouse_settings.home, database_url=SecretStr(held))
    with connect(own) as connection:
        keys = ask(connection, "select slug, event_key, race_id from core.races order by slug")
        copy = keys.filter(slug="2026-6")["race_id"].item()
        assert keys.select("slug", "event_key").rows() == [
            ("2025-7", "2025-imola-2025-05-18"),
            ("2025-8", "2025-a-mystery"),
            ("2026-4", "f1-1284"),
            ("2026-6", f"f1-1284-copy-{copy}"),
            ("2026-6-sprint", "f1-1284"),
        ]
        aliases = ask(
            connection, "select alias from core.event_aliases where event_key = 'f1-1284'"
        )
        assert set(aliases["alias"]) == {
            "f1-1284",
            "2026-miami-2026-05-02",
            "2026-miami-2026-05-03",
        }
        events = read(connection, "calendar", 2026).select("round", "event_key", "attempts")
        assert events.rows() == [
            (4, "f1-1284", 0),
            (6, f"f1-1284-copy-{copy}", 0),
            (9, "2026-canadian-gp", 0),
        ]
        listed = revisions(connection, SessionKey(2026, 4))
        assert listed.select("data_revision", "data_hash", "drivers").rows() == [
            (1, "b", None),
            (2, "d", 1),
        ]
        summary = ask(
            connection,
            "select total_grade, position from ops.revision_summaries "
            "join core.races using (race_id) where slug = '2026-4'",
        )
        assert summary.rows() == [(0.25, 3)]
        with pytest.raises(WarehouseError, match="revision 1 was replaced before summaries"):
            diff(connection, SessionKey(2026, 4))


def test_data_survives_there_and_back(held: str) -> None:
    """What 0005 and 0006 added can be undone without losing a race, and added again."""
    migrate(held)

    async def undo() -> int:
        connection = await asyncpg.connect(held)
        later = sum(int(path.name[:4]) > 4 for path in migrations.FOLDER.glob("*.sql"))
        await pogo.rollback(
            connection,
            migrations.FOLDER,
            schema_name="public",
            count=later,
            logger=migrations._silent,
        )
        left = await connection.fetchval("select count(*) from core.races")
        await connection.close()
        return int(left)

    assert asyncio.run(undo()) == 5
    assert [name[:4] for name in migrate(held)][:2] == ["0005", "0006"]
