"""All of history out of a dump into the lake: a small made-up dump, and the real one."""

from __future__ import annotations

import json
import re
import zipfile
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from engine.errors import ContractError, DriveGradeError
from engine.tables import NORMALIZED, SessionKey
from loaders import lake, manifest
from loaders.commands_history import app
from loaders.history import HistoryReport, import_history
from loaders.history_rows import NO_TIME, LeftOut, usable
from loaders.providers import ProviderError
from loaders.providers.jolpica_dump import FILES, OPTIONAL_FILES
from loaders.settings import Settings
from tests.frames import frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import RealRace

Dump = dict[str, list[dict[str, Any]]]

SCHEMAS = {**FILES, **OPTIONAL_FILES}
HELD = ["1955-2", "1994-1", "2021-1-sprint", "2021-1", "2022-1"]
"""The made-up dump's sessions; round 2 of 2022 is yet to come."""


def result(race: int, driver: int, place: int, **values: object) -> dict[str, Any]:
    """A row of the classification: finished, ten laps, on the grid where it finished."""
    return {
        "raceId": race, "driverId": driver, "constructorId": 1, "number": driver, "grid": place,
        "positionText": str(place), "positionOrder": place, "points": 9.0 - place, "laps": 10,
        "time": "10:00.000", "milliseconds": 600_000 + place, "statusId": 1, **values,
    }  # fmt: skip


def lap(race: int, driver: int, number: int, time_ms: int, **values: object) -> dict[str, Any]:
    """A lap, in first place."""
    return {
        "raceId": race, "driverId": driver, "lap": number, "position": 1, "milliseconds": time_ms,
        **values,
    }  # fmt: skip


def qualified(race: int, driver: int, place: int | None, *times: str | None) -> dict[str, Any]:
    """A row of qualifying, with up to three times."""
    parts = dict(zip(("q1", "q2", "q3"), times, strict=False))
    return {"raceId": race, "driverId": driver, "position": place, **parts}


def race(number: int, year: int, round_number: int, **values: object) -> dict[str, Any]:
    """A race at the circuit that exists, on 1 May."""
    return {
        "raceId": number, "year": year, "round": round_number, "circuitId": 1,
        "name": f"Made-up Grand Prix {number}", "date": f"{year}-05-01", **values,
    }  # fmt: skip


def made_up() -> Dump:
    """A race of 1955 with results only, one of 1994 with stops, two with laps, one to come."""
    return {
        "races": [
            race(1, 1955, 2),
            race(2, 1994, 1),
            race(3, 2021, 1, time="13:00:00", sprint_date="2021-04-30", sprint_time="15:30:00"),
            race(4, 2022, 1),
            race(5, 2022, 2, sprint_date="2022-07-01"),
        ],
        "circuits": [{"circuitId": 1, "circuitRef": "ring", "name": "The Ring"}],
        "drivers": [
            {"driverId": 7, "driverRef": "ada", "forename": "Ada", "surname": "Ärmel"},
            {"driverId": 8, "driverRef": "bo", "code": "BOB", "forename": "Bo", "surname": "Bobb"},
        ],
        "constructors": [{"constructorId": 1, "constructorRef": "works", "name": "The Works"}],
        "status": [{"statusId": 1, "status": "Finished"}, {"statusId": 5, "status": "Engine"}],
        "results": [
            result(1, 7, 1, number=None, time="2:00:00.000", milliseconds=7_200_000),
            result(1, 8, 2, positionText="R", statusId=5, time=None, milliseconds=None, points=0.0),
            result(2, 7, 1),
            *(result(number, driver, driver - 6) for number in (3, 4) for driver in (7, 8)),
        ],
        "sprint_results": [result(3, 8, 1, laps=3)],
        "lap_times": [
            lap(3, 7, 1, 95_000), lap(3, 7, 2, 90_000), lap(3, 7, 3, 91_000), lap(3, 8, 1, 96_000),
        ],
        "pit_stops": [
            {"raceId": 2, "driverId": 7, "lap": 5, "milliseconds": 25_000},
            {"raceId": 3, "driverId": 7, "lap": 2, "milliseconds": 21_000},
        ],
        "lap_times_from_fastf1": [
            lap(4, 7, 1, 98_000, source="ff1_lap1"),
            lap(4, 7, 2, 92_000, source="ff1"),
            lap(4, 7, 3, 0, source="ff1_gap"),
            lap(4, 7, 4, 93_000, source="ff1"),
        ],
        "qualifying": [
            qualified(2, 7, 1, "1:21.500"),
            qualified(2, 8, 2, "16:42.640"),
            qualified(3, 8, 1, "1:22.043", "1:21.9", "59.001"),
            qualified(3, 7, 2, "1:22.367", "", "DNF"),
            qualified(5, 7, None),
        ],
    }  # fmt: skip


def written(dump: Dump, target: Path, kind: str = "parquet") -> Path:
    """Write the dump's tables as CSV, as Parquet, or as CSV in a zip."""
    folder = target.with_suffix("") if kind == "zip" else target
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in dump.items():
        table = pl.DataFrame(rows, schema=SCHEMAS[name])
        if kind == "parquet":
            table.write_parquet(folder / f"{name}.parquet")
        else:
            table.write_csv(folder / f"{name}.csv", null_value=r"\N")
    if kind != "zip":
        return folder
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"dump/{file.name}")
    return target


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Settings with an empty lake."""
    return Settings(home=tmp_path / "home")


@pytest.fixture
def bring_in(home: Settings, tmp_path: Path) -> Callable[..., HistoryReport]:
    """Write a dump and import it."""

    def call(dump: Dump, *, replace: bool = False) -> HistoryReport:
        return import_history(written(dump, tmp_path / "dump"), home, replace=replace)

    return call


def rows(settings: Settings, table: str, session_id: str, *columns: str) -> list[tuple[Any, ...]]:
    """Read columns of a session's rows from the lake, by key."""
    tables = lake.read_session(settings.lake, SessionKey.parse(session_id))
    return tables[table].select(columns).rows()


def everything(settings: Settings) -> dict[str, pl.DataFrame]:
    """Read what providers deliver from the lake, sorted."""
    return {
        name: lake.scan(settings.lake, name).collect().sort(table.primary_key())
        for name, table in NORMALIZED.items()
    }


# what comes in ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "parquet", "zip"])
def test_every_era_comes_in_with_what_it_knows(home: Settings, tmp_path: Path, kind: str) -> None:
    """1955 results alone; 1994 stops without laps; 2021 a sprint, laps and the clock they give."""
    report = import_history(written(made_up(), tmp_path / f"dump.{kind}", kind), home)
    assert [key.session_id for key in lake.sessions(home.lake)] == HELD
    assert report.seasons.rows() == [
        # season, races, sprints, drivers, entries, laps, stops, qualified
        (1955, 1, 0, 2, 2, 0, 0, 0),
        (1994, 1, 0, 1, 1, 0, 1, 2),
        (2021, 1, 1, 2, 3, 4, 1, 2),
        (2022, 1, 0, 2, 2, 4, 0, 0),
    ]
    told = report.sessions.filter(pl.col("qualifying") > 0).select("session_id", "qualifying")
    assert told.rows() == [("1994-1", 2), ("2021-1", 2)]
    columns = ("driver_name", "driver_code", "driver_number", "position", "status", "race_time_ms")
    assert rows(home, "entries", "1955-2", *columns) == [
        ("Ada Ärmel", None, None, 1, "finished", 7_200_000),
        ("Bo Bobb", "BOB", 8, 2, "retired", None),
    ]
    described = ("circuit_id", "session_date", "started_at", "data_source")
    assert rows(home, "sessions", "1955-2", *described) == [
        ("ring", date(1955, 5, 1), None, "jolpica")
    ]
    assert rows(home, "pit_stops", "1994-1", "lap_number", "pit_lane_time_ms") == [(5, 25_000)]
    timed = ("lap_number", "lap_time_ms", "lap_start_ms", "lap_end_ms", "is_in_lap", "is_out_lap")
    assert rows(home, "laps", "2021-1", *timed) == [
        (1, 95_000, 0, 95_000, False, False),
        (2, 90_000, 95_000, 185_000, True, False),
        (3, 91_000, 185_000, 276_000, False, True),
        (1, 96_000, 0, 96_000, False, False),
    ]
    assert rows(home, "entries", "2021-1-sprint", "driver_id", "completed_laps") == [("bo", 3)]


def test_qualifying_comes_in_under_the_race(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """Times in ms, null where it is none; also of who then did not start; none of the sprint.

    That of a race to come is no row yet, and nothing to complain of.
    """
    report = bring_in(made_up())
    columns = ("driver_id", "position", "q1_ms", "q2_ms", "q3_ms")
    assert rows(home, "qualifying", "2021-1", *columns) == [
        ("ada", 2, 82_367, None, None),
        ("bo", 1, 82_043, 81_900, 59_001),
    ]
    assert rows(home, "qualifying", "1994-1", *columns) == [
        ("ada", 1, 81_500, None, None),
        ("bo", 2, 1_002_640, None, None),
    ]
    assert rows(home, "qualifying", "2021-1-sprint", *columns) == []
    assert rows(home, "entries", "1994-1", "driver_id") == [("ada",)]
    assert [left.table for left in report.left_out] == ["lap_times_from_fastf1"]


def test_a_time_of_nothing_in_qualifying_is_told(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """The row is taken without it."""
    dump = made_up()
    dump["qualifying"][2] |= {"q2": "0:00.000", "position": 0}
    told = LeftOut("qualifying", NO_TIME, 1, ("raceId=3 driverId=8",))
    assert told in bring_in(dump).left_out
    assert rows(home, "qualifying", "2021-1", "position", "q1_ms", "q2_ms")[1] == (
        None, 82_043, None,
    )  # fmt: skip


def test_laps_of_a_race_that_has_none_come_from_the_other_table(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """A time of 0 ms is none, and the clock ends there; how laps were timed is told by session.

    A race that has laps of its own takes none from there.
    """
    dump = made_up()
    dump["lap_times_from_fastf1"].append(lap(3, 8, 2, 90_000, source="ff1"))
    report = bring_in(dump)
    assert rows(home, "laps", "2022-1", "lap_number", "lap_time_ms", "lap_end_ms") == [
        (1, 98_000, 98_000),
        (2, 92_000, 190_000),
        (3, None, None),
        (4, 93_000, None),
    ]
    assert len(rows(home, "laps", "2021-1", "lap_number")) == 4
    told = report.sessions.select("session_id", "laps", "laps_source", "derived_laps")
    assert told.rows() == [
        ("1955-2", 0, None, 0),
        ("1994-1", 0, None, 0),
        ("2021-1-sprint", 0, None, 0),
        ("2021-1", 4, "lap_times", 0),
        ("2022-1", 4, "lap_times_from_fastf1", 2),
    ]
    assert report.derived_laps == {"2022-1": 2}
    assert report.left_out == (
        ("lap_times_from_fastf1", "its race has laps in lap_times", 1,
         ("raceId=3 driverId=8 lap=2",)),
        ("lap_times_from_fastf1", NO_TIME, 1, ("raceId=4 driverId=7 lap=3",)),
    )  # fmt: skip


def test_the_tables_that_not_every_dump_has_may_be_absent(
    bring_in: Callable[..., HistoryReport],
) -> None:
    """Then those races have no laps, none has qualifying, and nothing is left out."""
    dump = made_up()
    del dump["lap_times_from_fastf1"], dump["qualifying"]
    report = bring_in(dump)
    assert report.seasons["laps"].to_list() == [0, 0, 4, 0]
    assert report.seasons["qualifying"].to_list() == [0, 0, 0, 0]
    assert (report.left_out, report.derived_laps) == ((), {})


def test_what_only_contradicts_itself_stays(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """A stop past the last lap, a total hours short of its laps, more laps than were credited."""
    dump = made_up()
    dump["pit_stops"].append({"raceId": 3, "driverId": 7, "lap": 9, "milliseconds": 20_000})
    dump["results"][3] |= {"laps": 1, "milliseconds": 1}
    report = bring_in(dump)
    assert [left.table for left in report.left_out] == ["lap_times_from_fastf1"]
    assert rows(home, "pit_stops", "2021-1", "lap_number") == [(2,), (9,)]
    assert rows(home, "entries", "2021-1", "completed_laps", "race_time_ms")[0] == (1, 1)
    assert len(rows(home, "laps", "2021-1", "lap_number")) == 4


def changed(table: str, **values: object) -> Dump:
    """The made-up dump with one more row of a table: a copy of its last one, changed."""
    dump = made_up()
    dump[table].append(dump[table][-1] | values)
    return dump


LEFT_OUT = {
    "results: its race is not in races": changed("results", raceId=99),
    "results: its driver is not in drivers": changed("results", driverId=99),
    "results: its constructor is not in constructors": changed("results", constructorId=99),
    "sprint_results: its race has no date": changed("sprint_results", raceId=4),
    "results: points breaks the rule max of entries.points": changed("results", points=101.0),
    "results: points breaks the rule min of entries.points": changed("results", points=-1.0),
    "results: number breaks the rule max of entries.driver_number": changed(
        "results", number=2**40
    ),
    "results: laps breaks the rule min of entries.completed_laps": changed("results", laps=-1),
    "lap_times: its driver is not entered in the race": changed("lap_times", raceId=2, driverId=8),
    "lap_times: lap breaks the rule min of laps.lap_number": changed("lap_times", lap=0),
    "lap_times: lap breaks the rule nullability of laps.lap_number": changed("lap_times", lap=None),
    "lap_times: milliseconds breaks the rule max of laps.lap_time_ms": changed(
        "lap_times", lap=2, milliseconds=2**40
    ),
    "lap_times: position breaks the rule max of laps.position": changed(
        "lap_times", lap=3, position=61
    ),
    "pit_stops: its driver is not entered in the race": changed("pit_stops", driverId=99),
    "pit_stops: lap breaks the rule max of pit_stops.lap_number": changed("pit_stops", lap=251),
    "qualifying: its race is not in races": changed("qualifying", raceId=99),
    "qualifying: its driver is not in drivers": changed("qualifying", driverId=99),
    "qualifying: position breaks the rule max of qualifying.position": changed(
        "qualifying", raceId=4, position=61
    ),
    "qualifying: q1_ms breaks the rule max of qualifying.q1_ms": changed(
        "qualifying", driverId=8, q1="5:00:00.000"
    ),
}  # fmt: skip


def frames(dump: Dump) -> dict[str, pl.DataFrame]:
    """The dump as it is read."""
    return {name: pl.DataFrame(table, schema=SCHEMAS[name]) for name, table in dump.items()}


@pytest.mark.parametrize("fault", LEFT_OUT)
def test_a_row_that_cannot_be_used_is_left_out_and_told(fault: str) -> None:
    """By table and reason, with the ids that find it in the dump; every other row is taken."""
    table, _, reason = fault.partition(": ")
    found = usable(frames(LEFT_OUT[fault]), "a test")
    row = LEFT_OUT[fault][table][-1]
    ids = [name for name in ("raceId", "driverId", "lap") if name in SCHEMAS[table]]
    told = LeftOut(table, reason, 1, (" ".join(f"{name}={row[name]}" for name in ids),))
    clean = usable(frames(made_up()), "a test")
    assert set(found.left_out) - set(clean.left_out) == {told}
    for name, rows_taken in clean.dump.items():
        assert_frame_equal(found.dump[name], rows_taken)


def test_rows_that_cannot_be_used_harm_no_others(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """With all these faults at once, the lake is that of a dump without them."""
    bring_in(made_up())
    clean = manifest.read_manifest(home.lake)
    dump = made_up()
    for fault, spoilt_dump in LEFT_OUT.items():
        table = fault.partition(":")[0]
        dump[table].append(spoilt_dump[table][-1])
    report = bring_in(dump)
    assert sum(left.rows for left in report.left_out) == len(LEFT_OUT) + 1
    assert manifest.read_manifest(home.lake) == clean


def test_the_first_rows_that_were_left_out_are_shown(
    bring_in: Callable[..., HistoryReport],
) -> None:
    """Three of five."""
    dump = made_up()
    dump["lap_times"] += [lap(3, 99, number, 90_000) for number in range(1, 6)]
    told = bring_in(dump).left_out[0]
    assert (told.table, told.rows) == ("lap_times", 5)
    assert told.first == tuple(f"raceId=3 driverId=99 lap={number}" for number in (1, 2, 3))


# again, and beside what is there ------------------------------------------------------------


def stamps(folder: Path) -> dict[str, int]:
    """When each of the lake's files was written, in ns."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != manifest.LOCK_NAME
    }


def states(report: HistoryReport) -> dict[str, str]:
    """What became of each session."""
    return dict(report.sessions.select("session_id", "state").iter_rows())


def test_a_second_import_changes_nothing(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """No file is touched, whatever the order of the rows, and the report says so."""
    first = bring_in(made_up())
    assert set(states(first).values()) == {"new"}
    before = stamps(home.lake)
    again = bring_in({name: table[::-1] for name, table in made_up().items()})
    assert states(again) == dict.fromkeys(HELD, "unchanged")
    assert_frame_equal(again.seasons, first.seasons)
    assert stamps(home.lake) == before


def test_a_changed_row_changes_its_seasons_file_only(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """And what was derived from the session's old rows goes; that of others stays."""
    bring_in(made_up())
    penalty = {"driver_id": "ada", "penalty_number": 1, "kind": "time", "time_loss_s": 5.0,
               "message": "5 SECOND TIME PENALTY", "source": "hand"}  # fmt: skip
    for session_id in ("2021-1", "2022-1"):
        told = frame("penalty_events", [penalty | {"session_id": session_id}])
        lake.write_session(home.lake, SessionKey.parse(session_id), {"penalty_events": told})
    before = manifest.read_manifest(home.lake).files
    dump = made_up()
    dump["lap_times"][0]["milliseconds"] += 1
    report = bring_in(dump)
    assert states(report) == dict.fromkeys(HELD, "unchanged") | {"2021-1": "changed"}
    after = manifest.read_manifest(home.lake).files
    moved = {
        (table, season)
        for table in before
        for season in before[table]
        if before[table][season] != after[table].get(season)
    }
    assert moved == {("laps", 2021), ("penalty_events", 2021)}
    assert list(after["penalty_events"]) == [2022]
    assert rows(home, "laps", "2021-1", "lap_end_ms")[2] == (276_001,)


def test_a_session_of_which_the_lake_knows_more_is_kept(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """One of another provider, and one with laps that the dump lacks; unless told to replace."""
    bring_in(made_up())
    before = everything(home)
    richer = before["sessions"].filter(session_id="2021-1")
    richer = richer.with_columns(data_source=pl.lit("fastf1"), scheduled_laps=pl.lit(3, pl.Int16))
    lake.write_session(home.lake, SessionKey(2021, 1), {"sessions": richer})
    poorer = made_up()
    poorer["lap_times"] = []
    poorer["lap_times_from_fastf1"] = []
    report = bring_in(poorer)
    assert report.kept == {"2021-1": "fastf1", "2022-1": "jolpica"}
    assert rows(home, "sessions", "2021-1", "data_source", "scheduled_laps") == [("fastf1", 3)]
    assert_frame_equal(everything(home)["laps"], before["laps"])
    report = bring_in(made_up(), replace=True)
    assert states(report) == dict.fromkeys(HELD, "unchanged") | {"2021-1": "changed"}
    for name, table in everything(home).items():
        assert_frame_equal(table, before[name])


def test_a_race_of_which_the_dump_has_no_qualifying_is_kept(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """Unless told to replace; but what a dump without the table does not know, it cannot take."""
    bring_in(made_up())
    before = everything(home)
    without_table = made_up()
    del without_table["qualifying"]
    without_table["pit_stops"][0]["milliseconds"] += 1
    report = bring_in(without_table, replace=True)
    assert states(report) == dict.fromkeys(HELD, "unchanged") | {"1994-1": "changed"}
    assert_frame_equal(everything(home)["qualifying"], before["qualifying"])
    poorer = made_up()
    poorer["qualifying"] = [row for row in poorer["qualifying"] if row["raceId"] != 3]
    poorer["pit_stops"][0]["milliseconds"] += 1
    assert bring_in(poorer).kept == {"2021-1": "jolpica"}
    assert states(bring_in(poorer, replace=True))["2021-1"] == "changed"
    assert everything(home)["qualifying"]["session_id"].unique().to_list() == ["1994-1"]


def test_a_session_that_the_dump_has_no_more_stays(
    home: Settings, bring_in: Callable[..., HistoryReport]
) -> None:
    """It is told, in order; seasons that the dump does not cover at all are not."""
    bring_in(made_up())
    dump = made_up()
    dump["results"] = [row for row in dump["results"] if row["raceId"] == 4]
    dump["sprint_results"] = []
    dump["races"][3]["round"] = 2
    dump["races"][4]["round"] = 3
    report = bring_in(dump)
    assert states(report) == {"2022-2": "new"}
    assert report.not_in_dump == ("2022-1",)
    assert [key.session_id for key in lake.sessions(home.lake)] == [*HELD, "2022-2"]


# refused whole ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings whose lake has the made-up dump; no test may change it."""
    made = Settings(home=tmp_path_factory.mktemp("stocked"))
    import_history(written(made_up(), made.home / "dump"), made)
    return made


REFUSED = {
    "races: 2 rows from the dump .* share their key raceId\n  raceId=5": changed("races", round=3),
    "races: 2 rows .* key year, round": changed("races", raceId=6),
    "drivers: 2 rows .* key driverId": changed("drivers", driverRef="cy"),
    "drivers: 2 rows .* key driverRef": changed("drivers", driverId=9),
    "circuits: 2 rows": changed("circuits"),
    "constructors: 2 rows": changed("constructors"),
    "status: 2 rows": changed("status"),
    "lap_times: 2 rows .*\n  raceId=3 driverId=8 lap=1": changed("lap_times"),
    "lap_times_from_fastf1: 2 rows": changed("lap_times_from_fastf1"),
    "pit_stops: 2 rows": changed("pit_stops", milliseconds=1),
    "qualifying: 2 rows .* key raceId, driverId\n  raceId=5 driverId=7": changed("qualifying"),
    "entries: .*\n  primary_key: 2 rows": changed("results"),
    "entries: .*\n  driver_id\\|regex": made_up()
    | {"drivers": [row | {"driverRef": f"{row['driverRef']}!"} for row in made_up()["drivers"]]},
    "sessions: .*\n  event_name\\|min_length": made_up()
    | {"races": [row | {"name": ""} for row in made_up()["races"]]},
    "no result in it that can be used": made_up() | {"results": [], "sprint_results": []},
}


@pytest.mark.parametrize("said", REFUSED)
def test_a_broken_dump_is_refused_whole(stocked: Settings, tmp_path: Path, said: str) -> None:
    """A key that stands twice, a name that is none, no results; the lake is as it was."""
    before = stamps(stocked.lake)
    with pytest.raises((ContractError, ProviderError)) as refused:
        import_history(written(REFUSED[said], tmp_path / "dump"), stocked)
    assert re.search(said, str(refused.value))
    assert stamps(stocked.lake) == before


def without(table: str) -> Callable[[Path], None]:
    """Remove a table's file."""
    return lambda folder: (folder / f"{table}.csv").unlink()


def spoilt(table: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace a text in a table's file."""

    def edit(folder: Path) -> None:
        file = folder / f"{table}.csv"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without("pit_stops"), "pit_stops.csv or pit_stops.parquet is missing"),
        (spoilt("lap_times", "milliseconds", "ms"), "lap_times.csv of the dump"),
        (spoilt("lap_times_from_fastf1", "source", "via"), "columns .*, source"),
        (spoilt("results", "600001", "fast"), "results.csv of the dump"),
        (spoilt("races", "2021-04-30", "30 April"), None),
    ],
)
def test_a_damaged_table_is_refused(
    home: Settings, tmp_path: Path, spoil: Callable[[Path], None], said: str | None
) -> None:
    """A missing file, a missing column, a word for a number; a date in words is only unknown."""
    folder = written(made_up(), tmp_path / "dump", "csv")
    spoil(folder)
    if said is None:
        import_history(folder, home)
        assert rows(home, "sessions", "2021-1-sprint", "session_date") == [(None,)]
        return
    with pytest.raises((ContractError, ProviderError), match=said):
        import_history(folder, home)
    assert not home.lake.exists()


def test_a_damaged_zip_is_refused(stocked: Settings, tmp_path: Path) -> None:
    """Whichever of its bytes is another, the import is refused or as if it were not."""
    path = written(made_up(), tmp_path / "dump.zip", "zip")
    before, whole = stamps(stocked.lake), path.read_bytes()
    refusals = 0
    for place in range(0, len(whole), 307):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            import_history(path, stocked)
        except DriveGradeError:
            refusals += 1
        assert stamps(stocked.lake) == before
    assert refusals > 0


# the command --------------------------------------------------------------------------------


def test_the_command_shows_what_came_in(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By season with a last row for all; then what became of the sessions, and what was odd."""
    monkeypatch.setenv("DRIVEGRADE_HOME", str(home.home))
    folder = str(written(made_up(), tmp_path / "dump"))
    run = CliRunner().invoke
    shown = run(app, ["import", folder], catch_exceptions=False)
    assert shown.exit_code == 0
    cells = [re.findall(r"[\w–]+", line) for line in shown.stdout.splitlines()]
    assert ["2021", "1", "1", "2", "3", "4", "1", "2"] in cells
    assert ["all", "4", "1", "–", "8", "8", "2", "4"] in cells
    assert "5 new, 0 changed, 0 unchanged, 0 kept" in shown.stdout
    assert "2 laps of 1 races were derived" in shown.stdout
    assert f"lap_times_from_fastf1, 1 ×: {NO_TIME}: raceId=4" in shown.stdout
    told = json.loads(run(app, ["import", folder, "--json"]).stdout)
    assert (told["new"], told["unchanged"], told["derived_laps"]) == (0, 5, {"2022-1": 2})
    assert told["seasons"][0]["season"] == 1955
    missing = run(app, ["import", str(tmp_path / "nowhere")])
    assert isinstance(missing.exception, ProviderError)


# the real one -------------------------------------------------------------------------------


def part(realdata: Path, folder: Path, races: pl.Expr) -> Path:
    """Write the history of some races to a folder."""
    read = {name: pl.read_parquet(realdata / "history" / f"{name}.parquet") for name in SCHEMAS}
    wanted = read["races"].filter(races)
    for name, table in read.items():
        own = table.join(wanted, on="raceId", how="semi") if "raceId" in table.columns else table
        own.write_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def history(realdata: Path) -> Path:
    """The history of all years."""
    return realdata / "history"


def by_season(folder: Path) -> pl.DataFrame:
    """Count what the history should give, by season, from its files alone."""
    read = {name: pl.read_parquet(folder / f"{name}.parquet") for name in SCHEMAS}
    years = read["races"].select("raceId", season=pl.col("year").cast(pl.Int16))
    results, sprints = read["results"], read["sprint_results"]
    drives = pl.concat(
        table.select("raceId", "driverId", kind=pl.lit(kind)).unique()
        for kind, table in (("race", results), ("sprint", sprints))
    ).join(years, on="raceId")
    laps = pl.concat(read[name].select("raceId") for name in ("lap_times", "lap_times_from_fastf1"))
    counted = drives.group_by("season").agg(
        races=pl.col("raceId").filter(pl.col("kind") == "race").n_unique(),
        sprints=pl.col("raceId").filter(pl.col("kind") == "sprint").n_unique(),
        drivers=pl.col("driverId").n_unique(),
        entries=pl.len(),
    )
    held = read["qualifying"].join(results, on="raceId", how="semi")
    for name, rows_of in (("laps", laps), ("pit_stops", read["pit_stops"]), ("qualifying", held)):
        sums = rows_of.join(years, on="raceId").group_by("season").agg(pl.len().alias(name))
        counted = counted.join(sums, on="season", how="left")
    return counted.fill_null(0).sort("season").cast({pl.UInt32: pl.Int64})


@pytest.mark.realdata
def test_the_lake_has_all_rows_of_every_season(
    imported_history: tuple[Settings, HistoryReport], history: Path
) -> None:
    """Those of the source, as counted there; the one time of 0 ms is told."""
    settings, report = imported_history
    expected = by_season(history)
    assert_frame_equal(report.seasons, expected)
    assert (expected["season"].min(), expected["season"].max()) == (1950, 2026)
    for name in ("entries", "laps", "pit_stops", "qualifying"):
        rows_there = sum(
            file.rows for file in manifest.read_manifest(settings.lake).of(name).values()
        )
        assert rows_there == expected[name].sum()
    assert report.left_out == (
        LeftOut("lap_times_from_fastf1", NO_TIME, 1, ("raceId=1058 driverId=840 lap=5",)),
    )
    by_source = dict(report.sessions["laps_source"].value_counts().iter_rows())
    assert (by_source["lap_times"], by_source["lap_times_from_fastf1"]) == (454, 52)
    assert sum(report.derived_laps.values()) == 2000


@pytest.mark.realdata
def test_what_an_era_lacks_is_null(imported_history: tuple[Settings, HistoryReport]) -> None:
    """No laps before 1996; no in-laps told where no stops are known."""
    settings, report = imported_history
    first = report.seasons.filter(pl.col("laps") > 0)["season"].min()
    assert (first, report.seasons.filter(pl.col("pit_stops") > 0)["season"].min()) == (1996, 1994)
    qualified = lake.scan(settings.lake, "qualifying").collect()
    assert qualified["session_id"].str.head(4).min() == "1994"
    assert qualified.filter(pl.col("session_id") < "2005")["q2_ms"].is_null().all()
    laps = lake.scan(settings.lake, "laps").collect()
    stopped = lake.scan(settings.lake, "pit_stops").select("session_id").collect()
    without_stops = laps.join(stopped, on="session_id", how="anti")
    assert without_stops["is_in_lap"].null_count() == without_stops.height
    unknown = ("compound", "sector1_time_ms", "track_status", "is_accurate", "stint_number")
    assert laps.select(unknown).null_count().row(0) == (laps.height,) * len(unknown)


@pytest.mark.realdata
def test_the_history_again_changes_nothing(
    imported_history: tuple[Settings, HistoryReport], history: Path, realdata: Path
) -> None:
    """No file is touched; nor by the same season as CSV, whose tables are the same."""
    settings, first = imported_history
    before = stamps(settings.lake)
    again = import_history(history, settings)
    assert again.count("unchanged") == first.sessions.height
    season = import_history(realdata / "history_csv_sample" / "2019", settings)
    assert states(season) == {f"2019-{number}": "unchanged" for number in range(1, 22)}
    assert stamps(settings.lake) == before


@pytest.mark.realdata
def test_a_race_from_fastf1_is_kept(
    imported_history: tuple[Settings, HistoryReport],
    realdata: Path,
    real_race: RealRace,
    tmp_path: Path,
) -> None:
    """Its rows are what FastF1 gave, beside those that the dump gave of the other races."""
    belgium, italy = SessionKey(2021, 12), SessionKey(2021, 14)
    fetched = real_race(belgium)
    home = Settings(home=tmp_path / "home")
    lake.write_session(home.lake, belgium, fetched)
    (tmp_path / "season").mkdir()
    report = import_history(part(realdata, tmp_path / "season", pl.col("year") == 2021), home)
    assert report.kept == {"2021-12": "fastf1"}
    for name, table in fetched.items():
        assert_frame_equal(lake.read_session(home.lake, belgium)[name], table)
    expected = lake.read_session(imported_history[0].lake, italy)
    for name, table in lake.read_session(home.lake, italy).items():
        assert_frame_equal(table, expected[name])
