"""A session is loaded whole or not at all, and loading it again changes only what differs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.errors import ContractError, ProfileError
from engine.tables import TABLES, SessionKey
from loaders import batch, merging, postgres
from loaders.arrow import STAGED
from loaders.connection import run_file
from loaders.errors import SessionBusyError, WarehouseError
from loaders.postgres import Changes, connect, read
from loaders.profiles import activate, import_profile
from loaders.settings import RESOURCES
from tests.frames import frame
from tests.profiles import STRICT_PROFILE
from tests.profiles_v2 import V2_PROFILE
from tests.soak import some
from tests.test_architecture import ROOT
from tests.warehouse import (
    DRIVERS,
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
    from collections.abc import Callable, Iterator

    from loaders.connection import Connection
    from loaders.settings import Settings

SHANGHAI_SPRINT = SessionKey(2025, 2, "sprint")
SHANGHAI = SessionKey(2025, 2)
MELBOURNE_2024 = SessionKey(2024, 1)


@pytest.fixture(scope="module")
def open_connection(warehouse_settings: Settings) -> Iterator[Connection]:
    """One connection for all tests: what one does wrong must not disturb the next."""
    with connect(warehouse_settings) as connection:
        yield connection


@pytest.fixture
def connection(open_connection: Connection) -> Connection:
    """An empty warehouse that knows the baseline profile."""
    start_over(open_connection)
    return open_connection


def lap_times(connection: Connection) -> dict[tuple[str, str, int], int]:
    """All stored lap times by session, driver and lap."""
    rows = ask(
        connection,
        "select slug, driver_id, lap_number, lap_time_ms from public.lap_times "
        "join core.entries using (entry_id) join core.races using (race_id)",
    ).rows()
    return {(slug, driver, lap): time_ms for slug, driver, lap, time_ms in rows}


def changed(report: postgres.LoadReport) -> dict[str, Changes]:
    """Tables of which a load changed any row."""
    return {table: changes for table, changes in report.changes.items() if any(changes)}


def with_lap(tables: dict[str, pl.DataFrame], lap: int, **values: object) -> pl.DataFrame:
    """Give the first driver's lap other values."""
    here = (pl.col("driver_id") == DRIVERS[0]) & (pl.col("lap_number") == lap)
    laps = tables["laps"]
    return laps.with_columns(
        pl.when(here).then(pl.lit(value, laps.schema[name])).otherwise(name).alias(name)
        for name, value in values.items()
    )


# What is stored


def test_every_table_gets_its_rows(connection: Connection) -> None:
    """Two drivers, three laps each, a stop after the first: six laps and four stints."""
    report = load(connection, session_tables())
    assert report.status == "loaded"
    assert {table: changes.inserted for table, changes in changed(report).items()} == {
        "core.seasons": 1,
        "core.circuits": 1,
        "core.teams": 2,
        "core.drivers": 2,
        "core.races": 1,
        "core.entries": 2,
        "public.lap_times": 6,
        "public.stints": 4,
        "public.pit_stops": 2,
        "public.race_control_messages": 1,
        "public.weather_readings": 1,
        "core.overtake_events": 1,
        "core.strategy_events": 2,
        "core.penalty_events": 1,
        "core.driver_metrics": 2,
        "public.calendar_events": 1,
    }
    assert report.changed_rows == 30


def test_values_arrive_as_they_left(connection: Connection) -> None:
    """Bit for bit: a third, a sum that is not 0.3, the smallest step from one half."""
    odd = {"expected_delta_s": -1 / 3, "total_grade": 0.1 + 0.2, "racecraft_raw": 0.5 + 2**-53}
    metrics = frame("driver_metrics", [metrics_row({"driver_id": DRIVERS[0]}, **odd)])
    load(connection, session_tables(driver_metrics=metrics))
    stored = ask(
        connection,
        "select slug as session_id, driver_id, driver_metrics.* from core.driver_metrics "
        "join core.entries using (entry_id) join core.races using (race_id)",
    )
    assert stored.select(metrics.columns).equals(metrics)


def test_stints_are_the_laps_that_share_a_number(connection: Connection) -> None:
    """The first set was three laps old; INTERMEDIATE has more than ten letters."""
    load(connection, session_tables(drivers=["norris"]))
    stints = ask(
        connection,
        "select stint_number, compound, first_lap, last_lap, lap_count, start_tyre_life_laps "
        "from public.stints order by stint_number",
    )
    assert stints.rows() == [(1, "SOFT", 1, 1, 1, 3), (2, "INTERMEDIATE", 2, 3, 2, 1)]


def test_a_load_is_recorded_with_its_provenance(connection: Connection) -> None:
    """Who loaded what, graded how, and how many rows the session has since."""
    load(connection, session_tables(), data_hash="abc")
    history = read(connection, "load_history", "2025-1").row(0, named=True)
    assert (history["data_hash"], history["profile_name"], history["profile_version"]) == (
        "abc",
        "baseline",
        1,
    )
    assert (history["application_name"], history["changed_rows"]) == ("drivegrade", 24)
    assert '"laps": 6' in history["row_counts"]
    assert read(connection, "calendar", 2025)["status"].to_list() == ["ingested"]


# Loading again


def test_the_same_data_is_not_even_compared(connection: Connection) -> None:
    """Same hash, same grading: no row is written, not even a record of the load."""
    load(connection, session_tables())
    before = snapshot(connection)
    report = load(connection, session_tables())
    assert (report.status, report.changed_rows) == ("unchanged", 0)
    assert snapshot(connection) == before


@pytest.mark.parametrize("force", [False, True])
def test_equal_rows_are_not_touched(connection: Connection, *, force: bool) -> None:
    """Forced, or under another hash: every row keeps its place and the transaction it is of."""
    load(connection, session_tables())
    before = snapshot(connection)
    report = load(connection, session_tables(), data_hash="first" if force else "2", force=force)
    assert (report.status, report.changed_rows) == ("loaded", 0)
    after = snapshot(connection)
    assert {table for table in after if after[table] != before[table]} == {
        "ops.loads",
        "ops.outbox",
    }


def test_a_corrected_lap_changes_that_row_only(connection: Connection) -> None:
    """One time and, as the tyre was misread, one stint."""
    tables = session_tables()
    load(connection, tables)
    before = snapshot(connection)["public.lap_times"].splitlines()
    corrected = {**tables, "laps": with_lap(tables, 2, lap_time_ms=91_000, compound="WET")}
    report = load(connection, corrected, data_hash="2")
    assert changed(report) == {
        "public.lap_times": Changes(updated=1),
        "public.stints": Changes(updated=1),
    }
    after = snapshot(connection)["public.lap_times"].splitlines()
    assert len(set(before) & set(after)) == 5
    assert lap_times(connection)["2025-1", DRIVERS[0], 2] == 91_000


def test_a_change_of_any_column_of_a_lap_is_noticed(connection: Connection) -> None:
    """Each lap has one more value, and then one less, in another column: all are updated."""
    columns = session_tables()["laps"].columns[3:]
    tables = session_tables(lap_count=len(columns))
    values = {"compound": "HARD", "track_status": "4", "lap_time_ms": 80_000, "stint_number": 7}
    load(connection, tables)
    for number, value in enumerate((True, None), start=2):
        laps = tables["laps"]
        for lap, column in enumerate(columns, start=1):
            new = value and values.get(column, value)
            laps = with_lap({"laps": laps}, lap, **{column: new})
        report = load(connection, {**tables, "laps": laps}, data_hash=f"{number}")
        assert report.changes["public.lap_times"] == Changes(updated=len(columns))


MERGED = {
    "sessions": "races",
    "laps": "lap_times",
    "race_control": "race_control_messages",
    "weather": "weather_readings",
    "overtakes": "overtake_events",
}
"""Merge files that are not called like the table they merge."""


@pytest.mark.parametrize("table", STAGED)
def test_no_merge_forgets_a_column(table: str) -> None:
    """Each is inserted, updated, and compared with what is stored."""
    name = MERGED.get(table, table)
    sql = (RESOURCES / "sql" / "merge" / f"{name}.sql").read_text()
    inserted = sql.partition("insert into")[2].partition(")")[0]
    keys = {"session_id", *TABLES[table].primary_key()}
    for column in TABLES[table].columns().keys() - keys:
        assert re.search(rf"\b{column}\b", inserted), column
        assert re.search(rf"\bstored\.{column}\b", sql), column
        assert len(re.findall(rf"\bincoming\.{column}\b", sql)) >= 2, column


def test_a_withdrawn_lap_disappears(connection: Connection) -> None:
    """And with it the stint it was."""
    tables = session_tables()
    load(connection, tables)
    laps = tables["laps"].filter((pl.col("driver_id") != DRIVERS[0]) | (pl.col("lap_number") != 1))
    report = load(connection, {**tables, "laps": laps}, data_hash="2")
    assert changed(report) == {
        "public.lap_times": Changes(deleted=1),
        "public.stints": Changes(deleted=1),
    }


def test_a_withdrawn_driver_disappears_with_everything(connection: Connection) -> None:
    """What hung on the entry is counted; the person stays known."""
    load(connection, session_tables())
    report = load(connection, session_tables(drivers=DRIVERS[:1]), data_hash="2")
    assert {table: changes.deleted for table, changes in changed(report).items()} == {
        "core.entries": 1,
        "public.lap_times": 3,
        "public.stints": 2,
        "public.pit_stops": 1,
        "core.overtake_events": 1,
        "core.strategy_events": 1,
        "core.driver_metrics": 1,
    }
    assert ask(connection, "select count(*) from core.drivers").item() == 2


def test_sessions_never_share_rows(connection: Connection) -> None:
    """A sprint and its race, and two years' races of one name, are four different things."""
    for lap_count, session in enumerate(
        (SHANGHAI_SPRINT, SHANGHAI, MELBOURNE_2024, MELBOURNE), start=1
    ):
        load(connection, session_tables(session, lap_count=lap_count), session)
    load(connection, session_tables(SHANGHAI, lap_count=7), SHANGHAI, data_hash="2")
    laps = ask(
        connection,
        "select slug, count(*) from core.races join core.entries using (race_id) "
        "join public.lap_times using (entry_id) group by slug",
    )
    assert dict(laps.rows()) == {"2025-2-sprint": 2, "2025-2": 14, "2024-1": 6, "2025-1": 8}


def test_what_a_session_does_not_know_is_not_forgotten(connection: Connection) -> None:
    """A source without codes and circuit names leaves those that are known, and sets new ones."""
    load(connection, session_tables())
    tables = session_tables(SHANGHAI)
    tables["entries"] = tables["entries"].with_columns(
        driver_code=pl.lit(None, pl.String), driver_name=pl.lit("Lando Norris")
    )
    tables["sessions"] = tables["sessions"].with_columns(circuit_name=pl.lit(None, pl.String))
    load(connection, tables, SHANGHAI)
    drivers = ask(connection, "select driver_code, driver_name from core.drivers order by 1")
    assert drivers.rows() == [("NOR", "Lando Norris"), ("PIA", "Lando Norris")]
    assert ask(connection, "select circuit_name from core.circuits").item() == "Albert Park"


def test_a_known_start_survives_a_session_without_one(connection: Connection) -> None:
    """The calendar's start stays; its failure and the reason go."""
    ask(connection, "insert into core.seasons values (2025)")
    ask(
        connection,
        "insert into public.calendar_events (season, round, session_kind, event_name, starts_at, "
        "status, status_reason, event_key) values "
        "(2025, 1, 'race', 'A Grand Prix', '2025-03-16T04:00Z', 'failed', 'no laps', 'f1-1254')",
    )
    load(connection, session_tables())
    event = read(connection, "calendar", None).row(0, named=True)
    assert f"{event['starts_at']:%Y-%m-%d %H:%M}" == "2025-03-16 04:00"
    assert (event["status"], event["status_reason"]) == ("ingested", None)


def test_no_laps_are_no_correction(connection: Connection) -> None:
    """A source that is down must not empty a session; who means it can force it."""
    load(connection, session_tables())
    before = snapshot(connection)
    with pytest.raises(ContractError, match="laps: none of 2025-1"):
        load(connection, session_tables(lap_count=0), data_hash="2")
    assert snapshot(connection) == before
    report = load(connection, session_tables(lap_count=0), data_hash="2", force=True)
    assert report.changes["public.lap_times"] == Changes(deleted=6)


# Grades under several profiles


def grades_under(profile: str) -> pl.DataFrame:
    """Grades of both drivers under another profile."""
    return frame(
        "driver_metrics",
        [metrics_row({"driver_id": driver}, profile_name=profile) for driver in DRIVERS],
    )


def test_profiles_keep_their_grades_side_by_side(connection: Connection) -> None:
    """Grading again under another profile adds rows; `grades` shows the profile that is asked."""
    import_profile(connection, STRICT_PROFILE)
    load(connection, session_tables())
    load(connection, session_tables(driver_metrics=grades_under("strict")), profile=STRICT_PROFILE)
    activate(connection, "strict")
    shown = read(connection, "grades", 2025, 1, "race", None)
    assert shown["profile_name"].to_list() == ["strict", "strict"]
    shown = read(connection, "grades", 2025, None, None, "baseline")
    assert shown["driver_id"].to_list() == list(DRIVERS)
    assert shown["total_grade"].to_list() == [0.5, 0.5]


def test_grades_of_replaced_inputs_do_not_stay(connection: Connection) -> None:
    """One driver's inputs were corrected: the other profile's grade of that driver is history."""
    import_profile(connection, STRICT_PROFILE)
    load(connection, session_tables(driver_metrics=grades_under("strict")), profile=STRICT_PROFILE)
    corrected = frame(
        "driver_metrics",
        [
            metrics_row({"driver_id": "norris"}, inputs_hash="f" * 64),
            metrics_row({"driver_id": "piastri"}),
        ],
    )
    report = load(connection, session_tables(driver_metrics=corrected), data_hash="2")
    assert report.changes["core.driver_metrics"] == Changes(inserted=2, deleted=1)
    stored = ask(
        connection,
        "select driver_id from core.driver_metrics join core.entries using (entry_id) "
        "where profile_name = 'strict'",
    )
    assert stored["driver_id"].to_list() == ["piastri"]


def test_an_unknown_profile_is_named(connection: Connection) -> None:
    """The database would only speak of a foreign key."""
    tables = session_tables(driver_metrics=grades_under("strict"))
    with pytest.raises(ProfileError, match="strict version 1 is not in the warehouse"):
        load(connection, tables, profile=STRICT_PROFILE)


# Grades of model v2


EVIDENCE_ROWS = {
    "public.qualifying": 3,
    "core.driver_metrics": 2,
    "core.grade_evidence": 2,
    "core.session_evidence": 1,
    "core.pass_events": 1,
    "core.slow_laps": 1,
    "core.pit_cycles": 2,
}
"""Rows of `graded_v2`."""


def stored_rows(connection: Connection) -> dict[str, int]:
    """Count what is stored of the tables of `EVIDENCE_ROWS`; of grades only those of model v2."""
    only = {"core.driver_metrics": "where model_version = 'v2'"}
    counts = {
        table: ask(connection, f"select count(*) from {table} {only.get(table, '')}")  # noqa: S608 - ours
        for table in EVIDENCE_ROWS
    }
    return {table: count.item() for table, count in counts.items()}


def test_a_grade_comes_with_its_evidence(connection: Connection) -> None:
    """Inserted, corrected and withdrawn row by row; who only qualified is known by the id."""
    import_profile(connection, V2_PROFILE)
    report = load(connection, {**session_tables(), **graded_v2()}, profile=V2_PROFILE)
    assert EVIDENCE_ROWS.items() <= {k: v.inserted for k, v in changed(report).items()}.items()
    assert stored_rows(connection) == EVIDENCE_ROWS
    names = ask(connection, "select driver_name from core.drivers order by 1")
    assert names["driver_name"].to_list() == ["Norris", "Piastri", "bearman"]
    shown = read(connection, "grades", 2025, 1, "race", "v2")
    grades = shown.select("total_grade", "total_grade_low", "grade", "grade_low", "grade_high")
    assert grades.rows() == [(-0.2, -0.25, 40.0, 30.0, 50.0)] * 2
    corrected = graded_v2(
        driver_metrics={"grade_low": 31.0},
        grade_evidence={"pace_pct": -0.1},
        session_evidence={"passes": 1},
        pass_events={"is_passed": True},
        pit_cycles={"lost_s": 0.5},
        qualifying={"q3_ms": 90_000},
    )
    withdrawn = {**session_tables(), **corrected, "slow_laps": frame("slow_laps", [])}
    report = load(connection, withdrawn, data_hash="2", profile=V2_PROFILE)
    assert changed(report) == {
        **{table: Changes(updated=1) for table in EVIDENCE_ROWS},
        "core.slow_laps": Changes(deleted=1),
    }


def test_evidence_goes_with_its_grade(connection: Connection) -> None:
    """A withdrawn driver's is gone; the other was the only one ahead, and of nobody's laps."""
    import_profile(connection, V2_PROFILE)
    load(connection, {**session_tables(), **graded_v2()}, profile=V2_PROFILE)
    alone = {**session_tables(drivers=DRIVERS[:1]), **graded_v2(DRIVERS[:1])}
    report = load(connection, alone, data_hash="2", profile=V2_PROFILE)
    assert changed(report)["core.driver_metrics"] == Changes(deleted=1)
    left = {"core.driver_metrics": 1, "core.grade_evidence": 1, "core.pass_events": 0}
    expected = {**EVIDENCE_ROWS, **left, "core.pit_cycles": 1, "public.qualifying": 2}
    assert stored_rows(connection) == expected


def test_a_grade_of_the_field_stays_while_the_whole_field_does(connection: Connection) -> None:
    """Graded with model v1, then with one driver's inputs corrected: both of v2 are history.

    And back: a grade of v1 is of its own driver's inputs alone.
    """
    import_profile(connection, V2_PROFILE)
    load(connection, {**session_tables(), **graded_v2()}, profile=V2_PROFILE)
    qualified = graded_v2()["qualifying"]
    load(connection, session_tables(qualifying=qualified))
    assert stored_rows(connection) == EVIDENCE_ROWS
    moved = [metrics_row({"driver_id": driver}) for driver in DRIVERS]
    moved[0]["inputs_hash"] = "f" * 64
    once = session_tables(driver_metrics=frame("driver_metrics", moved), qualifying=qualified)
    report = load(connection, once, data_hash="2")
    assert report.changes["core.driver_metrics"] == Changes(updated=1, deleted=2)
    assert stored_rows(connection) == dict.fromkeys(EVIDENCE_ROWS, 0) | {"public.qualifying": 3}
    load(connection, {**session_tables(), **graded_v2()}, data_hash="3", profile=V2_PROFILE)
    stored = ask(
        connection,
        "select driver_id from core.driver_metrics join core.entries using (entry_id) "
        "where model_version = 'v1'",
    )
    assert stored["driver_id"].to_list() == [DRIVERS[1]]


# What is refused


@cache
def broken_tables() -> dict[str, tuple[dict[str, pl.DataFrame], str]]:
    """Tables with one fault each, and what the refusal says of it."""
    good = session_tables()
    metrics, laps, entries = good["driver_metrics"], good["laps"], good["entries"]
    evidence, v1 = graded_v2(), {"profile_name": pl.lit("baseline"), "model_version": pl.lit("v1")}
    stranger = pl.lit("hamilton")
    faults = {
        "wrong type": ("laps", laps.cast({"lap_time_ms": pl.Int64}), "lap_time_ms is Int64"),
        "float for integer": ("laps", laps.cast({"lap_time_ms": pl.Float64}), "is Float64"),
        "text for enum": ("laps", laps.cast({"compound": pl.String}), "compound is String"),
        "local time": (
            "sessions",
            good["sessions"].cast({"started_at": pl.Datetime("us")}),
            "started_at is Datetime",
        ),
        "missing column": ("laps", laps.drop("compound"), "compound is missing"),
        "unknown column": ("laps", laps.with_columns(a=1), "column a is unknown"),
        "not a number": (
            "driver_metrics",
            metrics.with_columns(total_grade=float("nan")),
            "total_grade",
        ),
        "infinite": (
            "driver_metrics",
            metrics.with_columns(expected_delta_s=float("inf")),
            "expected_delta_s",
        ),
        "repeated key": ("laps", pl.concat([laps, laps.head(1)]), "primary_key"),
        "lap without entry": (
            "laps",
            laps.with_columns(driver_id=stranger).unique("lap_number"),
            "driver_id=hamilton lap_number",
        ),
        "unknown opponent": (
            "overtakes",
            good["overtakes"].with_columns(opponent_id=stranger),
            "opponent_id without an entry",
        ),
        "grade without entry": (
            "driver_metrics",
            metrics.head(1).with_columns(driver_id=stranger),
            "driver_id without an entry",
        ),
        "other session": (
            "weather",
            good["weather"].with_columns(session_id=pl.lit("2025-2")),
            "belong to another session",
        ),
        "other round": (
            "sessions",
            good["sessions"].with_columns(round=pl.lit(2, pl.Int16)),
            "another round",
        ),
        "unknown rival": (
            "pass_events",
            evidence["pass_events"].with_columns(**v1, opponent_id=stranger),
            "opponent_id without an entry",
        ),
        "evidence without grade": (
            "slow_laps",
            evidence["slow_laps"],
            "are of no grade",
        ),
        "evidence of another model": (
            "session_evidence",
            evidence["session_evidence"],
            "are of no grade",
        ),
        "other model": (
            "driver_metrics",
            metrics.with_columns(model_version=pl.lit("v0")),
            "another model_version",
        ),
        "no entries": ("entries", entries.clear(), "entries: no row"),
    }
    return {
        fault: ({**good, table: broken}, says) for fault, (table, broken, says) in faults.items()
    }


@pytest.mark.parametrize("fault", broken_tables())
def test_a_broken_table_is_refused_before_the_first_byte(
    connection: Connection, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent at all, so nothing can arrive half or as something else."""
    tables, says = broken_tables()[fault]
    monkeypatch.setattr(batch, "transaction", None)
    with pytest.raises(ContractError, match=says) as refusal:
        load(connection, tables)
    assert "Nothing was" in str(refusal.value)


def test_a_load_is_all_tables_and_no_others(connection: Connection) -> None:
    """Derived tables that stay in the lake may be handed over too; a misspelt one may not."""
    tables = session_tables()
    with pytest.raises(ContractError, match="weather is missing"):
        load(connection, {name: tables[name] for name in tables if name != "weather"})
    with pytest.raises(ContractError, match="wether is no table"):
        load(connection, {**tables, "wether": tables["weather"]})
    report = load(connection, {**tables, "driver_inputs": frame("driver_inputs", [])})
    assert report.status == "loaded"


def test_a_row_that_the_server_refuses_leaves_everything_as_it_was(connection: Connection) -> None:
    """PostgreSQL stores no zero bytes; the laps of the same load are undone with it."""
    tables = session_tables()
    load(connection, tables)
    before = snapshot(connection)
    broken = {
        **tables,
        "laps": with_lap(tables, 2, lap_time_ms=1),
        "race_control": tables["race_control"].with_columns(message=pl.lit("a\0b")),
    }
    with pytest.raises(WarehouseError, match=r"loading 2025-1: .*0x00") as refusal:
        load(connection, broken, data_hash="2")
    assert (refusal.value.sqlstate, refusal.value.is_transient) == ("22021", False)
    assert snapshot(connection) == before
    assert load(connection, tables, data_hash="3").changed_rows == 0


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("public.lap_times", "laps: 4 stored, 6 loaded"),
        ("core.pass_events", "pass_events: 0 stored, 1 loaded"),
    ],
)
def test_a_difference_found_on_reading_back_undoes_the_load(
    connection: Connection, table: str, says: str
) -> None:
    """Somebody else's trigger drops a lap: the load fails, and the calendar says nothing new."""
    import_profile(connection, V2_PROFILE)
    tables = {**session_tables(), **graded_v2()}
    ask(
        connection,
        "create function pg_temp.drop_lap() returns trigger language plpgsql as "
        "'begin if new.lap_number = 2 then return null; end if; return new; end'",
    )
    ask(
        connection,
        f"create trigger drop_lap before insert on {table} for each row "
        "execute function pg_temp.drop_lap()",
    )
    before = snapshot(connection)
    with pytest.raises(WarehouseError, match=says):
        load(connection, tables, profile=V2_PROFILE)
    assert snapshot(connection) == before
    ask(connection, "drop function pg_temp.drop_lap() cascade")
    assert load(connection, tables, profile=V2_PROFILE).status == "loaded"


def test_an_unknown_query_is_named(connection: Connection) -> None:
    """Also one that would leave the folder."""
    with pytest.raises(
        WarehouseError, match="there are active_profile, cache_versions, calendar, "
    ):
        read(connection, "../merge/drivers")


# Others


def test_a_busy_session_is_told_at_once(
    warehouse_settings: Settings, connection: Connection
) -> None:
    """Who holds it and since when, in less than a second; other sessions are free meanwhile."""
    with connect(warehouse_settings, "ingest of Melbourne") as other, other.cursor() as cursor:
        cursor.execute(
            "select pg_try_advisory_xact_lock(hashtextextended('drivegrade.session.2025-1', 0))"
        )
        cursor.fetchall()
        started = time.monotonic()
        with pytest.raises(
            SessionBusyError, match=r"by ingest of Melbourne .* since 20\d\d-.* UTC"
        ) as refusal:
            load(connection, session_tables())
        assert time.monotonic() - started < 1
        assert (refusal.value.exit_code, refusal.value.is_transient) == (6, True)
        assert load(connection, session_tables(SHANGHAI), SHANGHAI).status == "loaded"
    assert load(connection, session_tables()).status == "loaded"


def test_two_loaders_share_drivers_without_a_dead_lock(
    connection: Connection, warehouse_settings: Settings
) -> None:
    """They rename the same drivers, listed in opposite order, in different sessions."""

    def repeat(session: SessionKey, drivers: tuple[str, ...]) -> list[str]:
        statuses: list[str] = []
        with connect(warehouse_settings) as own:
            for number in range(4):
                tables = session_tables(session, drivers)
                renamed = pl.format("{} {}", pl.lit(number), "driver_id")
                tables["entries"] = tables["entries"].with_columns(driver_name=renamed)
                statuses.append(load(own, tables, session, data_hash=f"{number}").status)
        return statuses

    people = tuple(f"driver_{number}" for number in range(8))
    with ThreadPoolExecutor(2) as pool:
        loads = pool.map(repeat, (MELBOURNE, SHANGHAI), (people, people[::-1]))
        assert list(loads) == [["loaded"] * 4] * 2


def test_a_lost_server_is_not_taken_for_success(
    connection: Connection, warehouse_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says that it may be tried again; on a new connection it succeeds."""
    with connect(warehouse_settings) as own:
        pid = ask(own, "select pg_backend_pid()").item()

        def cut(connection_: Connection, name: str, *parameters: str | int) -> pl.DataFrame:
            if name == "merge/stints":
                ask(connection, "select pg_terminate_backend($1::integer)", pid)
            return run_file(connection_, name, *parameters)

        monkeypatch.setattr(merging, "run_file", cut)
        before = snapshot(connection)
        with pytest.raises(WarehouseError, match="Try again") as lost:
            load(own, session_tables())
        assert lost.value.is_transient
    monkeypatch.undo()
    assert snapshot(connection) == before
    assert load(connection, session_tables()).changed_rows == 30


def test_many_sessions_can_be_loaded_over_one_connection(connection: Connection) -> None:
    """Staging tables do not outlive their load."""
    for number in range(1, 6):
        session = SessionKey(2025, number)
        load(connection, session_tables(session, lap_count=number), session)
    assert len(lap_times(connection)) == 2 * (1 + 2 + 3 + 4 + 5)


KILLED = textwrap.dedent(
    """
    import sys, time
    from loaders import merging
    from loaders.postgres import connect
    from loaders.settings import Settings
    from tests.warehouse import load, session_tables

    run_file = merging.run_file

    def pausing(connection, file, *parameters):
        if file == sys.argv[1]:
            print("here", flush=True)
            time.sleep(60)
        return run_file(connection, file, *parameters)

    merging.run_file = pausing
    with connect(Settings()) as connection:
        load(connection, session_tables(lap_count=9), data_hash="killed")
    """
)


@pytest.fixture
def killed_at(warehouse_settings: Settings) -> Callable[[str], None]:
    """Kill a process that loads nine laps when it comes to a statement."""

    def kill(file: str) -> None:
        environment = {
            **os.environ,
            "DRIVEGRADE_HOME": str(warehouse_settings.home),
            "DATABASE_URL": "",
        }
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, file],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
            process.send_signal(signal.SIGKILL)

    return kill


@pytest.mark.parametrize("file", some(["queries/verification", "merge/stints"], 1))
def test_a_killed_loader_leaves_nothing_half_done(
    connection: Connection, killed_at: Callable[[str], None], file: str
) -> None:
    """No row, no lock and no temporary table of it is left; loading again completes it."""
    load(connection, session_tables())
    before = snapshot(connection)
    killed_at(file)
    assert snapshot(connection) == before
    report = load(connection, session_tables(lap_count=9), data_hash="killed")
    assert report.changes["public.lap_times"] == Changes(inserted=12)
    left = ask(connection, "select count(*) from pg_class where relname like 'stage\\_%'")
    assert left.item() == 0


def test_entries_may_have_gaps(connection: Connection) -> None:
    """A driver of whom only the name is known, in a session without grades, is loaded."""
    rows = [entry_row({"driver_id": "doe"}, driver_code=None, points=None)]
    nobody = session_tables(drivers=[], entries=frame("entries", rows))
    assert load(connection, nobody).changes["core.entries"] == Changes(inserted=1)
