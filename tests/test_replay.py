"""The replay server answers as the services do; providers are only as well tested as it is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.replay import Replay, replay, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.realdata

CHINA = 9998
"""OpenF1's key of the Grand Prix of China 2025."""

CHINA_QUALIFYING = 9994


@pytest.fixture(scope="module")
def server(realdata: Path) -> Iterator[Replay]:
    """A replay of the real races."""
    with replay(realdata) as running:
        yield running


def openf1(server: Replay, path: str) -> tuple[int, Any]:
    """Ask OpenF1's replay; status and document."""
    reply = httpx.get(f"{server.openf1_url}/{path}")
    return reply.status_code, reply.json()


@pytest.mark.parametrize(("year", "rounds"), [(2023, 22), (2025, 24), (2026, 22)])
def test_a_year_has_all_its_meetings_in_order(server: Replay, year: int, rounds: int) -> None:
    """Recorded or not, after one of testing; so rounds can be counted."""
    code, meetings = openf1(server, f"meetings?year={year}")
    assert code == 200
    assert [row["meeting_name"] for row in meetings].count("Pre-Season Testing") == 1
    assert len(meetings) == rounds + 1
    starts = [row["date_start"] for row in meetings]
    assert starts == sorted(starts)
    assert len({row["meeting_key"] for row in meetings}) == rounds + 1


def test_rows_are_filtered_by_any_attribute(server: Replay) -> None:
    """By one value, or by any of several."""
    _, one = openf1(server, f"laps?session_key={CHINA}&driver_number=81&lap_number=3")
    _, two = openf1(
        server, f"laps?session_key={CHINA}&driver_number=81&driver_number=4&lap_number=3"
    )
    assert [row["driver_number"] for row in one] == [81]
    assert sorted(row["driver_number"] for row in two) == [4, 81]


def test_the_grid_hangs_on_the_qualifying_session(server: Replay) -> None:
    """As in the real service; asked for the race there is none."""
    assert openf1(server, f"starting_grid?session_key={CHINA}") == (
        404,
        {"detail": "No results found."},
    )
    code, grid = openf1(server, f"starting_grid?session_key={CHINA_QUALIFYING}")
    assert (code, len(grid)) == (200, 20)


def test_nothing_found_is_not_the_same_as_not_recorded(server: Replay) -> None:
    """The one is an answer, the other names the command."""
    server.reset()
    assert openf1(server, f"pit?session_key={CHINA}&driver_number=99")[1] == {
        "detail": "No results found."
    }
    assert server.missed == []
    code, document = openf1(server, "laps?session_key=1")
    assert code == 404
    assert "curl --create-dirs -o" in document["detail"]
    assert len(server.missed) == 1


def test_a_page_of_jolpica_has_at_most_a_hundred_rows(server: Replay) -> None:
    """Whatever is asked for; all values are texts."""
    page = httpx.get(f"{server.jolpica_url}/2019/1/laps.json?limit=500&offset=50").json()["MRData"]
    assert (page["limit"], page["offset"], page["total"]) == ("100", "50", "1038")
    laps = page["RaceTable"]["Races"][0]["Laps"]
    assert sum(len(lap["Timings"]) for lap in laps) == 100
    assert laps[0]["Timings"][0].keys() == {"driverId", "position", "time"}


def test_faults_pass_in_their_order(server: Replay) -> None:
    """After the right ones, for as many replies as planned."""
    server.reset()
    server.fail("2019.json", status(503), after=1, times=2)
    codes = [httpx.get(f"{server.jolpica_url}/2019.json").status_code for _ in range(4)]
    assert codes == [200, 503, 503, 200]


def test_it_runs_for_a_person(realdata: Path) -> None:
    """It prints what to set, and answers."""
    command = [sys.executable, "-m", "tests.replay"]
    environment = {**os.environ, "DRIVEGRADE_REALDATA": str(realdata)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(3)]
        urls = re.findall(r"http://127\.0\.0\.1:\d+\S*", "".join(lines))
        assert len(urls) == 2
        assert httpx.get(f"{urls[1]}/2019.json").status_code == 200
        child.terminate()
