"""FastF1 against servers that fail: the real library, in the process that is killed at a limit."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from polars.testing import assert_frame_equal
from requests_cache.backends.sqlite import SQLiteCache

from engine.completeness import missing
from engine.errors import ContractError
from engine.tables import SessionKey
from loaders.providers import ProviderError
from loaders.providers.fastf1 import fetch
from loaders.settings import Settings
from tests.replay import (
    Answer,
    black_hole,
    body,
    edited,
    gzip_bomb,
    manner,
    refused,
    status,
    written,
)
from tests.replay_fastf1 import FOLDER, URL_VARIABLE, Race, launcher, race

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loaders.providers import SessionTables

    Fault = Callable[[Answer], Answer]

SESSION = SessionKey(2024, 1)
LIMIT_S = 1.0
"""Limit of the process where a server hangs, s."""

SLACK_S = 4.0
MAX_REQUESTS = 30
"""Pages of a load, twelve, each from two servers, and the other sources of a schedule."""

NEXT_DAY_S = datetime(2024, 5, 6, tzinfo=UTC).timestamp()

TIMING, WEATHER, RESULTS = "TimingData", "WeatherData", "results.json"
PICKLES = {TIMING: "_extended_timing_data", WEATHER: "weather_data"}


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    """The program behind which FastF1 is ready."""
    with TemporaryDirectory() as folder, launcher(Path(folder)) as made:
        yield made


@pytest.fixture(scope="module")
def running() -> Iterator[Race]:
    """A server of the race."""
    with race() as made:
        yield made


@pytest.fixture
def server(program: Path, running: Race, monkeypatch: pytest.MonkeyPatch) -> Race:
    """The server without faults, which FastF1 asks."""
    running.reset()
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setenv(URL_VARIABLE, running.url)
    return running


@pytest.fixture
def made(tmp_path: Path) -> Settings:
    """Settings with an empty cache."""
    return Settings(home=tmp_path, fastf1_timeout_s=30.0)


@pytest.fixture(scope="module")
def right(program: Path, running: Race) -> SessionTables:
    """The race as it is."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as home:
        patch.setattr(sys, "executable", str(program))
        patch.setenv(URL_VARIABLE, running.url)
        return fetch(SESSION, Settings(home=Path(home)))


def same(found: SessionTables, right: SessionTables) -> None:
    """All tables are equal."""
    assert list(found) == list(right)
    for name, frame in right.items():
        assert_frame_equal(found[name], frame)


def pages(settings: Settings) -> list[Path]:
    """What FastF1 keeps of the session."""
    cache = settings.home / "fastf1-cache"
    return sorted((cache / FOLDER.removeprefix("/static/")).glob("*"))


def test_the_race_is_read_from_the_wire(right: SessionTables) -> None:
    """Six laps; Norris starts at 1 h of the stream and wins in 95.0 + 93.5 + 93.0 s."""
    laps = right["laps"].filter(driver_id="norris")
    assert laps["lap_time_ms"].to_list() == [95_000, 93_500, 93_000]
    assert laps["lap_end_ms"].to_list() == [3_695_000, 3_788_500, 3_881_500]
    assert right["entries"]["race_time_ms"].to_list() == [281_500, 284_600]
    assert [right[name].height for name in ("laps", "weather", "race_control")] == [6, 3, 1]


def rows(change: Callable[[list[Any]], object]) -> Fault:
    """Change the rows of the classification in place."""

    def edit(document: Any) -> Any:
        change(document["MRData"]["RaceTable"]["Races"][0]["Results"])
        return document

    return edited(edit)


REFUSED: dict[str, tuple[str, Fault, str]] = {
    "05 429 with Retry-After": (RESULTS, status(429, retry_after="2"), "results.json (HTTP 429)"),
    "06 429 without": (WEATHER, status(429), "WeatherData.jsonStream (HTTP 429)"),
    "07 429 for ever": ("", status(429), "the schedule of 2024 is out of reach"),
    "09 503 for ever": ("RaceControl", status(503), "RaceControlMessages.jsonStream (HTTP 503)"),
    "10 404": (TIMING, status(404), "without laps"),
    "11 401": (TIMING, status(401), "wants a signed-in reader"),
    "11 403": (TIMING, status(403), "wants a signed-in reader"),
    "12 another host": (
        TIMING,
        status(302, location="https://example.org/"),
        "redirected to another host, example.org",
    ),
    "13 truncated": (TIMING, manner("cut"), "IncompleteRead"),
    "14 invalid JSON": (RESULTS, body(b'{"MRData": '), "no official classification"),
    "15 HTML with 200": (WEATHER, body(b" <html>", "text/html"), "is HTML instead of data"),
    "16 empty list": (RESULTS, body(b"[]"), "no official classification"),
    "16 empty page": (TIMING, body(b""), "without laps"),
    "17 bomb": (TIMING, gzip_bomb(64), "larger than 50 MiB"),
    "18 null for required": (RESULTS, written("driverId", "null"), "car 4 has no driver"),
    "26 a row is missing": (RESULTS, rows(lambda found: found.pop()), "car 81 has no driver"),
    "26 a row is repeated": (RESULTS, rows(lambda found: found.append(found[1])), "2024-1: "),
}
"""Faults for ever that end in a typed error: what is faulty, how, and what the error says."""


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_fault_is_refused(server: Race, made: Settings, right: SessionTables, name: str) -> None:
    """In bounded requests, naming source and session; nothing keeps the race from loading then."""
    part, fault, said = REFUSED[name]
    server.fail(part, fault, times=None)
    with pytest.raises((ProviderError, ContractError)) as caught:
        fetch(SESSION, made)
    assert said in str(caught.value)
    assert "fastf1 2024-1" in str(caught.value)
    assert "Nothing was" in str(caught.value)
    assert len(server.asked) <= MAX_REQUESTS
    assert [path.name for path in made.home.iterdir()] == ["fastf1-cache"]
    assert not [page for page in pages(made) if page.stem == PICKLES.get(part)]
    if name in ("14 invalid JSON", "15 HTML with 200", "16 empty page"):
        server.reset()
        same(fetch(SESSION, made), right)


LOADED: dict[str, tuple[str, Fault]] = {
    "08 500 once": (TIMING, status(500)),
    "15 HTML for a schedule": ("schedule/", body(b"<html>", "text/html")),
}
"""Faults of one reply that end in a right load, from another server where there is one."""


@pytest.mark.parametrize("name", list(LOADED))
def test_a_fault_that_passes_changes_nothing(
    server: Race, made: Settings, right: SessionTables, name: str
) -> None:
    """The load is the same as without it."""
    part, fault = LOADED[name]
    server.fail(part, fault)
    same(fetch(SESSION, made), right)


@pytest.mark.parametrize("name", ["02 black hole", "03 stalled", "04 dripping"])
def test_a_hanging_download_is_killed_at_the_limit(
    server: Race, made: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """FastF1 sets no limit on the timing archive; the process has one."""
    settings = made.model_copy(update={"fastf1_timeout_s": LIMIT_S})
    server.fail(TIMING, manner(name[3:]), times=None)
    started = time.monotonic()
    with black_hole() as hole:
        monkeypatch.setenv(URL_VARIABLE, hole if name == "02 black hole" else server.url)
        with pytest.raises(ProviderError, match="no answer within 1 s, the child process was kil"):
            fetch(SESSION, settings)
    assert time.monotonic() - started < LIMIT_S + SLACK_S
    assert len(server.asked) <= MAX_REQUESTS


def test_a_refused_connection_is_told(
    server: Race, made: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """01: at once, by the first thing that is asked for."""
    monkeypatch.setenv(URL_VARIABLE, refused())
    with pytest.raises(ProviderError, match=r"2024-1: the schedule of 2024 is out of reach"):
        fetch(SESSION, made)
    assert server.asked == []


def test_what_is_not_there_is_no_fault(server: Race, made: Settings, right: SessionTables) -> None:
    """10: a race whose weather was never published is loaded without."""
    server.fail(WEATHER, status(404), times=None)
    found = fetch(SESSION, made)
    assert found["weather"].is_empty()
    same({**found, "weather": right["weather"]}, right)


def test_a_stream_that_ends_early_is_incomplete(server: Race, made: Settings) -> None:
    """13: cut by the server itself after one lap; FastF1 adds one, of which nobody knows."""

    def cut(answer: Answer) -> Answer:
        lines = answer.body.splitlines(keepends=True)
        return replace(answer, body=b"".join(lines[:3]))

    server.fail(TIMING, cut, times=None)
    found = fetch(SESSION, made)
    lacking = missing({name: frame.lazy() for name, frame in found.items()}).collect()
    assert lacking["driver_id"].to_list() == ["piastri"]


# --- the cache ----------------------------------------------------------------------------------


def expire(settings: Settings) -> None:
    """Make what FastF1 keeps look as if it were read on the day after the race, long ago."""
    for page in pages(settings):
        os.utime(page, (NEXT_DAY_S, NEXT_DAY_S))
    answers = SQLiteCache(settings.home / "fastf1-cache" / "fastf1_http_cache")
    answers.reset_expiration(datetime(2024, 5, 6, tzinfo=UTC))


def corrected(answer: Answer) -> Answer:
    """The timing with another time for the last lap of the winner."""
    return replace(answer, body=answer.body.replace(b"1:33.000", b"1:32.900"))


def test_a_provisional_page_is_read_again(
    server: Race, made: Settings, right: SessionTables
) -> None:
    """A page of the days of the race is asked for anew; one read later is final."""
    fetch(SESSION, made)
    server.fail(TIMING, corrected, times=None)
    same(fetch(SESSION, made), right)
    expire(made)
    laps = fetch(SESSION, made)["laps"].filter(driver_id="norris")
    assert laps["lap_time_ms"].to_list() == [95_000, 93_500, 92_900]


@pytest.mark.parametrize("part", [TIMING, RESULTS])
def test_a_server_in_trouble_is_not_answered_for_by_the_past(
    server: Race, made: Settings, right: SessionTables, part: str
) -> None:
    """An old page or answer is no news: refused; but it is kept, and serves who is offline."""
    fetch(SESSION, made)
    expire(made)
    kept = pages(made)
    server.fail(part, status(500), times=None)
    with pytest.raises(ProviderError, match=rf"could not fetch {part}\S* \(HTTP 500\)"):
        fetch(SESSION, made)
    assert pages(made) == kept
    kept[0].rename(kept[0].with_suffix(".aside"))  # as a process that is killed leaves it
    same(fetch(SESSION, made.model_copy(update={"offline": True})), right)


def test_a_truncated_pickle_heals(server: Race, made: Settings, right: SessionTables) -> None:
    """FastF1 reads the page again."""
    fetch(SESSION, made)
    timing = next(page for page in pages(made) if "timing_data" in page.name)
    timing.write_bytes(timing.read_bytes()[:100])
    same(fetch(SESSION, made), right)


def test_two_processes_share_a_cache(server: Race, made: Settings, right: SessionTables) -> None:
    """At the same time, from nothing; `server` is asked by both."""
    with ThreadPoolExecutor(2) as both:
        for found in both.map(lambda _: fetch(SESSION, made), range(2)):
            same(found, right)
    assert sum(f"live{FOLDER}{TIMING}" in path for path in server.asked) <= 2


def test_a_name_that_leads_out_of_the_cache_is_refused(server: Race, made: Settings) -> None:
    """FastF1 would unpickle what lies there."""

    def outside(document: Any) -> Any:
        document["event_name"]["0"] = "../../../../../elsewhere"
        return document

    server.fail("schedule/", edited(outside), times=None)
    with pytest.raises(ProviderError, match="pages lie outside the cache"):
        fetch(SESSION, made)
    assert [path.name for path in made.home.iterdir()] == ["fastf1-cache"]
    assert not list(made.home.parent.rglob("elsewhere"))


def test_a_cache_that_others_can_write_is_refused_before_it_is_read(
    server: Race, tmp_path: Path
) -> None:
    """The refusal of the child process arrives as the provider's error."""
    tmp_path.chmod(0o775)
    with pytest.raises(ProviderError, match=r"(?s)2024-1: .*writable by, other users.*chmod -R"):
        fetch(SESSION, Settings(fastf1_cache_dir=tmp_path))
    assert server.asked == []


@pytest.mark.parametrize(
    ("session", "message"),
    [
        (SessionKey(2024, 40), "2024-40: the season 2024 has no round 40"),
        (SessionKey(2024, 1, "sprint"), "2024-1-sprint: Test Grand Prix has no sprint"),
    ],
)
def test_a_session_that_the_schedule_lacks_is_named(
    server: Race, made: Settings, session: SessionKey, message: str
) -> None:
    """Before anything of it is asked for."""
    with pytest.raises(ProviderError, match=message):
        fetch(session, made)
    assert not any("static" in path or "results" in path for path in server.asked)


def test_a_library_that_exits_is_told(server: Race, made: Settings) -> None:
    """FastF1 calls exit() where the timing archive's calendar says nothing."""
    server.fail("schedule/", status(500), times=None)
    server.fail("Index.json", body(b'{"Meetings": null}'), times=None)
    with pytest.raises(ProviderError, match=r"FastF1 ended with SystemExit"):
        fetch(SESSION, made)
