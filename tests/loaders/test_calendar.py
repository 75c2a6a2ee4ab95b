"""An event stays itself whatever its round, and the calendar of a season can be renumbered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import pytest

from engine.errors import ContractError
from engine.tables import CalendarSessions, SessionKey
from loaders import lake
from loaders.calendar import fail_attempt, start_attempt, sync_calendar
from loaders.errors import WarehouseError
from loaders.manifest import LakeError
from loaders.postgres import connect, read
from tests.frames import frame
from tests.soak import some
from tests.test_architecture import ROOT
from tests.warehouse import ask, load, session_tables, snapshot, start_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loaders.connection import Connection
    from loaders.postgres import LoadReport
    from loaders.settings import Settings


SCHEMA = {name: column.dtype for name, column in CalendarSessions.columns().items()}


class Event(NamedTuple):
    """An event as a source knows it."""

    name: str
    circuit: str | None
    day: str | None
    key: int | None = None


AUSTRALIA = Event("Australian Grand Prix", "albert_park", "2026-03-08", 1279)
BAHRAIN = Event("Bahrain Grand Prix", "bahrain", "2026-04-12", 1282)
MIAMI = Event("Miami Grand Prix", "miami", "2026-05-03", 1284)
CANADA = Event("Canadian Grand Prix", "villeneuve", "2026-05-24", 1285)
SEPANG = Event("Bahrain Grand Prix", "sepang", "2026-10-04", 1299)
SINGAPORE = Event("Singapore Grand Prix", "marina_bay", "2026-10-11", 1296)
AUSTIN = Event("United States Grand Prix", "americas", "2026-10-25", 1297)


def on(event: Event, days: int = 0, key: int | None = None) -> Event:
    """Give the event as another source knows it: some days later, under another key or none."""
    moved = event.day and str(date.fromisoformat(event.day) + timedelta(days))
    return event._replace(day=moved, key=key)


def session_frame(session: SessionKey, event: Event) -> pl.DataFrame:
    """Write the row of a session."""
    row = {
        "session_id": session.session_id,
        **session._asdict(),
        "event_name": event.name,
        "circuit_id": event.circuit,
        "session_date": event.day and date.fromisoformat(event.day),
        "meeting_key": event.key,
    }
    return frame("sessions", [row])


def store(
    connection: Connection,
    round_number: int,
    event: Event,
    *,
    kind: str = "race",
    lap_count: int = 3,
    data_hash: str = "first",
) -> LoadReport:
    """Load a session of an event; the number of laps tells later which one it was."""
    season = int(str(event.day or "2026")[:4])
    session = SessionKey(season, round_number, kind)
    tables = session_tables(session, lap_count=lap_count, sessions=session_frame(session, event))
    return load(connection, tables, session, data_hash=data_hash)


def calendar(*rows: tuple[int | None, Event] | tuple[int | None, Event, str]) -> pl.DataFrame:
    """Write a calendar: round and event, with the kind of session or "cancelled" if need be."""
    made = []
    for round_number, event, *rest in rows:
        kind = rest[0] if rest else "race"
        day = date.fromisoformat(str(event.day))
        made.append(
            {
                "season": day.year,
                "round": round_number,
                "session_kind": "race" if kind == "cancelled" else kind,
                "event_name": event.name,
                "circuit_id": event.circuit,
                "session_date": day,
                "starts_at": datetime(day.year, day.month, day.day, 14, tzinfo=UTC),
                "meeting_key": event.key,
                "is_cancelled": kind == "cancelled",
            }
        )
    return pl.DataFrame(made, schema=SCHEMA)


def stored(connection: Connection) -> dict[str, tuple[str, str]]:
    """Stored races by slug: what the event is called, and its key."""
    rows = ask(connection, "select slug, event_name, event_key from core.races").rows()
    return {slug: (name, key) for slug, name, key in rows}


def grades(connection: Connection) -> dict[str, tuple[int, int]]:
    """Grades and laps by slug."""
    rows = ask(
        connection,
        "select slug, (select count(*) from core.driver_metrics join core.entries using "
        "(entry_id) where race_id = races.race_id) as grades, (select count(*) from "
        "public.lap_times join core.entries using (entry_id) where race_id = races.race_id) "
        "as laps from core.races",
    ).rows()
    return {slug: (metrics, laps) for slug, metrics, laps in rows}


def listed(connection: Connection, season: int = 2026) -> dict[int | None, tuple[str, str]]:
    """The calendar's Grands Prix by round: name and status."""
    rows = read(connection, "calendar", season).filter(session_kind="race")
    return {
        number: (name, status)
        for number, name, status in rows.select("round", "event_name", "status").rows()
    }


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


# One event is one race


def test_two_sources_of_one_event_make_one_race(connection: Connection) -> None:
    """First without Formula 1's key, then with it: same key ever after, both names known."""
    store(connection, 1, on(AUSTRALIA))
    report = store(connection, 1, AUSTRALIA, data_hash="2")
    assert report.changes["core.races"] == (0, 1, 0)
    assert stored(connection) == {
        "2026-1": (AUSTRALIA.name, "2026-albert_park-2026-03-08"),
    }
    aliases = ask(connection, "select alias, source from core.event_aliases order by alias")
    assert aliases.rows() == [("2026-albert_park-2026-03-08", "hand"), ("f1-1279", "hand")]
    assert store(connection, 1, AUSTRALIA, data_hash="2").status == "unchanged"


@pytest.mark.parametrize("days", [-1, 1])
def test_las_vegas_is_one_event_on_two_dates(connection: Connection, days: int) -> None:
    """Saturday night there is Sunday here."""
    vegas = Event("Las Vegas Grand Prix", "vegas", "2026-11-21", 1301)
    store(connection, 22, vegas)
    store(connection, 22, on(vegas, days), data_hash="2")
    assert [key for _, key in stored(connection).values()] == ["f1-1301"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            Event("Austrian Grand Prix", "red_bull_ring", "2020-07-05"),
            Event("Styrian Grand Prix", "red_bull_ring", "2020-07-12"),
        ),
        (
            Event("Bahrain Grand Prix", "bahrain", "2020-11-29", 1048),
            Event("Sakhir Grand Prix", "bahrain", "2020-12-06", 1049),
        ),
    ],
)
def test_two_events_at_one_circuit_never_merge(
    connection: Connection, first: Event, second: Event
) -> None:
    """A week apart: neither as different rounds, nor by being given the same one."""
    store(connection, 1, first)
    store(connection, 2, second)
    before = snapshot(connection)
    for event in (second, on(second)):
        with pytest.raises(WarehouseError, match="drivegrade calendar sync 2020"):
            store(connection, 1, event, data_hash="2")
    assert snapshot(connection) == before
    assert len({key for _, key in stored(connection).values()}) == 2


def test_a_name_at_another_circuit_is_another_event(connection: Connection) -> None:
    """Bahrain in April and "Bahrain" at Sepang in October, with keys and without."""
    store(connection, 4, on(BAHRAIN))
    store(connection, 16, on(SEPANG))
    store(connection, 4, BAHRAIN, data_hash="2")
    store(connection, 16, SEPANG, data_hash="2")
    assert [key for _, key in stored(connection).values()] == [
        "2026-bahrain-2026-04-12",
        "2026-sepang-2026-10-04",
    ]


def test_a_moved_race_keeps_its_key(connection: Connection) -> None:
    """Formula 1 held the event elsewhere, half a year later: still the same event."""
    store(connection, 4, BAHRAIN)
    report = store(connection, 16, SEPANG._replace(key=BAHRAIN.key), data_hash="2")
    assert report.renamed == {"2026-4": "2026-16"}
    assert stored(connection) == {"2026-16": (BAHRAIN.name, "f1-1282")}


def test_sprint_and_race_are_of_one_event(connection: Connection) -> None:
    """A day apart; the race of a renumbered event takes its sprint with it."""
    store(connection, 4, on(MIAMI, -1), kind="sprint")
    store(connection, 4, on(MIAMI))
    report = store(connection, 6, MIAMI, data_hash="2")
    assert report.renamed == {"2026-4": "2026-6", "2026-4-sprint": "2026-6-sprint"}
    assert {key for _, key in stored(connection).values()} == {"2026-miami-2026-05-02"}
    assert list(listed(connection)) == [6]


def test_an_event_under_another_round_is_not_stored_twice(connection: Connection) -> None:
    """Its round and slug follow; laps, grades and the history of its loads stay with it."""
    store(connection, 4, MIAMI, lap_count=5)
    race_id = ask(connection, "select race_id from core.races").item()
    report = store(connection, 6, MIAMI, lap_count=5, data_hash="2")
    assert (report.renamed, report.data_revision) == ({"2026-4": "2026-6"}, 2)
    assert report.changes["public.lap_times"] == (0, 0, 0)
    assert grades(connection) == {"2026-6": (2, 10)}
    assert ask(connection, "select race_id from core.races").item() == race_id
    assert read(connection, "load_history", "2026-6").height == 2


def test_an_occupied_round_is_refused(connection: Connection) -> None:
    """Both events are named, and so is the remedy; nothing is overwritten."""
    store(connection, 4, MIAMI)
    store(connection, 5, CANADA)
    before = snapshot(connection)
    says = (
        r"2026-5: Miami Grand Prix \(f1-1284\) .* round 5, where Canadian Grand Prix \(f1-1285\) "
        r"is stored\. Nothing was loaded.*drivegrade calendar sync 2026"
    )
    with pytest.raises(WarehouseError, match=says):
        store(connection, 5, MIAMI, data_hash="2")
    with pytest.raises(WarehouseError, match=r"Singapore .* \(f1-1296\) .* Miami"):
        store(connection, 4, SINGAPORE)
    assert snapshot(connection) == before


def test_a_key_is_of_one_season(connection: Connection) -> None:
    """A source that gives last year's key would overwrite last year's race."""
    store(connection, 4, MIAMI)
    with pytest.raises(WarehouseError, match="f1-1284 is an event of 2026, not of 2025"):
        store(connection, 4, MIAMI._replace(day="2025-05-04"))
    assert list(stored(connection)) == ["2026-4"]


def test_a_session_that_knows_little_is_known_by_its_name(connection: Connection) -> None:
    """Neither key nor date: it is what stands at its round under that name, or founds an event."""
    vague = Event(MIAMI.name, None, None)
    store(connection, 4, MIAMI)
    store(connection, 4, vague, data_hash="2")
    assert list(stored(connection)) == ["2026-4"]
    with pytest.raises(WarehouseError, match="Miami"):
        store(connection, 4, vague._replace(name="Canadian Grand Prix"), data_hash="3")
    store(connection, 5, vague._replace(name="Canadian Grand Prix"), data_hash="3")
    store(connection, 5, CANADA, data_hash="4")
    assert stored(connection)["2026-5"][1] == "2026-canadian-grand-prix"


def test_two_sources_at_once_make_one_race(
    connection: Connection, warehouse_settings: Settings
) -> None:
    """One has the key and the new round, the other neither: whoever is later finds the first."""

    def repeat(round_number: int, event: Event) -> list[str]:
        with connect(warehouse_settings) as own:
            return [
                store(own, round_number, event, data_hash=f"{round_number} {number}").status
                for number in range(4)
            ]

    with ThreadPoolExecutor(2) as pool:
        loads = list(pool.map(repeat, (4, 6), (on(MIAMI, 1), MIAMI)))
    assert loads == [["loaded"] * 4] * 2
    assert len(stored(connection)) == 1


# The calendar


def test_a_new_calendar_is_scheduled(connection: Connection, tmp_path: Path) -> None:
    """Cancelled events have no round; the same calendar again changes nothing."""
    season = calendar(
        (1, AUSTRALIA), (None, BAHRAIN, "cancelled"), (2, MIAMI), (2, MIAMI, "sprint")
    )
    report = sync_calendar(connection, 2026, season, tmp_path)
    assert report.added == ("2026-1", "2026-2", "2026-2-sprint")
    assert report.cancelled == ("f1-1282",)
    assert listed(connection) == {
        1: (AUSTRALIA.name, "scheduled"),
        2: (MIAMI.name, "scheduled"),
        None: (BAHRAIN.name, "cancelled"),
    }
    before = snapshot(connection)
    again = sync_calendar(connection, 2026, season, tmp_path)
    assert (again.unchanged, again.added, again.renamed, again.cancelled) == (4, (), {}, ())
    assert snapshot(connection) == before


def test_the_season_of_2026(connection: Connection, tmp_path: Path) -> None:
    """Bahrain is cancelled and all move up; then it returns in autumn and the rest moves back.

    Graded before and after: every grade stays with its race, and so does every lap.
    """
    spring = calendar((1, AUSTRALIA), (4, BAHRAIN), (6, MIAMI), (7, CANADA), (18, SINGAPORE))
    sync_calendar(connection, 2026, spring, tmp_path)
    store(connection, 1, AUSTRALIA, lap_count=1)
    store(connection, 6, MIAMI, lap_count=2)
    summer = calendar(
        (1, AUSTRALIA), (None, BAHRAIN, "cancelled"), (4, MIAMI), (5, CANADA), (16, SINGAPORE)
    )
    report = sync_calendar(connection, 2026, summer, tmp_path)
    assert report.renamed == {"2026-6": "2026-4", "2026-7": "2026-5", "2026-18": "2026-16"}
    assert report.cancelled == ("2026-4",)
    store(connection, 5, CANADA, lap_count=3)
    store(connection, 16, SINGAPORE, lap_count=4)
    autumn = calendar(
        (1, AUSTRALIA), (4, MIAMI), (5, CANADA), (16, SEPANG), (17, SINGAPORE), (18, AUSTIN)
    )
    report = sync_calendar(connection, 2026, autumn, tmp_path)
    assert (report.added, report.renamed) == (("2026-16", "2026-18"), {"2026-16": "2026-17"})
    store(connection, 16, SEPANG, lap_count=5)
    assert grades(connection) == {
        "2026-1": (2, 2),
        "2026-4": (2, 4),
        "2026-5": (2, 6),
        "2026-16": (2, 10),
        "2026-17": (2, 8),
    }
    assert listed(connection)[None] == (BAHRAIN.name, "cancelled")
    assert listed(connection)[18] == (AUSTIN.name, "scheduled")
    assert listed(connection)[17] == (SINGAPORE.name, "ingested")
    assert store(connection, 17, SINGAPORE, lap_count=4).status == "unchanged"


@pytest.mark.parametrize("order", some([(2, 3, 1), (2, 3, 4), (2, 1, 3), (3, 1, 2), (4, 2, 3)], 2))
def test_any_permutation_of_rounds(
    connection: Connection, tmp_path: Path, order: tuple[int, ...]
) -> None:
    """A swap, circles, shifts: rows, grades and files follow their event."""
    events = (AUSTRALIA, MIAMI, CANADA)
    for number, event in enumerate(events, start=1):
        store(connection, number, event, lap_count=number)
        write(tmp_path, number, event, lap_count=number)
    report = sync_calendar(connection, 2026, calendar(*zip(order, events, strict=True)), tmp_path)
    moved = {f"2026-{n}": f"2026-{new}" for n, new in enumerate(order, start=1) if n != new}
    assert report.renamed == report.lake_renamed == moved
    laps = {f"2026-{new}": (2, 2 * n) for n, new in enumerate(order, start=1)}
    assert grades(connection) == laps
    assert lake_laps(tmp_path) == {session: count for session, (_, count) in laps.items()}


def test_a_cancelled_event_returns(connection: Connection, tmp_path: Path) -> None:
    """Same key, other circuit, other date: it is scheduled again, and tried anew."""
    sync_calendar(connection, 2026, calendar((1, AUSTRALIA), (4, BAHRAIN)), tmp_path)
    start_attempt(connection, SessionKey(2026, 4))
    fail_attempt(connection, SessionKey(2026, 4), "no data")
    gone = sync_calendar(connection, 2026, calendar((1, AUSTRALIA)), tmp_path)
    assert gone.cancelled == ("2026-4",)
    event = read(connection, "calendar", 2026).filter(event_name=BAHRAIN.name)
    assert event.select("round", "status", "status_reason").row(0) == (
        None,
        "cancelled",
        "no longer in the calendar",
    )
    moved = SEPANG._replace(key=BAHRAIN.key)
    both = calendar((1, AUSTRALIA), (None, BAHRAIN, "cancelled"), (16, moved))
    assert sync_calendar(connection, 2026, both, tmp_path).added == ("2026-16",)
    event = read(connection, "calendar", 2026).filter(event_name=BAHRAIN.name)
    assert event.select("round", "status", "status_reason", "attempts").rows() == [
        (16, "scheduled", None, 0)
    ]


def test_what_was_ingested_stays_so(connection: Connection, tmp_path: Path) -> None:
    """Neither a calendar that lost it nor one that calls it cancelled takes the grades away."""
    store(connection, 1, AUSTRALIA)
    for season in (
        calendar((2, MIAMI)),
        calendar((None, AUSTRALIA, "cancelled"), (2, MIAMI)),
    ):
        sync_calendar(connection, 2026, season, tmp_path)
        assert listed(connection)[1] == (AUSTRALIA.name, "ingested")


def test_a_place_of_a_stored_race_is_not_given_away(connection: Connection, tmp_path: Path) -> None:
    """The calendar does not have Australia, whose grades are stored, but Miami in its place."""
    store(connection, 1, AUSTRALIA)
    before = snapshot(connection)
    with pytest.raises(WarehouseError, match=r"2026-1 is Miami .* but Australian .* is stored"):
        sync_calendar(connection, 2026, calendar((1, MIAMI), (2, CANADA)), tmp_path)
    assert snapshot(connection) == before


def test_a_postponed_event_known_twice_becomes_one(connection: Connection, tmp_path: Path) -> None:
    """Jolpica had the new date before Formula 1's calendar did: its race is the event's."""
    sync_calendar(connection, 2026, calendar((1, AUSTRALIA), (4, BAHRAIN)), tmp_path)
    store(connection, 16, on(SEPANG), lap_count=4)
    moved = SEPANG._replace(key=BAHRAIN.key)
    report = sync_calendar(connection, 2026, calendar((1, AUSTRALIA), (17, moved)), tmp_path)
    assert report.renamed == {"2026-16": "2026-17"}
    assert grades(connection) == {"2026-17": (2, 8)}
    assert listed(connection) == {
        1: (AUSTRALIA.name, "scheduled"),
        17: (SEPANG.name, "ingested"),
    }


def test_a_start_that_moves(connection: Connection, tmp_path: Path) -> None:
    """Three hours later is news; no start keeps the known one, unless the day is another."""
    season = calendar((4, MIAMI))
    sync_calendar(connection, 2026, season, tmp_path)
    later = season.with_columns(pl.col("starts_at") + timedelta(hours=3))
    assert sync_calendar(connection, 2026, later, tmp_path).updated == ("2026-4",)
    unknown = season.with_columns(starts_at=pl.lit(None, pl.Datetime("us", "UTC")))
    assert sync_calendar(connection, 2026, unknown, tmp_path).unchanged == 1
    postponed = unknown.with_columns(pl.col("session_date") + timedelta(days=30))
    sync_calendar(connection, 2026, postponed, tmp_path)
    assert read(connection, "calendar", 2026)["starts_at"].to_list() == [None]


@pytest.mark.parametrize(
    ("season", "says"),
    [
        (calendar(), "empty"),
        (calendar((1, MIAMI._replace(day="2025-05-04"))), "1 sessions of other seasons"),
        (calendar((None, MIAMI)), "has_a_round_unless_cancelled"),
        (calendar((1, MIAMI), (1, CANADA)), "stands_alone"),
        (calendar((1, MIAMI)).drop("circuit_id"), "circuit_id"),
        (calendar((1, MIAMI), (2, MIAMI)), r"round 1 .* and round 2 .* same event, f1-1284"),
        (calendar((1, MIAMI), (2, MIAMI, "sprint")), "same event, f1-1284"),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(
    connection: Connection, tmp_path: Path, season: pl.DataFrame, says: str
) -> None:
    """A source that is down must not cancel a season."""
    sync_calendar(connection, 2026, calendar((4, MIAMI)), tmp_path)
    before = snapshot(connection)
    with pytest.raises(ContractError, match=says):
        sync_calendar(connection, 2026, season, tmp_path)
    assert snapshot(connection) == before


def attempted(connection: Connection) -> tuple[str, str | None, int]:
    """Status, reason and attempts of round 4."""
    event = read(connection, "calendar", 2026).filter(round=4)
    return event.select("status", "status_reason", "attempts").row(0)


def test_attempts_are_counted(connection: Connection, tmp_path: Path) -> None:
    """The last failure is told; a failure of what is ingested or cancelled is none."""
    season = calendar((4, MIAMI), (None, BAHRAIN, "cancelled"))
    sync_calendar(connection, 2026, season, tmp_path)
    miami = SessionKey(2026, 4)
    assert start_attempt(connection, miami)
    assert attempted(connection) == ("scheduled", None, 1)
    assert fail_attempt(connection, miami, "no laps")
    assert start_attempt(connection, miami)
    assert attempted(connection) == ("failed", "no laps", 2)
    store(connection, 4, MIAMI)
    assert start_attempt(connection, miami)
    assert not fail_attempt(connection, miami, "later")
    assert attempted(connection) == ("ingested", None, 3)
    assert not start_attempt(connection, SessionKey(2026, 9))


# What is cancelled and has neither round nor circuit


def nameless(event: Event) -> pl.DataFrame:
    """The row of a cancelled weekend as a source without circuits has it."""
    circuit = pl.lit(None, pl.String)
    return calendar((None, event, "cancelled")).with_columns(circuit_id=circuit)


def test_a_cancelled_weekend_is_the_event_of_its_name_and_day(
    connection: Connection, tmp_path: Path
) -> None:
    """Planned without Formula 1's key, then cancelled under it: one row, and it may return."""
    planned = calendar((1, AUSTRALIA), (4, on(BAHRAIN)))
    sync_calendar(connection, 2026, planned, tmp_path)
    without = pl.concat([calendar((1, AUSTRALIA)), nameless(BAHRAIN)])
    report = sync_calendar(connection, 2026, without, tmp_path)
    assert (report.cancelled, report.added, report.unchanged) == (("2026-4",), (), 1)
    assert sync_calendar(connection, 2026, without, tmp_path).unchanged == 2
    moved = calendar((1, AUSTRALIA), (16, SEPANG._replace(key=BAHRAIN.key)))
    assert sync_calendar(connection, 2026, moved, tmp_path).added == ("2026-16",)
    assert read(connection, "calendar", 2026)["event_key"].to_list() == [
        "f1-1279",
        "2026-bahrain-2026-04-12",
    ]


@pytest.mark.parametrize(
    "other",
    [
        BAHRAIN._replace(name="Sakhir Grand Prix"),
        on(BAHRAIN, 7),
        BAHRAIN._replace(day="2025-04-12"),
    ],
)
def test_a_cancelled_weekend_is_no_other_event(
    connection: Connection, tmp_path: Path, other: Event
) -> None:
    """Another name that day, another weekend under that name, another season: two events."""
    year = int(str(other.day)[:4])
    sync_calendar(connection, year, calendar((4, other._replace(key=None))), tmp_path)
    both = pl.concat([calendar((1, AUSTRALIA)), nameless(BAHRAIN)])
    assert sync_calendar(connection, 2026, both, tmp_path).cancelled[-1] == "f1-1282"


def test_what_is_held_is_held_somewhere(connection: Connection, tmp_path: Path) -> None:
    """Only of what is cancelled the circuit may be unknown."""
    held = nameless(BAHRAIN).with_columns(
        round=pl.lit(4, pl.Int16), is_cancelled=pl.lit(value=False)
    )
    with pytest.raises(ContractError, match="has_a_circuit_unless_cancelled"):
        sync_calendar(connection, 2026, held, tmp_path)


# The lake


def write(folder: Path, round_number: int, event: Event, lap_count: int = 3) -> None:
    """Put a session into the lake."""
    session = SessionKey(2026, round_number)
    tables = session_tables(session, lap_count=lap_count, sessions=session_frame(session, event))
    lake.write_session(folder, session, tables)


def lake_laps(folder: Path) -> dict[str, int]:
    """Laps by session, as the lake has them: `sessions` and rows must agree."""
    counts = {}
    for session in lake.sessions(folder):
        laps = lake.read_session(folder, session)["laps"]
        assert laps["session_id"].unique().to_list() == [session.session_id]
        counts[session.session_id] = laps.height
    assert lake.scan(folder, "laps").collect().height == sum(counts.values())
    return counts


def test_a_renamed_session_says_so_everywhere(tmp_path: Path) -> None:
    """All tables move; doing it again changes nothing; another session is not overwritten."""
    write(tmp_path, 4, MIAMI)
    before = lake.read_session(tmp_path, SessionKey(2026, 4))
    lake.rename_sessions(tmp_path, {SessionKey(2026, 4): SessionKey(2026, 6)})
    after = lake.read_session(tmp_path, SessionKey(2026, 6))
    assert after.keys() == before.keys()
    for name, moved in after.items():
        assert moved.height == before[name].height
        assert set(moved["session_id"]) <= {"2026-6"}
        assert moved.drop("session_id", "round", strict=False).equals(
            before[name].drop("session_id", "round", strict=False)
        )
    assert after["sessions"]["round"].to_list() == [6]
    lake.rename_sessions(tmp_path, {SessionKey(2026, 4): SessionKey(2026, 6)})
    write(tmp_path, 5, CANADA)
    with pytest.raises(LakeError, match=r"2026-6, which .* stands where another"):
        lake.rename_sessions(tmp_path, {SessionKey(2026, 5): SessionKey(2026, 6)})
    assert lake.rename_sessions(tmp_path, {SessionKey(2026, 9): SessionKey(2026, 10)}) == {}


def test_a_stranger_in_the_lake_is_not_overwritten(connection: Connection, tmp_path: Path) -> None:
    """The warehouse is renumbered, the lake waits for a person; afterwards it follows."""
    store(connection, 4, MIAMI)
    write(tmp_path, 4, MIAMI)
    write(tmp_path, 5, on(CANADA))
    with pytest.raises(LakeError, match="2026-5, which the warehouse does not know"):
        sync_calendar(connection, 2026, calendar((5, MIAMI)), tmp_path)
    assert list(stored(connection)) == ["2026-5"]
    lake.remove_session(tmp_path, SessionKey(2026, 5))
    report = sync_calendar(connection, 2026, calendar((5, MIAMI)), tmp_path)
    assert report.lake_renamed == {"2026-4": "2026-5"}


def test_a_leftover_of_a_renumbered_load_is_swept(connection: Connection, tmp_path: Path) -> None:
    """The load moved the race and its job wrote the new file; the old one goes, unread."""
    store(connection, 4, MIAMI, lap_count=2)
    write(tmp_path, 4, MIAMI, lap_count=2)
    store(connection, 5, MIAMI, lap_count=3, data_hash="2")
    write(tmp_path, 5, MIAMI, lap_count=3)
    sync_calendar(connection, 2026, calendar((5, MIAMI)), tmp_path)
    assert lake_laps(tmp_path) == {"2026-5": 6}


KILLED = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from loaders import manifest
    from loaders.calendar import sync_calendar
    from loaders.postgres import connect
    from loaders.settings import Settings
    from tests.loaders.test_calendar import CANADA, MIAMI, calendar

    step, count = getattr(manifest, sys.argv[1]), int(sys.argv[2])
    calls = []

    def pausing(*arguments):
        calls.append(arguments)
        if len(calls) == count:
            print("here", flush=True)
            time.sleep(60)
        return step(*arguments)

    setattr(manifest, sys.argv[1], pausing)
    with connect(Settings()) as connection:
        sync_calendar(connection, 2026, calendar((5, MIAMI), (4, CANADA)), Path(sys.argv[3]))
    """
)


@pytest.fixture
def killed_at(warehouse_settings: Settings, tmp_path: Path) -> Callable[[str, int], None]:
    """Kill a process that swaps two rounds when it comes to a step in the lake."""

    def kill(step: str, count: int) -> None:
        environment = {
            **os.environ,
            "DRIVEGRADE_HOME": str(warehouse_settings.home),
            "DATABASE_URL": "",
        }
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, step, str(count), str(tmp_path)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
            process.send_signal(signal.SIGKILL)

    return kill


@pytest.mark.parametrize(
    ("step", "count"),
    some([("publish", 1), ("write_file", 3), ("_sweep", 1)], 1),
)
def test_a_killed_synchronization_is_finished_by_the_next(
    connection: Connection,
    killed_at: Callable[[str, int], None],
    tmp_path: Path,
    step: str,
    count: int,
) -> None:
    """Two rounds change places; wherever it dies, no lap is lost or doubled."""
    for number, event in ((4, MIAMI), (5, CANADA)):
        store(connection, number, event, lap_count=number)
        write(tmp_path, number, event, lap_count=number)
    killed_at(step, count)
    assert grades(connection) == {"2026-4": (2, 10), "2026-5": (2, 8)}
    sync_calendar(connection, 2026, calendar((5, MIAMI), (4, CANADA)), tmp_path)
    assert lake_laps(tmp_path) == {"2026-4": 10, "2026-5": 8}
