"""OpenF1 through the replay server: 26 faults, each of which is refused or changes nothing.

The numbers are those of the project's list of provider faults. A service that is silent, drips or
hangs does so for ever: that such a test ends shows that the time limit holds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.errors import ContractError
from engine.tables import NORMALIZED
from loaders.fallback import gaps
from loaders.providers import ProviderError, openf1
from loaders.settings import Settings
from tests.openf1_rows import RACE, SESSION, at, write_session
from tests.replay import (
    Answer,
    Replay,
    black_hole,
    body,
    edited,
    gzip_bomb,
    manner,
    refused,
    replay,
    status,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loaders.providers import SessionTables

    Fault = Callable[[Answer], Answer]

LIMIT_S = 0.5
"""Configured limit of one request, tries and waits included, where it is to run out."""

ENOUGH_S = 2.0
"""Limit within which a busy machine too gives the server's own answer."""

REQUESTS = 13
"""What an undisturbed load asks for: eleven endpoints of OpenF1, two of Jolpica."""

MAX_REPEATS = 3
"""A faulty request is sent again so often at most."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """A replay of the session made by hand."""
    folder = tmp_path_factory.mktemp("session")
    write_session(folder)
    with replay(folder) as running:
        yield running


@pytest.fixture
def made(server: Replay, tmp_path: Path) -> Settings:
    """Settings that lead to the replay, with an empty cache."""
    server.reset()
    return Settings(
        home=tmp_path,
        openf1_url=server.openf1_url,
        jolpica_url=server.jolpica_url,
        allow_loopback=True,
        http_timeout_s=5.0,
    )


@pytest.fixture(scope="module")
def right(server: Replay, tmp_path_factory: pytest.TempPathFactory) -> SessionTables:
    """The undisturbed load."""
    server.reset()
    home = tmp_path_factory.mktemp("right")
    settings = Settings(
        home=home,
        openf1_url=server.openf1_url,
        jolpica_url=server.jolpica_url,
        allow_loopback=True,
    )
    return openf1.fetch(RACE, settings)


def same(found: SessionTables, expected: SessionTables) -> None:
    """All tables are equal."""
    assert list(found) == list(NORMALIZED)
    for name, frame in expected.items():
        assert_frame_equal(found[name], frame)


def rows(change: Callable[[list[Any]], object]) -> Fault:
    """Change the rows of an answer in place."""

    def edit(document: Any) -> Any:
        change(document)
        return document

    return edited(edit)


def every(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Fault:
    """Send each row as the function makes it."""
    return edited(lambda document: [change(row) for row in document])


def renamed(name: str, new: str = "renamed") -> Fault:
    """Send a field under another name."""
    return every(lambda row: {new if key == name else key: value for key, value in row.items()})


def in_ms(*names: str) -> Fault:
    """Send fields that are in s in ms."""

    def convert(row: dict[str, Any]) -> dict[str, Any]:
        numbers = {name: row[name] for name in names if isinstance(row[name], int | float)}
        return {**row, **{name: seconds * 1000 for name, seconds in numbers.items()}}

    return every(convert)


def more(index: int, **values: object) -> Fault:
    """Send one row a second time, with other values."""
    return rows(lambda document: document.append({**document[index], **values}))


def half(document: list[Any]) -> list[Any]:
    """The first half of the rows, as of an answer whose second page is missing."""
    return document[: len(document) // 2]


def without_the_last(document: Any) -> Any:
    """Jolpica's entry list, one driver short."""
    document["MRData"]["RaceTable"]["Races"][0]["Results"].pop()
    document["MRData"]["total"] = "3"
    return document


RESULT, DRIVERS, LAPS = "/v1/session_result", "/v1/drivers", "/v1/laps"
STINTS, PIT, GRID = "/v1/stints", "/v1/pit", "/v1/starting_grid"
ENTRIES = "/ergast/f1/2024/5/results"

REFUSED: dict[str, tuple[str, Fault, str]] = {
    "03 headers, then silence": (LAPS, manner("stalled"), "laps: no answer from"),
    "03 silence": (LAPS, manner("silent"), "laps: no answer from"),
    "04 drip": (LAPS, manner("dripping"), "laps: no answer from"),
    "07 429 for ever": (LAPS, status(429), "HTTP 429"),
    "07 429 with a long wait": (LAPS, status(429, retry_after="900"), "wait 900 s"),
    "09 503 for ever": (LAPS, status(503), "HTTP 503"),
    "10 404 of the laps": (LAPS, status(404), "laps not published"),
    "10 404 of the classification": (RESULT, status(404), "session_result not published"),
    "10 404 of the calendar": ("/v1/meetings", status(404), "2024 has 0 rounds"),
    "10 404 of the weekend": ("/v1/sessions", status(404), "'Race' is listed 0 times"),
    "11 403": (LAPS, status(403), "HTTP 403"),
    "12 another host": (LAPS, status(302, location="https://example.org/"), "another host"),
    "13 truncated": (LAPS, manner("cut"), "laps: no answer from"),
    "14 invalid JSON": (LAPS, body(b'[{"lap_number": '), "laps: the answer of openf1 2024-5"),
    "15 HTML with 200": (LAPS, body(b"<html>", "text/html"), "HTML"),
    "16 no laps": (LAPS, body(b"[]"), "laps not published"),
    "16 no classification": (RESULT, body(b"[]"), "session_result not published"),
    "16 no meetings": ("/v1/meetings", body(b"[]"), "2024 has 0 rounds"),
    "16 no sessions": ("/v1/sessions", body(b"[]"), "'Race' is listed 0 times"),
    "17 gzip bomb": (LAPS, gzip_bomb(64), "larger than 50 MiB"),
    "18 null for required": (LAPS, written("lap_number", "null"), "lap_number: Input should be"),
    "18 text for a number": (LAPS, written("lap_number", '"1"'), "lap_number: Input should be"),
    "18 fraction for a number": (LAPS, written("lap_number", "1.0"), "lap_number: Input should be"),
    "18 object for a list": (LAPS, edited(lambda found: {"rows": found}), "not a list but an obj"),
    "18 number for a moment": (
        LAPS,
        written("date_start", "1714939200"),
        "date_start: Value error",
    ),
    "19 NaN": (LAPS, written("lap_duration", "NaN"), "NaN is no number"),
    "19 Infinity": (LAPS, written("lap_duration", "Infinity"), "Infinity is no number"),
    "19 1e999": (LAPS, written("lap_duration", "1e999"), "too large a number"),
    "19 1e308": (LAPS, written("lap_duration", "1e308"), "lap_duration: Input should be less"),
    "19 -1": (LAPS, written("lap_duration", "-1"), "lap_duration: Input should be greater"),
    "19 2**70": (LAPS, written("driver_number", str(2**70)), "too large an integer"),
    "19 points of 1e308": (RESULT, written("points", "1e308"), "points: Input should be less"),
    "21 laps": (LAPS, more(2, lap_duration=95.0), "laps: 2 rows from openf1 2024-5 break 1 rule"),
    "21 visits": (PIT, more(0, lane_duration=30.0), "pit_stops: 2 rows from openf1 2024-5"),
    "21 stints": (STINTS, more(0, compound="SOFT"), "driver_number=4 stint_number=1 "),
    "21 grid": (GRID, more(0, position=9), "starting_grid: 2 of 5 rows from openf1 2024-5"),
    "21 sessions": ("/v1/sessions", more(1, gmt_offset="02:00:00"), "session_key=9523 "),
    "22 lap 251": (LAPS, written("lap_number", "251"), "lap_number: Input should be less"),
    "23 driver missing": (RESULT, rows(lambda found: found.pop()), "car 81 has laps, tyres or"),
    "23 driver missing at Jolpica": (
        ENTRIES,
        edited(without_the_last),
        "car 81 has no identity",
    ),
    "23 driver unknown": (RESULT, more(3, driver_number=99), "car 99 has no identity"),
    "23 driver unknown in laps": (LAPS, more(0, driver_number=99), "car 99 has laps, tyres or"),
    "23 driver unknown in stints": (STINTS, more(0, driver_number=99), "car 99 has laps, tyres or"),
    "23 driver twice": (DRIVERS, more(0, last_name="Someone"), "drivers: 2 of 5 rows from openf1"),
    "23 team change": (
        DRIVERS,
        rows(lambda found: found[0].update(team_name="Ferrari")),
        "the team mclaren the names Ferrari, McLaren",
    ),
    "24 NUL": (DRIVERS, written("first_name", r'"Max\u0000"'), "NUL"),
    "24 lone surrogate": (DRIVERS, written("first_name", r'"Max\ud83d"'), "surrogate"),
    "24 10 kB name": (DRIVERS, written("first_name", f'"{"x" * 10_000}"'), "at most 1000 char"),
    "24 a name of 1000": (DRIVERS, written("first_name", f'"{"x" * 1000}"'), "driver_name|max"),
    "24 SQL in a code": (DRIVERS, written("name_acronym", '"x\'); drop"'), "driver_code|regex"),
    "25 missing column": (LAPS, renamed("lap_duration"), "lap_duration: Field required: 20 rows"),
    "25 renamed column": (STINTS, renamed("compound"), "stints: none of 6 rows from openf1 2024-5"),
    "25 renamed clock": (LAPS, renamed("date_start"), "laps: none of 20 rows from openf1 2024-5"),
    "25 laps in ms": (LAPS, in_ms("lap_duration"), "lap_duration: Input should be less"),
    "25 sectors in ms": (LAPS, in_ms("duration_sector_1"), "sector1_time_ms|max"),
    "25 race times in ms": (RESULT, in_ms("duration"), "duration: Input should be less"),
    "25 gaps in ms": (RESULT, in_ms("gap_to_leader"), "duration and gap_to_leader of session_res"),
    "25 visits in ms": (PIT, in_ms("lane_duration"), "pit_in_ms|min"),
    "25 stops in ms": (PIT, in_ms("stop_duration"), "should not last longer than the visit"),
    "26 half of the meetings": ("/v1/meetings", edited(half), "2024 has 2 rounds"),
    "26 half of the sessions": ("/v1/sessions", edited(half), "'Race' is listed 0 times"),
    "26 half of the results": (RESULT, edited(half), "car 44, 81 has laps, tyres or stops"),
}
"""Faults that end in a typed error: what is faulty for ever, the fault, and what the error says."""


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_fault_is_refused(server: Replay, made: Settings, name: str) -> None:
    """With provider and session, in a bounded number of requests; only the cache is written."""
    part, fault, said = REFUSED[name]
    limit_s = LIMIT_S if "no answer" in said else ENOUGH_S
    settings = made.model_copy(update={"http_timeout_s": limit_s})
    server.fail(part, fault, times=None)
    with pytest.raises((ProviderError, ContractError)) as caught:
        openf1.fetch(RACE, settings)
    assert said in str(caught.value)
    assert "openf1 2024-5" in str(caught.value)
    assert "Nothing was" in str(caught.value)
    assert len(server.asked) <= REQUESTS + MAX_REPEATS
    assert [path.name for path in settings.home.iterdir()] == ["http-cache"]


def test_a_locked_service_is_said_to_be_locked(server: Replay, made: Settings) -> None:
    """11: while cars run, even old data asks for an account (401); it is asked once."""
    server.fail("/v1/", status(401), times=None)
    with pytest.raises(ProviderError, match="openf1 2024-5, meetings: session in progress"):
        openf1.fetch(RACE, made)
    assert len(server.asked) == 1


def test_a_car_with_two_results_is_refused(server: Replay, made: Settings) -> None:
    """21: car 4 is first and fourth; which of them holds is not ours to guess."""
    server.fail(RESULT, more(0, position=4), times=None)
    with pytest.raises(ContractError) as caught:
        openf1.fetch(RACE, made)
    text = str(caught.value)
    assert "session_result: 2 of 5 rows from openf1 2024-5 contradict each other" in text
    assert "driver_number: should not be there twice: 2 rows" in text
    assert "driver_number=4 position=1 " in text
    assert "driver_number=4 position=4 " in text


@pytest.mark.parametrize("place", ["01 refused", "02 black hole"])
def test_no_connection_is_told(made: Settings, place: str) -> None:
    """The black hole never answers; the calendar is what is asked first."""
    with black_hole() as hole:
        url = refused() if place == "01 refused" else hole
        settings = made.model_copy(update={"openf1_url": url, "http_timeout_s": LIMIT_S})
        with pytest.raises(ProviderError, match="openf1 2024-5, meetings: no answer from"):
            openf1.fetch(RACE, settings)


ALL = "/v1/"
LOADED: dict[str, tuple[str, Fault, int | None]] = {
    "05 429 with Retry-After": (LAPS, status(429, retry_after="2"), 1),
    "06 429 without": (LAPS, status(429), 1),
    "08 500 once": (LAPS, status(500), 1),
    "13 truncated once": (LAPS, manner("cut"), 1),
    "20 duplicate laps": (LAPS, rows(lambda found: found.append(found[5])), None),
    "22 out of order": (ALL, rows(lambda found: found.reverse()), None),
    "22 lap 0": (LAPS, more(0, lap_number=0), None),
    "23 driver twice, once with gaps": (DRIVERS, more(0, first_name=None, team_name=None), None),
    "25 a new column": (ALL, every(lambda row: {**row, "added": {"NaN": [None]}}), None),
    "25 an old column": (PIT, every(lambda row: {**row, "lane_duration": None}), None),
    "26 everything twice": (ALL, edited(lambda found: found * 2), None),
}
"""Faults of some replies, or of all, that end in a right load."""


@pytest.mark.parametrize("name", list(LOADED))
def test_a_fault_that_passes_changes_nothing(
    server: Replay, made: Settings, right: SessionTables, name: str
) -> None:
    """The load is the same as without it, with one more request at most."""
    part, fault, times = LOADED[name]
    server.fail(part, fault, times=times)
    same(openf1.fetch(RACE, made), right)
    assert len(server.asked) == REQUESTS + (1 if times else 0)


TYRES = ("stint_number", "compound", "tyre_life_laps", "is_fresh_tyre")
UNKNOWN: dict[str, dict[str, tuple[str, ...]]] = {
    "drivers": {},
    "starting_grid": {"entries": ("grid_position", "is_pit_lane_start")},
    "stints": {"laps": TYRES},
    "pit": {"laps": ("is_in_lap",), "pit_stops": ()},
    "position": {},
    "race_control": {"laps": ("track_status", "is_deleted"), "race_control": ()},
    "weather": {"weather": ()},
}
"""What an endpoint without rows leaves unknown: columns that are null, or a table without rows."""


@pytest.mark.parametrize("endpoint", list(UNKNOWN))
def test_nothing_found_is_an_empty_frame(
    server: Replay, made: Settings, right: SessionTables, endpoint: str
) -> None:
    """10, 16: its columns are null, its table is empty, and all else is as it was.

    The service says so with 404; an empty list means the same. Names are Jolpica's then.
    """
    fault = body(b"[]") if endpoint == "pit" else status(404)
    server.fail(f"/v1/{endpoint}", fault, times=None)
    expected = dict(right)
    for table, columns in UNKNOWN[endpoint].items():
        cleared = [pl.lit(None, right[table].schema[name]).alias(name) for name in columns]
        expected[table] = right[table].with_columns(cleared) if columns else right[table].clear()
    same(openf1.fetch(RACE, made), expected)


def test_a_gap_in_the_laps_moves_no_other_lap(
    server: Replay, made: Settings, right: SessionTables
) -> None:
    """22: without lap 4 of car 4 nobody's place on that lap is known; all else is as it was."""
    is_lost = (pl.col("driver_id") == "norris") & (pl.col("lap_number") == 4)
    server.fail(LAPS, rows(lambda found: found.pop(3)), times=None)
    found = openf1.fetch(RACE, made)
    unplaced = pl.when(pl.col("lap_number") != 4).then("position").alias("position")
    expected = right["laps"].filter(~is_lost).with_columns(unplaced)
    same(found, {**right, "laps": expected})
    assert gaps(found) == ()


def test_half_of_the_laps_is_told(server: Replay, made: Settings) -> None:
    """26: the classification credits more laps than there are, and the session is incomplete."""
    server.fail(LAPS, edited(half), times=None)
    found = openf1.fetch(RACE, made)
    assert gaps(found) == ("hamilton: 0 of 5 laps", "max_verstappen: 4 of 6 laps",
                           "piastri: 0 of 3 laps")  # fmt: skip
    assert found["laps"]["position"].null_count() == found["laps"].height == 10


def test_odd_names_are_loaded_as_they_are(server: Replay, made: Settings) -> None:
    """24: a name is text, and nothing else."""
    name = "Ñ 周 🏎 \u202e'); drop table core.laps; --"
    server.fail(DRIVERS, written("first_name", json.dumps(name)))
    found = openf1.fetch(RACE, made)["entries"]["driver_name"].to_list()
    assert f"{name} Norris" in found


def test_an_unlisted_visit_still_ends_its_lap_in_the_pit_lane(
    server: Replay, made: Settings, right: SessionTables
) -> None:
    """26: of two visits one is missing, but the lap after it began in the pit lane."""
    server.fail(PIT, edited(half), times=None)
    found = openf1.fetch(RACE, made)
    assert_frame_equal(found["laps"], right["laps"])
    assert found["pit_stops"].select("driver_id", "lap_number").rows() == [("norris", 3)]


def test_the_undisturbed_load_is_what_was_made(server: Replay, right: SessionTables) -> None:
    """Against which all faults are measured: worked by hand."""
    assert at(0) == SESSION["position"][0]["date"]
    assert right["entries"].select("driver_id", "position", "status", "race_time_ms").rows() == [
        ("hamilton", 3, "lapped", None),
        ("max_verstappen", 2, "finished", 556_000),
        ("norris", 1, "finished", 550_000),
        ("piastri", 4, "retired", None),
    ]
    third = right["laps"].filter(lap_number=3)
    assert third.select("driver_id", "position", "lap_time_ms", "is_in_lap").rows() == [
        ("hamilton", 4, 110_000, False),
        ("max_verstappen", 2, 91_000, True),
        ("norris", 1, 90_000, True),
        ("piastri", 3, 92_000, False),
    ]
    assert right["laps"].height == 20
    assert gaps(right) == ()
    assert server.missed == []
