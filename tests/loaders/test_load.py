"""Many sessions are loaded at once as they would be one by one, and the lake as it is."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest
from typer.testing import CliRunner

from engine.errors import ContractError, ProfileError
from engine.tables import STORED, SessionKey, empty
from engine.v1.calibration import MODEL_VERSION
from loaders import lake
from loaders.arrow import Grading
from loaders.bulk_load import load_lake
from loaders.commands_load import load_app
from loaders.errors import SessionBusyError, WarehouseError
from loaders.fingerprint import data_hash, source_hash
from loaders.grading import grade_tables
from loaders.lake_source import refuse_other_constants, session_hashes
from loaders.manifest import LakeError
from loaders.postgres import Changes, connect, load_sessions, read
from loaders.profiles import import_profile
from loaders.providers import simulated
from loaders.revisions import Delivery, Quality
from loaders.settings import Settings
from tests.frames import frame
from tests.profiles import BASELINE_PROFILE, STRICT_PROFILE
from tests.profiles_v2 import V2_PROFILE
from tests.soak import some
from tests.warehouse import (
    DRIVERS,
    ask,
    dump,
    entry_row,
    load,
    metrics_row,
    session_tables,
    snapshot,
    start_over,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from loaders.connection import Connection
    from loaders.postgres import BatchReport

    Tables = dict[str, pl.DataFrame]

FIRST, SPRINT, RACE, LATER = (
    SessionKey(2023, 1),
    SessionKey(2025, 2, "sprint"),
    SessionKey(2025, 2),
    SessionKey(2026, 1),
)
SESSIONS = (FIRST, SPRINT, RACE, LATER)
BASELINE = Grading("baseline", 1, MODEL_VERSION)
STRICT = Grading("strict", 1, MODEL_VERSION)


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


def weekend(session: SessionKey, lap_count: int = 3, drivers: Sequence[str] = DRIVERS) -> Tables:
    """Tables of a session, in which drivers and teams are called after its season."""
    tables = session_tables(session, drivers, lap_count)
    named = pl.format("{} of {}", "driver_id", pl.lit(session.season))
    entries = tables["entries"].with_columns(driver_name=named, team_name=named)
    if session.season > 2025:
        entries = entries.with_columns(driver_code=pl.lit(None, pl.String))
    return {**tables, "entries": entries}


def weekends(sessions: Sequence[SessionKey] = SESSIONS) -> dict[SessionKey, Tables]:
    """Four sessions of three seasons, each of another length; two are of one event."""
    return {key: weekend(key, 2 + SESSIONS.index(key)) for key in sessions}


def load_all(
    connection: Connection,
    tables: Mapping[SessionKey, Tables],
    gradings: Sequence[Grading] = (BASELINE,),
    *,
    hashes: Mapping[SessionKey, str] | None = None,
    keep_newer: bool = False,
) -> BatchReport:
    """Load sessions at once, under the hash "first" or another."""
    deliveries = [Delivery(key, (hashes or {}).get(key, "first")) for key in tables]
    rows = together(*tables.values())
    return load_sessions(connection, deliveries, rows, gradings, keep_newer=keep_newer)


def changed(report: BatchReport) -> dict[str, dict[str, Changes]]:
    """Tables of which the load changed any row, by session."""
    return {
        one.session_id: {table: changes for table, changes in one.changes.items() if any(changes)}
        for one in report.sessions
    }


# At once, one by one, in any order


def test_at_once_is_the_same_as_one_by_one(connection: Connection) -> None:
    """Every value of every table, revisions and summaries included; and what was changed."""
    tables = weekends()
    at_once = changed(load_all(connection, tables))
    stored = dump(connection)
    start_over(connection)
    shared = {"core.seasons", "core.circuits", "core.teams", "core.drivers"}
    for key, rows in tables.items():
        alone = load(connection, rows, key).changes
        assert at_once[key.session_id] == {
            table: changes
            for table, changes in alone.items()
            if any(changes) and table not in shared
        }
    assert dump(connection) == stored
    assert len(stored["public.lap_times"].splitlines()) == 2 * (2 + 3 + 4 + 5)


def test_the_order_of_loads_does_not_matter(connection: Connection) -> None:
    """2023 after 2026 does not turn names back; what 2026 does not know is 2025's."""
    tables = weekends()
    load_all(connection, tables)
    stored = dump(connection)
    for order in some([(RACE, LATER, FIRST, SPRINT), SESSIONS[::-1]], 1):
        start_over(connection)
        for key in order:
            load(connection, tables[key], key)
        assert dump(connection) == stored
    drivers = ask(connection, "select driver_name, driver_code from core.drivers order by 1")
    assert drivers.rows() == [("norris of 2026", "NOR"), ("piastri of 2026", "PIA")]
    teams = ask(connection, "select team_name from core.teams order by 1")
    assert teams["team_name"].to_list() == ["norris of 2026", "piastri of 2026"]


def test_a_driver_new_to_an_older_season_is_known_by_the_newest(connection: Connection) -> None:
    """Also within one load: of two sessions the newer one names."""
    load_all(connection, weekends((FIRST, RACE)))
    names = ask(
        connection,
        "select distinct substr(driver_name, 1 + length(driver_id)) as n from core.drivers",
    )
    assert names["n"].to_list() == [" of 2025"]


# Again


def test_a_second_load_changes_nothing(connection: Connection) -> None:
    """Not a row is written; a session that has changed is loaded alone."""
    tables = weekends()
    load_all(connection, tables)
    before = snapshot(connection)
    again = load_all(connection, tables)
    assert [one.status for one in again.sessions] == ["unchanged"] * 4
    assert snapshot(connection) == before
    tables[RACE] = weekend(RACE, lap_count=3)
    third = load_all(connection, tables, hashes={RACE: "second"})
    assert [one.status for one in third.sessions] == ["unchanged"] * 2 + ["loaded", "unchanged"]
    assert changed(third)["2025-2"] == {
        "public.lap_times": Changes(deleted=2),
        "public.stints": Changes(updated=2),
    }
    assert [one.data_revision for one in third.sessions] == [None, None, 2, None]


def test_what_is_withdrawn_disappears_where_it_was(connection: Connection) -> None:
    """A lap of one session, a driver of another, the grades of a third; counted there alone."""
    tables = weekends()
    load_all(connection, tables)
    laps = tables[FIRST]["laps"]
    tables[FIRST]["laps"] = laps.filter(
        (pl.col("driver_id") != "norris") | (pl.col("lap_number") > 1)
    )
    tables[RACE] = weekend(RACE, 4, DRIVERS[:1])
    tables[LATER]["driver_metrics"] = empty("driver_metrics")
    report = load_all(connection, tables, hashes=dict.fromkeys(SESSIONS, "second"))
    assert changed(report) == {
        "2023-1": {
            "public.lap_times": Changes(deleted=1),
            "public.stints": Changes(deleted=1),
        },
        "2025-2-sprint": {},
        "2025-2": {
            "core.entries": Changes(deleted=1),
            "public.lap_times": Changes(deleted=4),
            "public.stints": Changes(deleted=2),
            "public.pit_stops": Changes(deleted=1),
            "core.overtake_events": Changes(deleted=1),
            "core.strategy_events": Changes(deleted=1),
            "core.driver_metrics": Changes(deleted=1),
        },
        "2026-1": {"core.driver_metrics": Changes(deleted=2)},
    }
    recorded = ask(
        connection,
        "select slug, changed_rows, data_revision from ops.loads join core.races using (race_id) "
        "where data_hash = 'second' order by load_id",
    )
    assert recorded.rows() == [
        ("2023-1", 2, 2),
        ("2025-2-sprint", 0, None),
        ("2025-2", 11, 2),
        ("2026-1", 2, 2),
    ]


def test_an_event_of_the_same_load_is_found(connection: Connection) -> None:
    """Sprint and race without Formula 1's key, a day apart: one event, as one by one."""
    tables = weekends((SPRINT, RACE))
    for day, rows in enumerate(tables.values(), start=22):
        rows["sessions"] = rows["sessions"].with_columns(
            meeting_key=pl.lit(None, pl.Int32), session_date=date(2025, 3, day)
        )
    load_all(connection, tables)
    keys = ask(connection, "select slug, event_key from core.races order by slug desc")
    assert keys.rows() == [
        ("2025-2-sprint", "2025-albert_park-2025-03-22"),
        ("2025-2", "2025-albert_park-2025-03-22"),
    ]


def test_many_rows_are_merged_as_few_are(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plans for whole tables give the same rows."""
    load_all(connection, weekends())
    stored = dump(connection)
    start_over(connection)
    for limit in ("MANY_ROWS", "BULK_ROWS"):
        monkeypatch.setattr(f"loaders.merging.{limit}", 1)
    load_all(connection, weekends())
    assert dump(connection) == stored


# Several gradings


def graded(session: SessionKey, *profiles: str) -> Tables:
    """A session whose drivers are graded under each profile."""
    rows = [
        metrics_row({"session_id": session.session_id, "driver_id": driver}, profile_name=profile)
        for driver in DRIVERS
        for profile in profiles
    ]
    return {**weekend(session), "driver_metrics": frame("driver_metrics", rows)}


def test_grades_under_several_profiles_are_loaded_at_once(connection: Connection) -> None:
    """A session without grades under one of them loses its old ones; the active one is shown."""
    import_profile(connection, STRICT_PROFILE)
    both = {key: graded(key, "baseline", "strict") for key in (FIRST, LATER)}
    load_all(connection, both, (BASELINE, STRICT))
    ask(connection, "update config.calibration_profiles set is_active = profile_name = 'strict'")
    fewer = {**both, LATER: graded(LATER, "baseline")}
    report = load_all(connection, fewer, (STRICT, BASELINE), hashes={LATER: "second"})
    assert changed(report) == {"2023-1": {}, "2026-1": {"core.driver_metrics": Changes(deleted=2)}}
    last = ask(connection, "select gradings::text, profile_name from ops.loads order by load_id")
    assert [name for _, name in last.rows()] == ["baseline", "baseline", "strict"]
    assert [row["profile_name"] for row in json.loads(last["gradings"][-1])] == [
        "baseline",
        "strict",
    ]


def test_sessions_that_nobody_graded_are_loaded(connection: Connection) -> None:
    """No profile is named, and the summary of the results has none."""
    tables = {FIRST: {**weekend(FIRST), "driver_metrics": empty("driver_metrics")}}
    load_all(connection, tables, ())
    named = "select profile_name from ops.{} "
    assert ask(connection, named.format("loads"))["profile_name"].to_list() == [None]
    summaries = ask(connection, named.format("revision_summaries"))
    assert summaries["profile_name"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"profile_name": "strict"}, "another profile_name"),
        ({"profile_version": 2}, "another version of the profile"),
    ],
)
def test_grades_must_be_of_the_gradings(
    connection: Connection, values: dict[str, object], says: str
) -> None:
    """Baseline 1 and strict 2 do not admit baseline 2."""
    row = {"session_id": "2023-1", "driver_id": "norris"}
    tables = {
        FIRST: {
            **weekend(FIRST),
            "driver_metrics": frame("driver_metrics", [metrics_row(row, **values)]),
        }
    }
    gradings = (BASELINE, Grading("other", 2, MODEL_VERSION))
    with pytest.raises(ContractError, match=says):
        load_all(connection, tables, gradings)


# What is refused


def test_one_bad_session_undoes_all_and_is_named(connection: Connection) -> None:
    """Refused by a contract, by the server, for its place, or for a profile: nothing is stored."""
    load_all(connection, weekends((FIRST,)))
    before = snapshot(connection)
    good = weekends()
    message = good[RACE]["race_control"].with_columns(message=pl.lit("a\0b"))
    stranger = good[RACE]["laps"].with_columns(driver_id=pl.lit("hamilton")).unique("lap_number")
    nobody = good[RACE]["entries"].clear()
    twin = weekend(SessionKey(2023, 1))
    twin["sessions"] = twin["sessions"].with_columns(meeting_key=pl.lit(9, pl.Int32))
    bad: list[tuple[dict[SessionKey, Tables], type[Exception], str]] = [
        ({**good, RACE: {**good[RACE], "laps": stranger}}, ContractError, "session_id=2025-2 "),
        ({**good, RACE: {**good[RACE], "entries": nobody}}, ContractError, "no row of 2025-2"),
        (
            {**good, RACE: {**good[RACE], "race_control": message}},
            WarehouseError,
            "loading 2025-2: .*0x00",
        ),
        ({**good, FIRST: twin}, WarehouseError, "2023-1: .* where .* is stored"),
    ]
    for tables, error, says in bad:
        with pytest.raises(error, match=says):
            load_all(connection, tables, hashes={FIRST: "second"})
        assert snapshot(connection) == before
    with pytest.raises(ProfileError, match="strict version 1 is not in the warehouse"):
        load_all(connection, good, (BASELINE, STRICT))
    assert load_all(connection, good).sessions[-1].status == "loaded"


def test_a_source_that_is_down_empties_no_session(connection: Connection) -> None:
    """The session whose laps are gone is named."""
    load_all(connection, weekends())
    tables = weekends()
    tables[RACE]["laps"] = empty("laps")
    with pytest.raises(ContractError, match="laps: none of 2025-2, although"):
        load_all(connection, tables, hashes={RACE: "second"})


def test_a_busy_session_stops_the_load(
    warehouse_settings: Settings, connection: Connection
) -> None:
    """It is named, and so is who holds it; the others are not loaded either."""
    with connect(warehouse_settings, "ingest of Shanghai") as other, other.cursor() as cursor:
        cursor.execute(
            "select pg_try_advisory_xact_lock(hashtextextended('drivegrade.session.2025-2', 0))"
        )
        cursor.fetchall()
        with pytest.raises(SessionBusyError, match="2025-2 is being loaded by ingest of Shanghai"):
            load_all(connection, weekends())
    assert ask(connection, "select count(*) from core.races").item() == 0


# What a load does not say


def test_what_nothing_is_said_of_stays(connection: Connection) -> None:
    """A copy of the lake knows neither gaps nor the next fetch; those of the ingest stay."""
    soon = datetime(2026, 6, 1, tzinfo=UTC)
    told = Quality((("fastf1", "no laps"),), ("no weather",), soon)
    rows = weekend(RACE)
    load_sessions(connection, [Delivery(RACE, "first", told)], rows, [BASELINE])
    load_sessions(connection, [Delivery(RACE, "second", None)], weekend(RACE, 5), [BASELINE])
    loads = ask(
        connection,
        "select completeness_reasons::text, refused_providers::text from ops.loads "
        "order by load_id",
    )
    assert (
        loads.rows()[0]
        == loads.rows()[1]
        == (
            '["no weather"]',
            '[{"reason": "no laps", "provider": "fastf1"}]',
        )
    )
    assert read(connection, "calendar", 2025)["refetch_at"].to_list() == [soon]


def test_an_older_copy_does_not_replace_a_newer_revision(connection: Connection) -> None:
    """Data that was loaded before the last revision is left out, if that is asked for."""
    old, new = {RACE: weekend(RACE)}, {RACE: weekend(RACE, 5)}
    load_all(connection, old)
    load_all(connection, new, hashes={RACE: "second"})
    before = snapshot(connection)
    kept = load_all(connection, old, keep_newer=True).sessions[0]
    assert (kept.status, kept.data_revision) == ("older", 2)
    assert snapshot(connection) == before
    assert load_all(connection, old).sessions[0].data_revision == 3
    assert (
        load_all(connection, new, hashes={RACE: "third"}, keep_newer=True).sessions[0].status
        == "loaded"
    )


def test_new_grades_of_old_data_do_not_replace_new_data(connection: Connection) -> None:
    """Grades are new or not by the data that they are of; without a word of it they are new."""

    def offer(data: str, source: str | None, lap_count: int = 3) -> tuple[str, int | None]:
        delivery = Delivery(RACE, data, Quality(), source)
        rows = weekend(RACE, lap_count)
        done = load_sessions(connection, [delivery], rows, [BASELINE], keep_newer=True)
        return done.sessions[0].status, done.sessions[0].data_revision

    assert offer("laps 1, grades 1", "laps 1") == ("loaded", 1)
    assert offer("laps 2, grades 1", "laps 2", 5) == ("loaded", 2)
    before = snapshot(connection)
    assert offer("laps 1, grades 2", "laps 1") == ("older", 2)
    assert snapshot(connection) == before
    assert offer("laps 2, grades 2", "laps 2", 6) == ("loaded", 3)
    assert offer("laps 1, grades 3", None) == ("loaded", 4)


# The lake


@pytest.fixture
def settings(warehouse_settings: Settings, connection: Connection, tmp_path: Path) -> Settings:
    """A lake of four sessions, and the server that the tests share."""
    with_lake = warehouse_settings.model_copy()
    object.__setattr__(with_lake, "lake", tmp_path / "lake")
    for key, rows in weekends().items():
        lake.write_session(with_lake.lake, key, rows)
    return with_lake


def test_the_lake_is_copied_as_it_is(settings: Settings, connection: Connection) -> None:
    """Rows are equal by season and table; again, at once or not, nothing changes."""
    told: list[tuple[int, int]] = []
    done = load_lake(settings, progress=lambda *numbers: told.append(numbers))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert done.seasons.rows() == [(2023, 1, 0, 0, 22), (2025, 2, 0, 0, 50), (2026, 1, 0, 0, 28)]
    assert done.differing.is_empty()
    assert done.rows.filter(table_name="laps")["lake_rows"].to_list() == [4, 14, 10]
    assert done.by_season()[1]["laps"] == 14
    before = snapshot(connection)
    for at_once in (False, True):
        again = load_lake(settings, at_once=at_once)
        assert again.seasons["unchanged"].to_list() == [1, 2, 1]
        assert again.seasons["changed_rows"].sum() == 0
    assert snapshot(connection) == before


def test_one_transaction_is_the_same_as_one_a_season(
    settings: Settings, connection: Connection
) -> None:
    """Every value of every table; one season alone is a part of it."""
    load_lake(settings)
    stored = dump(connection)
    start_over(connection)
    assert load_lake(settings, seasons=[2025]).seasons["season"].to_list() == [2025]
    start_over(connection)
    load_lake(settings, at_once=True)
    assert dump(connection) == stored


def test_a_hash_is_that_of_the_session_alone(settings: Settings) -> None:
    """So an ingest and a load of the lake know each other's data; ratings' states are no part."""
    seen = lake.snapshot(settings.lake)
    tables = {name: seen.scan(name).collect() for name in STORED}
    del tables["rating_states"]
    alone = {key: lake.read_session(settings.lake, key) for key in seen.sessions()}
    assert session_hashes(tables) == {
        key: (data_hash(frames), source_hash(frames)) for key, frames in alone.items()
    }


def test_what_only_one_has_is_told(settings: Settings, connection: Connection) -> None:
    """A race that only PostgreSQL has stays, and the season's rows differ."""
    load(connection, weekend(SessionKey(2025, 7)), SessionKey(2025, 7))
    done = load_lake(settings)
    row = done.differing.filter(table_name="sessions").row(0, named=True)
    assert (row["season"], row["lake_rows"], row["warehouse_rows"]) == (2025, 2, 3)
    assert done.by_season()[1]["sessions"] == "2 / 3"


def test_a_lake_that_is_behind_is_told(settings: Settings, connection: Connection) -> None:
    """An ingest that could not write the lake any more is newer; forced, the lake's is loaded."""
    load_lake(settings)
    load(connection, weekend(RACE, lap_count=9), RACE, data_hash="ingest")
    done = load_lake(settings)
    assert done.older == {"2025-2": 2}
    assert done.differing.filter(table_name="laps").rows() == [(2025, "laps", 14, 24)]
    assert load_lake(settings, force=True).differing.is_empty()


def test_absent_seasons_and_profiles_are_named(settings: Settings, connection: Connection) -> None:
    """With what there is, and the remedy."""
    with pytest.raises(LakeError, match="no session of 1950; seasons: 2023 to 2026"):
        load_lake(settings, seasons=[1950, 2023])
    lake.write_session(settings.lake, LATER, graded(LATER, "strict"))
    with pytest.raises(ProfileError, match=r"strict version 1.*does not know.*profile import"):
        load_lake(settings)
    assert ask(connection, "select count(*) from core.races").item() == 0


def test_grades_of_other_constants_are_refused() -> None:
    """A profile of the same name and version gives other grades; the same one gives the same."""
    tables = dict(simulated.fetch(SessionKey(2099, 1), Settings()))
    lazy = {name: rows.lazy() for name, rows in tables.items()}
    derived = grade_tables(lazy, [BASELINE_PROFILE, V2_PROFILE], "test")
    refuse_other_constants(derived, [BASELINE_PROFILE, STRICT_PROFILE, V2_PROFILE])
    wider = V2_PROFILE.consistency.model_copy(update={"sd": 2 * V2_PROFILE.consistency.sd})
    lower = tuple(total - 1e-3 for total in V2_PROFILE.total_quantiles)
    for changed_since in (
        BASELINE_PROFILE.model_copy(update={"consistency_tolerance": 1.3}),
        V2_PROFILE.model_copy(update={"consistency": wider}),
        V2_PROFILE.model_copy(update={"total_quantiles": lower}),
    ):
        named = f"{changed_since.name} version {changed_since.version}"
        with pytest.raises(ProfileError, match=rf"grade\(s\) of the lake are not .* {named}"):
            refuse_other_constants(derived, [changed_since])


def test_the_command_shows_what_it_did(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row a season, equal on both sides; a second time it says that nothing has changed."""
    monkeypatch.setattr("loaders.commands_load.read_settings", lambda: settings)
    first = CliRunner().invoke(load_app, ["--json"])
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert [(row["season"], row["sessions"], row["laps"]) for row in rows] == [
        (2023, 1, 4),
        (2025, 2, 14),
        (2026, 1, 10),
    ]
    again = CliRunner().invoke(load_app, ["--season", "2025", "--all"])
    assert "nothing has changed since the last load" in again.stdout
    refused = CliRunner().invoke(load_app, ["--to", "sqlite:///a.db", "--all"])
    assert refused.exit_code == 2


def test_entries_alone_are_a_session(connection: Connection) -> None:
    """A race of 1955: results and nothing else."""
    rows = [entry_row({"session_id": "1955-1", "driver_id": "fangio"}, points=None)]
    early = SessionKey(1955, 1)
    tables = {name: empty(name) for name in session_tables()}
    tables["sessions"] = session_tables(FIRST)["sessions"].with_columns(
        session_id=pl.lit("1955-1"),
        season=pl.lit(1955, pl.Int16),
        meeting_key=pl.lit(None, pl.Int32),
    )
    tables["entries"] = frame("entries", rows)
    report = load_sessions(connection, [Delivery(early, "first", None)], tables, [])
    assert changed(report)["1955-1"]["core.entries"] == Changes(inserted=1)
