"""Jolpica's API through the replay server, its dump, and what they become."""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from engine import tables
from engine.errors import ContractError
from engine.tables import SessionKey
from loaders.http import Reply
from loaders.identity import IDENTITIES, identities, parse_identities
from loaders.jolpica_api import Entered, ask
from loaders.providers import ProviderError, jolpica
from loaders.providers.jolpica import PitStop, Qualified, Result, Timing
from loaders.providers.jolpica_dump import (
    FILES,
    _table,
    dump_tables,
    fetch_from_dump,
    raw_results,
    read_dump,
)
from loaders.providers.jolpica_tables import (
    RAW,
    milliseconds,
    parse_entries,
    parse_laps,
    parse_pit_stops,
    parse_qualifying,
)
from loaders.settings import Settings
from loaders.strict_json import validate_records
from tests.any_json import JSON, some
from tests.replay import (
    Answer,
    Replay,
    black_hole,
    body,
    edited,
    gzip_bomb,
    manner,
    refused,
    repeated,
    replay,
    status,
    written,
)
from tests.soak import runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from loaders.providers import SessionTables

    Fault = Callable[[Answer], Answer]

AUSTRALIA = SessionKey(2019, 1)
BELGIUM = SessionKey(2021, 12)
SPRINT = SessionKey(2025, 2, "sprint")
LIMIT_S = 1.0
SLACK_S = 4.0
"""Reading the tables and the right pages, which the limit of one request does not count, s."""


@pytest.fixture(scope="module")
def server(realdata: Path) -> Iterator[Replay]:
    """A replay of the real races."""
    with replay(realdata) as running:
        yield running


@pytest.fixture
def made(server: Replay, tmp_path: Path) -> Settings:
    """Settings that lead to the replay, with an empty cache."""
    server.reset()
    return Settings(
        home=tmp_path, jolpica_url=server.jolpica_url, allow_loopback=True, http_timeout_s=5.0
    )


def result(**values: object) -> dict[str, Any]:
    """A row of the classification, changed."""
    return {
        "session_id": "2019-1", "driver_id": "bottas", "driver_code": "BOT", "driver_number": 77,
        "driver_name": "Valtteri Bottas", "team_id": "mercedes", "team_name": "Mercedes", "grid": 2,
        "position": 1, "position_text": "1", "status_text": "Finished", "points": 26.0, "laps": 58,
        "time_ms": 5_127_325, "time_text": "1:25:27.325", **values,
    }  # fmt: skip


def entry(**values: object) -> dict[str, Any]:
    """What one row of the classification becomes."""
    raw = pl.DataFrame([result(**values)], schema=RAW["results"])
    return parse_entries(raw, "a test").to_dicts()[0]


def laps(
    times_ms: list[tuple[int, int | None]], stops: tuple[int, ...] = (), *, other: int | None = None
) -> pl.DataFrame:
    """What a driver's laps become; the other driver stops on a lap of its own."""
    rows = [
        {
            "session_id": "2019-1", "driver_id": "bottas", "lap_number": lap, "position": 1,
            "time_ms": time_ms,
        }
        for lap, time_ms in times_ms
    ]  # fmt: skip
    visits = [("bottas", lap) for lap in stops] + ([("hamilton", other)] if other else [])
    pits = [
        {"session_id": "2019-1", "driver_id": driver, "lap_number": lap, "time_ms": 22_000}
        for driver, lap in visits
    ]
    return parse_laps(
        pl.DataFrame(rows, schema=RAW["laps"]),
        pl.DataFrame(pits, schema=RAW["pit_stops"]),
        "a test",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("23.456", 23_456),
        ("24.9", 24_900),
        ("1:33.813", 93_813),
        ("23:44.659", 1_424_659),
        ("2:05:05.152", 7_505_152),
        ("0:00.000", 0),
        ("+1 Lap", None),
        ("1:33", None),
        (None, None),
    ],
)
def test_times_are_read_to_the_millisecond(text: str | None, expected: int | None) -> None:
    """With hours, with minutes, or with seconds only."""
    frame = pl.DataFrame({"time": [text]}, schema={"time": pl.String})
    assert frame.select(milliseconds("time")).item() == expected


def test_the_clock_is_the_sum_of_the_laps() -> None:
    """It starts at lights-out; the stop on lap 2 makes lap 3 an out-lap."""
    frame = laps([(1, 100_000), (2, 90_000), (3, 110_000)], stops=(2,))
    assert frame["lap_start_ms"].to_list() == [0, 100_000, 190_000]
    assert frame["lap_end_ms"].to_list() == [100_000, 190_000, 300_000]
    assert frame["is_in_lap"].to_list() == [False, True, False]
    assert frame["is_out_lap"].to_list() == [False, False, True]


@pytest.mark.parametrize("second", [None, 0])
def test_the_clock_ends_at_a_lap_without_a_time(second: int | None) -> None:
    """A time of nothing is none; the laps after it are still laps."""
    frame = laps([(1, 100_000), (2, second), (3, 110_000)])
    assert frame["lap_time_ms"].to_list() == [100_000, None, 110_000]
    assert frame["lap_start_ms"].to_list() == [0, 100_000, None]
    assert frame["lap_end_ms"].to_list() == [100_000, None, None]


def test_the_clock_ends_at_a_missing_lap() -> None:
    """Whoever lacks lap 2 has no clock from then on, whatever the order of the rows."""
    frame = laps([(4, 90_000), (3, 110_000), (1, 100_000)])
    assert frame["lap_number"].to_list() == [1, 3, 4]
    assert frame["lap_start_ms"].to_list() == [0, None, None]
    assert frame["lap_end_ms"].to_list() == [100_000, None, None]


def test_without_any_stops_in_laps_are_unknown() -> None:
    """The archive's stops begin in 1994; one stop of anybody shows that it knows them."""
    assert laps([(1, 100_000)])["is_in_lap"].to_list() == [None]
    assert laps([(1, 100_000)], other=1)["is_in_lap"].to_list() == [False]


def test_a_finisher() -> None:
    """The winner's row as it is."""
    assert entry() == {
        "session_id": "2019-1", "driver_id": "bottas", "driver_code": "BOT", "driver_number": 77,
        "driver_name": "Valtteri Bottas", "team_id": "mercedes", "team_name": "Mercedes",
        "grid_position": 2, "is_pit_lane_start": False, "position": 1, "is_classified": True,
        "status": "finished", "status_text": "Finished", "points": 26.0, "completed_laps": 58,
        "race_time_ms": 5_127_325,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("position_text", "status_text", "completed", "expected"),
    [
        ("1", "Finished", 58, "finished"),
        ("15", "+1 Lap", 57, "lapped"),
        ("15", "+12 Laps", 46, "lapped"),
        ("15", "Lapped", 57, "lapped"),
        ("N", "Not classified", 40, "lapped"),
        ("N", "+8 Laps", 50, "lapped"),
        ("17", "Engine", 55, "retired"),
        ("R", "Collision damage", 3, "retired"),
        ("R", "Retired", 3, "retired"),
        ("R", None, 3, "retired"),
        ("D", "Underweight", 58, "disqualified"),
        ("E", "Excluded", 58, "disqualified"),
        ("20", "Disqualified", 58, "disqualified"),
        ("F", "Did not prequalify", 0, "did_not_qualify"),
        ("F", "Injury", 0, "did_not_qualify"),
        ("R", "107% Rule", 0, "did_not_qualify"),
        ("W", "Withdrew", 0, "did_not_start"),
        ("W", "Power Unit", 0, "did_not_start"),
        ("R", "Withdrew", 12, "retired"),
        ("W", "Did not start", 0, "did_not_start"),
        ("3", None, 58, "unknown"),
    ],
)
def test_how_the_race_ended(
    position_text: str, status_text: str | None, completed: int, expected: str
) -> None:
    """Letter first, text second."""
    row = entry(position_text=position_text, status_text=status_text, laps=completed)
    assert row["status"] == expected


def test_a_start_from_the_pit_lane_is_grid_zero() -> None:
    """Unless nobody started, or the grid is not known."""
    started = entry(grid=0)
    assert (started["grid_position"], started["is_pit_lane_start"]) == (None, True)
    absent = entry(grid=0, position_text="W", status_text="Withdrew", laps=0)
    assert (absent["grid_position"], absent["is_pit_lane_start"]) == (None, False)
    assert entry(grid=None)["is_pit_lane_start"] is None


def test_a_total_time_is_only_given_where_it_means_something() -> None:
    """Not for a negative gap, nor for who is not classified."""
    assert entry(time_text="+-1:38:49.328")["race_time_ms"] is None
    assert entry(position_text="D")["race_time_ms"] is None
    assert entry(time_ms=None, time_text=None)["race_time_ms"] is None


# --- several cars of one driver -----------------------------------------------------------------

MONACO_1956 = [
    {"driver_id": "moss", "driver_number": 28, "position": 1, "points": 8.0},
    {"driver_id": "fangio", "driver_number": 26, "position": 2, "points": 4.0},
    {
        "driver_id": "fangio", "driver_number": 20, "position": 4, "position_text": "4",
        "status_text": "+1 Lap", "points": 1.5, "laps": 99,
    },
    {
        "driver_id": "castellotti", "driver_number": 22, "position": 11, "position_text": "R",
        "status_text": "Clutch", "points": 0.0, "laps": 14,
    },
    {
        "driver_id": "castellotti", "driver_number": 20, "position": 4, "position_text": "4",
        "status_text": "+1 Lap", "points": 1.5, "laps": 99,
    },
]  # fmt: skip
"""Fangio damages car 20, hands it to Castellotti, whose own has failed, and goes on in car 26."""


def entries(rows: list[dict[str, Any]], session_id: str = "1956-2") -> pl.DataFrame:
    """What rows of one race's classification become."""
    raw = [result(**{"session_id": session_id, **row}) for row in rows]
    return parse_entries(pl.DataFrame(raw, schema=RAW["results"]), "a test")


def test_a_driver_of_two_cars_has_one_entry() -> None:
    """His best result, the points of both, the other car in words; shared car, shared place."""
    whole = entries(MONACO_1956)
    assert whole.select(
        "driver_id", "driver_number", "position", "points", "completed_laps"
    ).rows() == [
        ("castellotti", 20, 4, 1.5, 99),
        ("fangio", 26, 2, 5.5, 58),
        ("moss", 28, 1, 8.0, 58),
    ]
    assert whole["status_text"].to_list() == [
        "+1 Lap; also car 22: Clutch", "Finished; also car 20: +1 Lap", "Finished",
    ]  # fmt: skip
    assert whole["status"].to_list() == ["lapped", "finished", "finished"]
    assert_frame_equal(entries(MONACO_1956[::-1]), whole)


def test_a_classified_result_comes_before_a_better_place() -> None:
    """Retired cars are placed behind the classified; a source that errs does not hide a finish."""
    rows: list[dict[str, Any]] = [
        {"driver_number": 5, "position": 3, "position_text": "R", "status_text": "Engine"},
        {"driver_number": 6, "position": 9, "position_text": "9", "points": None},
    ]
    parsed = entries(rows).row(0, named=True)
    assert (parsed["driver_number"], parsed["position"], parsed["is_classified"]) == (6, 9, True)
    assert parsed["points"] == 26.0
    unscored = entries([{**row, "points": None} for row in rows])
    assert unscored["points"].to_list() == [None]


@pytest.mark.parametrize(
    ("session_id", "numbers"),
    [("1956-2", (20, 20)), ("1956-2", (20, None)), ("1956-2", (20, 26, 20)), ("1979-1", (20, 26))],
)
def test_a_second_result_that_is_no_second_car_is_refused(
    session_id: str, numbers: tuple[int | None, ...]
) -> None:
    """The same car, a car without a number, or a season in which nobody changed cars."""
    rows = [{"driver_number": number, "position": place} for place, number in enumerate(numbers, 1)]
    with pytest.raises(ContractError, match=rf"primary_key: {len(numbers)} rows"):
        entries(rows, session_id)


def test_a_long_list_of_cars_is_cut() -> None:
    """At a hundred characters, which is what the contract allows."""
    rows = [
        {"driver_number": number, "position": number, "status_text": "Oil leak", "points": 1.0}
        for number in range(1, 9)
    ]
    text = entries(rows)["status_text"].item()
    assert text.startswith("Oil leak; also car 2: Oil leak, car 3: Oil leak, car 4: Oil leak, car ")
    assert (len(text), text[-4:]) == (100, "a...")


def qualified(**values: object) -> dict[str, Any]:
    """A row of qualifying as the service sends it, changed."""
    person = {"driverId": "bottas", "givenName": "Valtteri", "familyName": "Bottas"}
    return {"position": "2", "Driver": person, "Q1": "1:22.367", **values}


def part_times(*rows: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What rows of qualifying become: place and times in ms."""
    read = validate_records(list(rows), Qualified, "a test", "qualifying")
    found = parse_qualifying(jolpica.raw_qualifying(AUSTRALIA, read), "a test")
    assert found["session_id"].unique().to_list() == ["2019-1"]
    return found.drop("session_id", "driver_id").rows()


def test_what_is_no_time_in_qualifying_is_null() -> None:
    """Absent, empty, in words, of nothing; a place of 0 is none either."""
    assert part_times(qualified(Q2="1:21.2", Q3="59.001")) == [(2, 82_367, 81_200, 59_001)]
    assert part_times(qualified(Q1="", Q2="DNF", Q3="1:21")) == [(2, None, None, None)]
    assert part_times(qualified(position="0", Q1="0:00.000")) == [(None, None, None, None)]


def history_laps(realdata: Path, race_id: int) -> pl.DataFrame:
    """The archive's own laps of a race: driver, lap, place, time in ms."""
    folder = realdata / "history"
    drivers = pl.read_parquet(folder / "drivers.parquet").select("driverId", "driverRef")
    return (
        pl.read_parquet(folder / "lap_times.parquet")
        .filter(pl.col("raceId") == race_id)
        .join(drivers, on="driverId")
        .select(
            driver_id="driverRef",
            lap_number=pl.col("lap").cast(pl.Int16),
            position=pl.col("position").cast(pl.Int16),
            lap_time_ms="milliseconds",
        )
        .sort("driver_id", "lap_number")
    )


@pytest.mark.realdata
def test_a_race_through_the_api(server: Replay, made: Settings, realdata: Path) -> None:
    """Every lap of Australia 2019, over eleven pages; the winner's laps add up to his time."""
    found = jolpica.fetch(AUSTRALIA, made)
    own = found["laps"].select("driver_id", "lap_number", "position", "lap_time_ms")
    assert_frame_equal(own, history_laps(realdata, 1010), check_column_order=False)
    session = found["sessions"].to_dicts()[0]
    assert session["circuit_id"] == "albert_park"
    assert str(session["started_at"]) == "2019-03-17 05:10:00+00:00"
    winner = found["entries"].filter(position=1).to_dicts()[0]
    last = found["laps"].filter(driver_id=winner["driver_id"])["lap_end_ms"].max()
    assert winner["driver_id"] == "bottas"
    assert last == winner["race_time_ms"] == 5_127_325
    assert found["pit_stops"].height == found["laps"]["is_in_lap"].sum() == 22
    assert found["laps"]["track_status"].null_count() == found["laps"].height
    assert server.asked.count("/ergast/f1/2019/1/laps.json?limit=100&offset=1000") == 1
    assert server.missed == []


@pytest.mark.realdata
def test_a_sprint_through_the_api(server: Replay, made: Settings) -> None:
    """It has its own date and classification, and neither laps nor stops."""
    found = jolpica.fetch(SPRINT, made)
    assert found["sessions"]["session_id"].to_list() == ["2025-2-sprint"]
    assert str(found["sessions"]["session_date"].item()) == "2025-03-22"
    assert found["entries"].filter(position=1)["driver_id"].item() == "hamilton"
    assert found["laps"].is_empty()
    assert not any("laps" in path for path in server.asked)


@pytest.mark.realdata
def test_qualifying_through_the_api(server: Replay, made: Settings) -> None:
    """Italy 2015, in one request: who went on without a time, and who never had one."""
    found = jolpica.fetch_qualifying(SessionKey(2015, 12), made).sort("position")
    assert server.asked == ["/ergast/f1/2015/12/qualifying.json?limit=100&offset=0"]
    columns = ("driver_id", "position", "q1_ms", "q2_ms", "q3_ms")
    assert found.height == 20
    assert found[[0, 14, 19]].select(columns).rows() == [
        ("hamilton", 1, 84_251, 83_383, 83_397),
        ("ricciardo", 15, 85_633, None, None),
        ("max_verstappen", 20, None, None, None),
    ]


@pytest.mark.realdata
def test_a_driver_may_qualify_and_not_be_entered(server: Replay, made: Settings) -> None:
    """Stroll, 14th in Spain 2025, withdrew before the race: twenty qualified, nineteen entered."""
    spain = SessionKey(2025, 9)
    found = jolpica.fetch_qualifying(spain, made)
    entered = identities(*spain, made)["driver_id"].to_list()
    strangers = found.filter(~pl.col("driver_id").is_in(entered))
    assert (found.height, len(entered)) == (20, 19)
    assert strangers.select("driver_id", "position").rows() == [("stroll", 14)]


@pytest.mark.realdata
def test_qualifying_of_a_sprint_is_not_asked_for(server: Replay, made: Settings) -> None:
    """And that of a race before 1994, which nobody has, is no rows."""
    assert jolpica.fetch_qualifying(SPRINT, made).is_empty()
    assert server.asked == []
    assert jolpica.fetch_qualifying(SessionKey(1993, 1), made).is_empty()
    assert server.missed == []


@pytest.mark.realdata
@pytest.mark.parametrize(
    "session", [SessionKey(2026, 20), SessionKey(2027, 1), SessionKey(2025, 1)]
)
def test_what_is_not_there_is_told(made: Settings, session: SessionKey) -> None:
    """A race to come, a season nobody knows, a race without laps in the record."""
    with pytest.raises(
        ProviderError, match=f"jolpica {session.session_id}: .*\nNothing was loaded"
    ):
        jolpica.fetch(session, made)


@pytest.mark.realdata
def test_a_miss_names_the_command_that_records_it(server: Replay, made: Settings) -> None:
    """Whoever needs the race can fetch it."""
    with pytest.raises(ProviderError, match=r"curl --create-dirs -o .*/jolpica/2025/1/laps\.json"):
        jolpica.fetch(SessionKey(2025, 1), made)
    assert len(server.missed) == 1


@pytest.mark.realdata
def test_identities(made: Settings) -> None:
    """Number 1 is Norris in 2026; a weekend without results yet falls back on qualifying."""
    first = identities(2026, 1, "race", made)
    assert first.schema == IDENTITIES
    assert first.filter(driver_number=1).to_dicts() == [
        {
            "driver_number": 1, "driver_id": "norris", "driver_code": "NOR",
            "driver_name": "Lando Norris", "team_id": "mclaren", "team_name": "McLaren",
        }
    ]  # fmt: skip
    assert identities(2025, 2, "sprint", made).height == 20


@pytest.mark.realdata
def test_identities_fall_back_on_qualifying(server: Replay, made: Settings) -> None:
    """The entry list is the same; results come hours later."""
    whole = identities(2023, 1, "race", made)
    server.fail("2023/1/results", edited(without_rows), times=None)
    assert_frame_equal(identities(2023, 1, "race", made), whole)
    server.fail("2023/1/qualifying", edited(without_rows), times=None)
    with pytest.raises(ProviderError, match="neither results nor qualifying"):
        identities(2023, 1, "race", made)


def without_rows(document: Any) -> Any:
    """An answer that says: nothing yet."""
    document["MRData"]["RaceTable"]["Races"] = []
    document["MRData"]["total"] = "0"
    return document


def races(document: Any) -> Any:
    """The race of an answer."""
    return document["MRData"]["RaceTable"]["Races"][0]


def timings(change: Callable[[list[Any]], object]) -> Fault:
    """Change the timings of the first lap in place."""

    def edit(document: Any) -> Any:
        change(races(document)["Laps"][0]["Timings"])
        return document

    return edited(edit)


def results(change: Callable[[list[Any]], object]) -> Fault:
    """Change the rows of the classification in place, and the total with them."""

    def edit(document: Any) -> Any:
        change(races(document)["Results"])
        document["MRData"]["total"] = str(len(races(document)["Results"]))
        return document

    return edited(edit)


def qualifiers(change: Callable[[list[Any]], object]) -> Fault:
    """Change the rows of qualifying in place."""

    def edit(document: Any) -> Any:
        change(races(document)["QualifyingResults"])
        return document

    return edited(edit)


def without_times(document: Any) -> Any:
    """Qualifying whose times have another name."""
    for row in races(document)["QualifyingResults"]:
        row["part1"] = row.pop("Q1", None)
    return document


def renamed(document: Any) -> Any:
    """Timings whose time has another name."""
    for lap in races(document)["Laps"]:
        for timing in lap["Timings"]:
            timing["lapTime"] = timing.pop("time")
    return document


def of_another_race(document: Any) -> Any:
    """The classification of the next round."""
    races(document)["round"] = "13"
    return document


def in_seconds(document: Any) -> Any:
    """Timings in plain seconds, as a number."""
    for lap in races(document)["Laps"]:
        for timing in lap["Timings"]:
            timing["time"] = 93.8
    return document


QUALIFYING = "2021/12/qualifying"
LAPS, RESULTS, SECOND = "2021/12/laps", "2021/12/results", "2019/1/laps.json?limit=100&offset=100"

REFUSED: dict[str, tuple[str, Fault, str]] = {
    "03 headers, then silence": (RESULTS, manner("stalled"), "no answer from"),
    "04 drip": (RESULTS, manner("dripping"), "no answer from"),
    "06 429 for ever": (RESULTS, status(429), "HTTP 429"),
    "07 429 with a long wait": (RESULTS, status(429, retry_after="900"), "wait 900 s"),
    "09 503 for ever": (RESULTS, status(503), "HTTP 503"),
    "10 404": (RESULTS, status(404), "HTTP 404"),
    "11 401": (RESULTS, status(401), "HTTP 401"),
    "11 403": (RESULTS, status(403), "HTTP 403"),
    "12 another host": (RESULTS, status(302, location="https://example.org/"), "another host"),
    "13 truncated": (RESULTS, manner("cut"), "no answer from"),
    "14 invalid JSON": (RESULTS, body(b'{"MRData": '), "no JSON"),
    "15 HTML with 200": (RESULTS, body(b"<html>", "text/html"), "HTML"),
    "16 empty list": (RESULTS, body(b"[]"), "row: Input should be"),
    "16 no races": (RESULTS, edited(without_rows), "not there yet"),
    "16 no laps": (LAPS, edited(without_rows), "lap times are not there yet"),
    "18 null for required": (LAPS, written("driverId", "null"), "driverId: Input should be"),
    "18 number for text": (LAPS, written("time", "93.813"), "time: Input should be"),
    "18 list for object": (RESULTS, edited(lambda _: {"MRData": []}), "MRData: Input should be"),
    "19 NaN": (LAPS, written("position", "NaN"), "NaN is no number"),
    "19 Infinity": (LAPS, written("position", "Infinity"), "Infinity is no number"),
    "19 1e999": (LAPS, written("position", "1e999"), "too large a number"),
    "19 1e308": (LAPS, written("position", "1e308"), "position: Input should be"),
    "19 -1": (LAPS, written("position", '"-1"'), "position: String should match"),
    "19 2**70": (LAPS, written("position", str(2**70)), "too large an integer"),
    "19 a lap of 99 hours": (
        LAPS,
        timings(lambda rows: rows[0].update(time="99:00:00.000")),
        "lap_time_ms",
    ),
    "20 duplicates, equal": (
        LAPS,
        timings(lambda rows: rows.__setitem__(1, rows[0])),
        "primary_key",
    ),
    "21 duplicates, different": (
        LAPS,
        timings(lambda rows: rows.__setitem__(1, {**rows[0], "time": "9:59.999"})),
        "primary_key",
    ),
    "20 qualified twice": (
        QUALIFYING,
        qualifiers(lambda rows: rows.__setitem__(1, rows[0])),
        "qualifying: 2 rows",
    ),
    "18 null for a qualified driver": (QUALIFYING, written("driverId", "null"), "driverId: Input"),
    "19 qualifying, 99 hours": (
        QUALIFYING,
        qualifiers(lambda rows: rows[0].update(Q1="99:00:00.000")),
        "q1_ms",
    ),
    "25 qualifying without times": (QUALIFYING, edited(without_times), "has q1_ms"),
    "26 qualifying of another race": (QUALIFYING, edited(of_another_race), "about 2021-13"),
    "22 lap 0": (LAPS, written("number", '"0"'), "lap_number"),
    "23 driver missing": (RESULTS, results(lambda rows: rows.pop()), "not entered"),
    "23 driver unknown": (LAPS, written("driverId", '"nobody"'), "not entered: nobody"),
    "23 driver twice": (RESULTS, results(lambda rows: rows.append(rows[0])), "primary_key"),
    "24 NUL": (RESULTS, written("givenName", r'"Max\u0000"'), "NUL"),
    "24 lone surrogate": (RESULTS, written("givenName", r'"Max\ud83d"'), "surrogate"),
    "24 10 kB name": (RESULTS, written("givenName", f'"{"x" * 10_000}"'), "at most 100 characters"),
    "24 SQL in an id": (RESULTS, written("driverId", '"x\'); drop table laps"'), "driverId"),
    "25 missing column": (RESULTS, edited(lambda document: {"MrData": document}), "Field required"),
    "25 renamed column": (
        LAPS,
        edited(renamed),
        "laps: none of 20 rows from jolpica 2021-12 has time",
    ),
    "25 unit changed": (LAPS, edited(in_seconds), "time: Input should be a valid string"),
    "26 another race": (RESULTS, edited(of_another_race), "about 2021-13"),
}
"""Faults that end in a typed error: what is faulty for ever, the fault, and what the error says."""


@pytest.mark.realdata
@pytest.mark.parametrize("name", list(REFUSED))
def test_a_fault_is_refused(server: Replay, made: Settings, name: str) -> None:
    """In time, with a bounded number of requests, naming source and session."""
    part, fault, said = REFUSED[name]
    settings = made.model_copy(update={"http_timeout_s": LIMIT_S})
    server.fail(part, fault, times=None)
    started = time.monotonic()
    with pytest.raises((ProviderError, ContractError)) as caught:
        jolpica.fetch(BELGIUM, settings)
    assert time.monotonic() - started < LIMIT_S + SLACK_S
    assert said in str(caught.value)
    assert "jolpica" in str(caught.value)
    assert "Nothing was" in str(caught.value)
    assert len(server.asked) <= 10


LOADED: dict[str, tuple[str, Fault]] = {
    "05 429 with Retry-After": (RESULTS, status(429, retry_after="1")),
    "06 429 without": (RESULTS, status(429)),
    "08 500 once": (RESULTS, status(500)),
    "13 truncated once": (RESULTS, manner("cut")),
    "22 out of order": (LAPS, timings(lambda rows: rows.reverse())),
    "25 a new column": (RESULTS, edited(lambda document: {**document, "added": {"NaN": [1]}})),
}
"""Faults of one reply that end in a right load."""


@pytest.mark.realdata
@pytest.mark.parametrize("name", list(LOADED))
def test_a_fault_that_passes_changes_nothing(server: Replay, made: Settings, name: str) -> None:
    """The load is the same as without it."""
    right = jolpica.fetch(BELGIUM, made)
    part, fault = LOADED[name]
    server.fail(part, fault)
    same(jolpica.fetch(BELGIUM, made), right)


def same(found: SessionTables, right: SessionTables) -> None:
    """All tables are equal."""
    assert list(found) == list(tables.NORMALIZED)
    for name, frame in right.items():
        assert_frame_equal(found[name], frame)


@pytest.mark.realdata
def test_odd_names_are_loaded_as_they_are(server: Replay, made: Settings) -> None:
    """A name is text, and nothing else."""
    name = "Ñ 周 🏎 \u202e'); drop table core.laps; --"
    server.fail(RESULTS, written("givenName", json.dumps(name)))
    found = jolpica.fetch(BELGIUM, made)["entries"]["driver_name"].to_list()
    assert f"{name} Verstappen" in found


@pytest.mark.realdata
@pytest.mark.parametrize("place", ["01 refused", "02 black hole"])
def test_no_connection_is_told(made: Settings, place: str) -> None:
    """In time."""
    with black_hole() as hole:
        url = refused() if place == "01 refused" else hole
        settings = made.model_copy(update={"jolpica_url": url, "http_timeout_s": LIMIT_S})
        started = time.monotonic()
        with pytest.raises(ProviderError, match="jolpica: no answer from"):
            jolpica.fetch(BELGIUM, settings)
    assert time.monotonic() - started < LIMIT_S + SLACK_S


@pytest.mark.realdata
def test_a_bomb_is_refused(server: Replay, made: Settings) -> None:
    """17: 64 MiB out of 64 kB."""
    server.fail(RESULTS, gzip_bomb(64), times=None)
    with pytest.raises(ProviderError, match="larger than 50 MiB"):
        jolpica.fetch(BELGIUM, made)


def other_offset(document: Any) -> Any:
    """A page that says it is the first."""
    document["MRData"]["offset"] = "0"
    return document


def fewer_rows(document: Any) -> Any:
    """A total that shrinks while we read."""
    document["MRData"]["total"] = "900"
    return document


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("part", "fault", "said"),
    [
        (SECOND, edited(without_rows), "the number of rows is 0 after it was 1038"),
        (SECOND, edited(other_offset), "the one from 0 came"),
        (SECOND, edited(fewer_rows), "900 after it was 1038"),
        (SECOND, timings(lambda rows: rows.pop()), "has 99 rows instead of 100"),
        ("2019/1/laps", repeated({}), "the page from row 100 was asked for, the one from 0 came"),
        ("2019/1/laps", written("total", '"100"'), "differ from the credited"),
        ("2019/1/laps", written("total", '"999999999"'), "at most 5000"),
    ],
)
def test_a_missing_or_repeated_page_is_refused(
    server: Replay, made: Settings, part: str, fault: Fault, said: str
) -> None:
    """26: no lap of Australia 2019 is lost, and none counts twice."""
    server.fail(part, fault, times=None)
    with pytest.raises(ProviderError, match=said):
        jolpica.fetch(AUSTRALIA, made)


@pytest.mark.realdata
@pytest.mark.parametrize("kind", ["folder", "zip", "parquet"])
def test_the_dump_gives_what_the_api_gives(
    made: Settings, realdata: Path, tmp_path: Path, kind: str
) -> None:
    """The same season as CSV, zipped, and as Parquet."""
    folder = realdata / "history_csv_sample" / "2019"
    path = {"folder": folder, "zip": tmp_path / "dump.zip", "parquet": realdata / "history"}[kind]
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in folder.glob("*.csv"):
                archive.write(file, f"f1/{file.name}")
    same(fetch_from_dump(AUSTRALIA, path), jolpica.fetch(AUSTRALIA, made))


@pytest.mark.realdata
def test_a_sprint_of_the_dump(made: Settings, realdata: Path) -> None:
    """Its status words are the archive's own; all else is as the API gives it."""
    own = fetch_from_dump(SPRINT, realdata / "history")
    other = jolpica.fetch(SPRINT, made)
    assert_frame_equal(own["sessions"], other["sessions"])
    assert_frame_equal(own["entries"].drop("status_text"), other["entries"].drop("status_text"))


@pytest.mark.realdata
def test_a_season_of_the_dump_at_once(realdata: Path) -> None:
    """All races together equal each alone."""
    folder = realdata / "history_csv_sample" / "2019"
    season = dump_tables(read_dump(folder), "the dump of 2019")
    assert season["sessions"].height == 21
    for number in (1, 11, 21):
        alone = fetch_from_dump(SessionKey(2019, number), folder)
        for name, frame in alone.items():
            of_race = season[name].filter(pl.col("session_id") == f"2019-{number}")
            assert_frame_equal(of_race, frame)


@pytest.fixture(scope="module")
def history(realdata: Path) -> tuple[Mapping[str, pl.DataFrame], SessionTables]:
    """The dump of all seasons, and its tables."""
    dump = read_dump(realdata / "history")
    return dump, dump_tables(dump, "the history")


@pytest.mark.realdata
def test_laps_add_up_in_every_race_of_the_history(
    history: tuple[Mapping[str, pl.DataFrame], SessionTables],
) -> None:
    """The archive's own check: 3975 of 4043 totals agree with the laps to the second."""
    found = history[1]
    last = found["laps"].group_by("session_id", "driver_id").agg(pl.col("lap_end_ms").max())
    both = found["entries"].join(last, on=["session_id", "driver_id"]).drop_nulls("race_time_ms")
    agree = both.filter((pl.col("lap_end_ms") - pl.col("race_time_ms")).abs() <= 1000)
    assert agree.height >= 3900
    assert set(found["entries"]["status"].unique()) <= set(tables.ENTRY_STATUSES) - {"unknown"}


@pytest.mark.realdata
def test_every_race_of_the_history_has_entries(
    history: tuple[Mapping[str, pl.DataFrame], SessionTables],
) -> None:
    """Under contract, 85 of them of drivers in several cars; no race loses a point."""
    key = ["session_id", "driver_id"]
    listed, found = raw_results(history[0]), history[1]["entries"]
    several = listed.filter(pl.struct(key).is_duplicated()).select(key).unique()
    assert several.height == 85
    marked = found.filter(pl.col("status_text").str.contains("; also car "))
    assert_frame_equal(marked.select(key), several, check_row_order=False)
    assert found.height == listed.select(key).n_unique()
    points = pl.col("points").sum().round(2)
    assert_frame_equal(
        found.group_by("session_id").agg(points),
        listed.group_by("session_id").agg(points),
        check_row_order=False,
    )


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("session", "drivers"),
    [
        (SessionKey(1951, 4), {"fagioli": (8, 1, 4.0), "fangio": (8, 1, 5.0)}),
        (SessionKey(1956, 8), {"collins": (26, 2, 3.0), "fangio": (26, 2, 3.0)}),
        (SessionKey(1957, 5), {"brooks": (20, 1, 4.0), "moss": (20, 1, 5.0)}),
        (SessionKey(1955, 1), {"farina": (12, 2, 3.33), "gonzalez": (12, 2, 2.0)}),
    ],
)
def test_a_shared_car(
    made: Settings, realdata: Path, session: SessionKey, drivers: dict[str, tuple[int, int, float]]
) -> None:
    """France 1951, Italy 1956, Britain 1957, Argentina 1955: car, place and points; also the API.

    One point of Fangio's and of Moss' is for the fastest lap. Farina drove two of the leading cars.
    """
    found = fetch_from_dump(session, realdata / "history")
    rows = found["entries"].filter(pl.col("driver_id").is_in(list(drivers)))
    got = rows.select("driver_id", "driver_number", "position", "points").iter_rows()
    assert {driver: tuple(values) for driver, *values in got} == drivers
    same(jolpica.fetch(session, made), found)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("session", "said"),
    [
        (SessionKey(2019, 22), "no such session"),
        (SessionKey(2019, 1, "sprint"), "no such session"),
        (SessionKey(2025, 1), "the lap times are not there yet"),
    ],
)
def test_what_the_dump_lacks_is_told(realdata: Path, session: SessionKey, said: str) -> None:
    """A race or a sprint that was not held, and one whose laps are not there."""
    with pytest.raises((ProviderError, ContractError), match=said):
        fetch_from_dump(session, realdata / "history")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("status.csv", None, "status.csv or status.parquet is missing"),
        ("status.csv", "statusId,text\n1,Finished\n", "status.csv of the dump"),
        ("status.csv", "statusId,status\none,Finished\n", "status.csv of the dump"),
        ("status.csv", "", "status.csv of the dump"),
        ("status.parquet", "no parquet", "status.parquet of the dump"),
    ],
)
def test_a_damaged_dump_is_told(
    realdata: Path, tmp_path: Path, file: str, content: str | None, said: str
) -> None:
    """By file, with the columns it needs."""
    folder = tmp_path / "dump"
    shutil.copytree(realdata / "history_csv_sample" / "2019", folder, copy_function=shutil.copyfile)
    folder.chmod(0o700)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises((ProviderError, ContractError), match=said):
        fetch_from_dump(AUSTRALIA, folder)


def test_a_dump_that_is_none_is_told(tmp_path: Path) -> None:
    """No file, or no zip."""
    file = tmp_path / "dump.zip"
    with pytest.raises(ProviderError, match="cannot be read"):
        read_dump(file)
    file.write_bytes(b"no zip")
    with pytest.raises(ProviderError, match="cannot be read"):
        read_dump(file)


def test_the_dump_is_described_by_name() -> None:
    """Every table we read is one of the archive's."""
    assert set(FILES) < {
        "races", "circuits", "drivers", "constructors", "status", "results", "sprint_results",
        "lap_times", "pit_stops", "qualifying", "seasons",
    }  # fmt: skip


NUMBERS = st.integers(-2, 10**9).map(str)
WORDS = ["1:33.8", "0:0.0", "9:9", "23:44.659", "", "R", "W", "bottas"]
TEXTS = NUMBERS | st.sampled_from(WORDS) | st.text(max_size=9)
TIMING = {"number": "1", "driverId": "albon", "position": "2", "time": "1:33.8"}
STOP = {"driverId": "albon", "lap": "1", "duration": "23.456"}
PERSON = {"driverId": "albon", "givenName": "Alexander", "familyName": "Albon", "code": "ALB"}
RESULT = {
    "position": "1", "positionText": "1", "points": "26", "laps": "58", "number": "23", "grid": "2",
    "Driver": PERSON, "Constructor": {"constructorId": "x", "name": "X"}, "status": "Finished",
    "Time": {"millis": "5127325", "time": "1:25:27.325"},
}  # fmt: skip
QUALIFIED = {"Driver": PERSON, "position": "1", "Q1": "1:22.3", "Q2": ""}


@hypothesis_settings(max_examples=runs(80, 2000), derandomize=True, deadline=None)
@given(some(TIMING, TEXTS), some(STOP, TEXTS))
def test_any_timings_become_laps_or_a_typed_error(timed: list[Any], stopped: list[Any]) -> None:
    """The parsers never raise anything else."""
    try:
        stops = jolpica.raw_pit_stops(AUSTRALIA, validate_records(stopped, PitStop, "x", "stops"))
        raw = jolpica.raw_laps(AUSTRALIA, validate_records(timed, Timing, "x", "laps"))
        found = parse_laps(raw, stops, "x")
        parse_pit_stops(stops, "x")
    except (ContractError, ProviderError):
        return
    assert found.height == len(timed)


@hypothesis_settings(max_examples=runs(80, 2000), derandomize=True, deadline=None)
@given(some(RESULT, TEXTS))
def test_any_results_become_entries_or_a_typed_error(rows: list[Any]) -> None:
    """The parsers never raise anything else."""
    try:
        parse_identities(validate_records(rows, Entered, "x", "entries"))
        read = validate_records(rows, Result, "x", "entries")
        found = parse_entries(jolpica.raw_results(AUSTRALIA, read), "x")
    except (ContractError, ProviderError):
        return
    assert found.height == len(rows)


@hypothesis_settings(max_examples=runs(40, 1000), derandomize=True, deadline=None)
@given(some(QUALIFIED, TEXTS))
def test_any_qualifying_becomes_rows_or_a_typed_error(rows: list[Any]) -> None:
    """The parsers never raise anything else."""
    try:
        read = validate_records(rows, Qualified, "x", "qualifying")
        found = parse_qualifying(jolpica.raw_qualifying(AUSTRALIA, read), "x")
    except (ContractError, ProviderError):
        return
    assert found.height == len(rows)


class _Said:
    """A client that always answers the same."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def get(self, path: str, **_: str | int) -> Reply:
        """Give the answer."""
        return Reply(path, 200, self.content, datetime.now(UTC), 0.0)


PAGES = st.fixed_dictionaries(
    {
        "limit": NUMBERS | JSON, "offset": st.just("0") | NUMBERS | JSON,
        "total": st.just("1") | NUMBERS | JSON,
        "RaceTable": st.fixed_dictionaries({"Races": st.lists(JSON, max_size=2)}) | JSON,
    }
)  # fmt: skip


@hypothesis_settings(max_examples=runs(200, 5000), derandomize=True, deadline=None)
@given(st.fixed_dictionaries({"MRData": PAGES | JSON}) | JSON)
def test_any_answer_is_read_or_a_typed_error(document: Any) -> None:
    """And it ends: a total of a milliard rows is not walked through."""
    client: Any = _Said(json.dumps(document).encode())
    try:
        ask(client, AUSTRALIA, "laps")
    except (ContractError, ProviderError):
        return


CELLS = st.sampled_from(
    ["", "1", "2", "-1", "1.5", "1e999", "\\N", "NaN", "9" * 30, '"', "Ñ 周", "2019-03-17", "\x00"]
)
DUMP_OF_ONE_LAP = {
    "races": "1,2019,1,1,Australian Grand Prix,2019-03-17,05:10:00,\\N,\\N",
    "circuits": "1,albert_park,Albert Park",
    "drivers": "1,bottas,BOT,Valtteri,Bottas",
    "constructors": "1,mercedes,Mercedes",
    "status": "1,Finished",
    "results": "1,1,1,77,2,1,1,26,58,1:25:27.325,5127325,1",
    "lap_times": "1,1,1,1,90000",
    "pit_stops": "1,1,1,23000",
}
"""A row of each table of the dump."""


@pytest.fixture(scope="module")
def small_dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dump of one race, one driver, one lap and one stop."""
    folder = tmp_path_factory.mktemp("dump")
    for name, schema in FILES.items():
        rows = [",".join(schema.names()), DUMP_OF_ONE_LAP.get(name, "")]
        (folder / f"{name}.csv").write_text("\n".join(rows).strip() + "\n")
    return folder


@pytest.fixture(scope="module")
def good_tables(small_dump: Path) -> dict[str, pl.DataFrame]:
    """The tables of the small dump."""
    return read_dump(small_dump)


def test_a_dump_of_one_lap(good_tables: dict[str, pl.DataFrame]) -> None:
    """What the next test spoils is good as it is."""
    found = dump_tables(good_tables, "hand")
    heights = {name: frame.height for name, frame in found.items() if frame.height}
    assert heights == {"sessions": 1, "entries": 1, "laps": 1, "pit_stops": 1}


SPOILED = st.dictionaries(st.integers(0, 11), CELLS, max_size=3)


@hypothesis_settings(max_examples=runs(60, 1500), derandomize=True, deadline=None)
@given(st.sampled_from(sorted(DUMP_OF_ONE_LAP)), SPOILED, st.binary(max_size=20) | st.none())
def test_any_dump_is_read_or_a_typed_error(
    good_tables: dict[str, pl.DataFrame],
    small_dump: Path,
    table: str,
    spoiled: dict[int, str],
    tail: bytes | None,
) -> None:
    """Spoiled cells, rows twice, bytes that are no text: tables under contract, or our errors."""
    cells = enumerate(DUMP_OF_ONE_LAP[table].split(","))
    row = ",".join(spoiled.get(place, value) for place, value in cells).encode() + b"\n"
    header = ",".join(FILES[table].names()).encode() + b"\n"
    file = small_dump / "spoiled"
    file.write_bytes(header + row + (row if tail is None else tail))
    try:
        read = {**good_tables, table: _table(table, small_dump, {f"{table}.csv": file})}
        found = dump_tables(read, "hand")
    except (ContractError, ProviderError):
        return
    assert all(frame.schema == tables.polars_schema(name) for name, frame in found.items())
