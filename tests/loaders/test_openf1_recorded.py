"""OpenF1's own replies on Miami 2026, as they were recorded on 13 September 2026.

Recorded are sessions, session_result, stints, pit, nine rows of laps, nine of weather, and that
starting_grid has no rows. The complement of these tests is one made-up row of meetings, without
which no round can be found. Drivers, position and race_control were not recorded and are not made
up: names are Jolpica's, and what messages tell is null.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.tables import NORMALIZED, SessionKey, polars_schema
from loaders.fallback import gaps
from loaders.providers import ProviderError, openf1
from loaders.providers.openf1_replies import parse_reply
from loaders.settings import Settings
from tests.replay import replay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loaders.providers import SessionTables
    from tests.replay import Replay

pytestmark = pytest.mark.realdata

MIAMI = SessionKey(2026, 4)

FILES = {
    "sessions": "sessions", "session_result": "session_result", "stints": "stints", "pit": "pit",
    "laps": "laps_excerpt", "weather": "weather_first_rows",
}  # fmt: skip
"""Recorded file of each endpoint."""

MADE_UP_MEETING = {
    "meeting_key": 1284,
    "meeting_name": "Miami Grand Prix",
    "date_start": "2026-05-01T16:00:00+00:00",
    "circuit_short_name": "Miami",
    "year": 2026,
}


@pytest.fixture(scope="module")
def recorded(realdata: Path) -> Path:
    """Folder of the recorded replies."""
    return realdata / "openf1_recorded" / "2026_04"


@pytest.fixture(scope="module")
def replayed(
    realdata: Path, recorded: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Replay, Path]]:
    """A replay of the recordings and the complement, and the folder it reads them from."""
    folder = tmp_path_factory.mktemp("miami")
    for name in ("history", "history_2026_f1db"):
        (folder / name).symlink_to(realdata / name)
    weekend = folder / "openf1" / "2026_04"
    weekend.mkdir(parents=True)
    for endpoint, file in FILES.items():
        shutil.copyfile(recorded / f"{file}.json", weekend / f"{endpoint}.json")
    (weekend / "starting_grid.json").write_text("[]", encoding="utf-8")
    (weekend / "meetings.json").write_text(json.dumps([MADE_UP_MEETING]), encoding="utf-8")
    with replay(folder) as running:
        yield running, weekend


def fetched(server: Replay, home: Path) -> SessionTables:
    """What the provider makes of the replay."""
    settings = Settings(
        home=home,
        openf1_url=server.openf1_url,
        jolpica_url=server.jolpica_url,
        allow_loopback=True,
    )
    return openf1.fetch(MIAMI, settings)


@pytest.fixture(scope="module")
def miami(replayed: tuple[Replay, Path], tmp_path_factory: pytest.TempPathFactory) -> SessionTables:
    """The tables of the recordings."""
    return fetched(replayed[0], tmp_path_factory.mktemp("home"))


def test_every_recorded_reply_is_read(recorded: Path) -> None:
    """By the strict parser, byte for byte; no row is dropped, and counts are the service's own."""
    counts = json.loads((recorded / "counts.json").read_bytes())["counts"]
    expected = {**counts, "sessions": counts["session"], "laps": 9}
    for endpoint, file in FILES.items():
        content = (recorded / f"{file}.json").read_bytes()
        assert parse_reply(endpoint, content, "openf1 2026-4").height == expected[endpoint]
    assert counts["starting_grid"] == 0


def test_the_recorded_replies_load(miami: SessionTables, replayed: tuple[Replay, Path]) -> None:
    """All tables under contract; asked in vain is only what was not recorded."""
    assert {name: table.schema for name, table in miami.items()} == {
        name: polars_schema(name) for name in NORMALIZED
    }
    assert {name: table.height for name, table in miami.items()} == {
        "sessions": 1, "entries": 22, "laps": 11, "pit_stops": 1, "race_control": 0, "weather": 9,
        "qualifying": 0,
    }  # fmt: skip
    in_vain = {command.partition("v1/")[2].partition("?")[0] for command in replayed[0].missed}
    assert in_vain == {"drivers", "position", "race_control"}
    session = miami["sessions"].row(0, named=True)
    assert (session["circuit_id"], session["f1_session_key"]) == ("miami", 11280)
    assert session["session_date"].isoformat() == "2026-05-03"


def test_the_recorded_classification(miami: SessionTables) -> None:
    """Gaps that are 0, a number, "+1 LAP" and null; ids and names are Jolpica's."""
    by_car = {row["driver_number"]: row for row in miami["entries"].to_dicts()}
    winner, second, lapped, retired = (by_car[car] for car in (12, 1, 87, 27))
    assert (winner["driver_id"], winner["race_time_ms"]) == ("antonelli", 5_599_273)
    assert (second["race_time_ms"], second["status"]) == (5_602_537, "finished")
    assert (lapped["race_time_ms"], lapped["status"]) == (None, "lapped")
    assert (retired["position"], retired["status"]) == (19, "retired")
    assert miami["entries"]["grid_position"].null_count() == 22


def test_the_recorded_tyres_and_visits(miami: SessionTables) -> None:
    """Car 27 stopped on lap 1: 33.7 s in the lane, out at 17:06:24.850, two hours after clock 0."""
    (stop,) = miami["pit_stops"].to_dicts()
    out_ms = (2 * 3600 + 6 * 60 + 24) * 1000 + 850
    assert (stop["lap_number"], stop["pit_out_ms"]) == (1, out_ms)
    assert (stop["pit_in_ms"], stop["pit_lane_time_ms"]) == (out_ms - 33_700, 33_700)
    assert stop["stationary_time_ms"] is None
    first = miami["laps"].filter(pl.col("lap_number") == 1)
    assert dict(first.group_by("compound").len().rows()) == {"MEDIUM": 4, "HARD": 1}
    assert set(first["tyre_life_laps"]) == {1}


def of_car(tables: SessionTables, car: int) -> pl.DataFrame:
    """A car's laps."""
    entries = tables["entries"].filter(pl.col("driver_number") == car)
    return tables["laps"].join(entries, on="driver_id", how="semi")


def test_the_lap_1_quirk_is_recognized(miami: SessionTables) -> None:
    """Lap 1's row holds lap 2, which is not there: lap 3 begins 190 s after the start.

    The true first lap of car 16 took 96.338 s; dates, right to 0.3 s, tell 0.25 s more.
    """
    laps = of_car(miami, 16)
    assert laps.select("lap_number", "lap_time_ms").rows() == [(1, None), (2, 93_036), (3, 93_357)]
    assert laps["sector1_time_ms"].to_list() == [None, 32_306, 32_590]
    first = laps.row(0, named=True)
    assert first["lap_end_ms"] - first["lap_start_ms"] == pytest.approx(96_338, abs=400)
    assert of_car(miami, 12)["lap_time_ms"].to_list() == [None, 92_936, 93_224]


def test_the_lap_1_quirk_makes_no_start_from_the_pit_lane(miami: SessionTables) -> None:
    """Car 27's row 1 is its out-lap 2: it stopped on lap 1, and started from the grid."""
    (hulkenberg,) = miami["entries"].filter(pl.col("driver_number") == 27).to_dicts()
    assert hulkenberg["is_pit_lane_start"] is None


def test_the_excerpt_is_reported_as_incomplete(miami: SessionTables) -> None:
    """Every car lacks laps; no place at the line is told while cars are missing."""
    found = gaps(miami)
    assert len(found) == 22
    assert "antonelli: 3 of 57 laps" in found
    assert miami["laps"]["position"].null_count() == miami["laps"].height


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("laps", "laps not published"),
        ("session_result", "session_result not published"),
        ("sessions", "'Race' is listed 0 times"),
        ("meetings", "session_result and laps not published"),
    ],
)
def test_without_a_needed_reply_it_is_refused(
    replayed: tuple[Replay, Path], tmp_path: Path, endpoint: str, said: str
) -> None:
    """By name, whatever else is there; without its meeting round 4 would be Canada's."""
    weekend = replayed[1]
    folder = tmp_path / "data"
    shutil.copytree(weekend, folder / "openf1" / "2026_04")
    for name in ("history", "history_2026_f1db"):
        (folder / name).symlink_to(weekend.parents[1] / name)
    (folder / "openf1" / "2026_04" / f"{endpoint}.json").unlink()
    with replay(folder) as running, pytest.raises(ProviderError, match=said):
        fetched(running, tmp_path / "home")
