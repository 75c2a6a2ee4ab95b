"""Which provider a session is taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.errors import ContractError
from engine.tables import SessionKey, empty
from loaders import jobs, lake, postgres
from loaders.fallback import fetch_session, fill_from, gaps
from loaders.grading import grade_session
from loaders.profiles import read_profile
from loaders.providers import ProviderError, jolpica, openf1, simulated
from loaders.settings import Settings
from tests.real_races import RACES
from tests.replay import Replay, edited, replay, status, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loaders.providers import SessionTables
    from tests.conftest import RealRace
    from tests.replay import Answer

RACE = SessionKey(2099, 1)
MARKS = {"filled_columns": empty("filled_columns")}


@pytest.fixture
def offline(tmp_path: Path) -> Settings:
    """Settings without a network and with empty caches: only what is simulated can be had."""
    return Settings(home=tmp_path, offline=True)


def test_the_first_provider_that_has_the_session_wins(offline: Settings) -> None:
    """Jolpica refuses and says why; the next one is taken whole."""
    fetched = fetch_session(RACE, offline, ["jolpica", "simulated"])
    assert fetched.provider == "simulated"
    assert fetched.gaps == ()
    assert [refusal.provider for refusal in fetched.refused] == ["jolpica"]
    assert "2099/1/races.json" in fetched.refused[0].reason


def test_no_later_provider_is_asked_in_vain(offline: Settings) -> None:
    """A complete session needs no second opinion, not even of a provider that does not exist."""
    fetched = fetch_session(RACE, offline, ["simulated", "nobody"])
    assert (fetched.provider, fetched.refused) == ("simulated", ())


def test_if_nobody_has_it_every_reason_is_told(offline: Settings) -> None:
    """One error with what each of them said."""
    with pytest.raises(ProviderError) as caught:
        fetch_session(SessionKey(2099, 9), offline, ["jolpica", "simulated"])
    text = str(caught.value)
    assert "2099-9: no provider has a usable session" in text
    assert "- jolpica: " in text
    assert "- simulated: " in text
    assert "Nothing was loaded" in text


def test_a_pinned_provider_speaks_for_itself(offline: Settings) -> None:
    """Its own message, not one about the order of providers."""
    with pytest.raises(ProviderError, match="2099-1") as caught:
        fetch_session(SessionKey(2099, 9), offline, ["simulated"])
    assert "no provider has" not in str(caught.value)


def test_gaps_are_named_by_driver(offline: Settings) -> None:
    """Half of the winner's laps are missing."""
    tables = dict(simulated.fetch(RACE, offline))
    winner = tables["entries"].filter(pl.col("position") == 1)["driver_id"].item()
    own = pl.col("driver_id") == winner
    assert gaps(tables) == ()
    tables["laps"] = tables["laps"].filter(~own | (pl.col("lap_number") <= 20))
    laps = tables["entries"].filter(own)["completed_laps"].item()
    assert gaps(tables) == (f"{winner}: 20 of {laps} laps",)


@pytest.mark.realdata
def test_real_races_are_complete(real_race: RealRace) -> None:
    """Laps after the counted one, disqualified drivers and a red flag are no gaps."""
    for session in RACES:
        assert gaps(real_race(session)) == (), session


@pytest.fixture
def replayed(realdata: Path, tmp_path: Path) -> Iterator[tuple[Replay, Settings]]:
    """A replay of OpenF1 and Jolpica, and settings that ask it; FastF1 has nothing cached."""
    with replay(realdata) as running:
        settings = Settings(
            home=tmp_path,
            openf1_url=running.openf1_url,
            jolpica_url=running.jolpica_url,
            allow_loopback=True,
            fastf1_cache_dir=tmp_path / "fastf1",
            fastf1_timeout_s=20.0,
            http_timeout_s=5.0,
        )
        yield running, settings


@pytest.mark.realdata
def test_a_race_falls_back_from_openf1_to_jolpica(replayed: tuple[Replay, Settings]) -> None:
    """OpenF1 is down for good; Jolpica has the laps, and says nothing of tyres."""
    running, settings = replayed
    running.fail("/v1/", status(503), times=None)
    fetched = fetch_session(SessionKey(2023, 10), settings, ["openf1", "jolpica"])
    assert fetched.provider == "jolpica"
    assert [refusal.provider for refusal in fetched.refused] == ["openf1"]
    assert "503" in fetched.refused[0].reason
    assert fetched.tables["laps"]["compound"].is_null().all()


@pytest.mark.realdata
def test_qualifying_comes_from_jolpica_whoever_has_the_race(
    replayed: tuple[Replay, Settings],
) -> None:
    """One request beside OpenF1's, and no mark: it is as Jolpica would give it with the race."""
    running, settings = replayed
    session = SessionKey(2023, 10)
    fetched = fetch_session(session, settings, ["openf1"])
    asked = [path for path in running.asked if "qualifying" in path]
    assert asked == ["/ergast/f1/2023/10/qualifying.json?limit=100&offset=0"]
    assert (fetched.provider, fetched.refused) == ("openf1", ())
    assert "filled_columns" not in fetched.tables
    qualifying = fetched.tables["qualifying"]
    assert qualifying.height == 20
    assert_frame_equal(qualifying, jolpica.fetch(session, settings)["qualifying"])
    entered = fetched.tables["entries"]["driver_id"].to_list()
    assert qualifying["driver_id"].is_in(entered).all()


@pytest.mark.realdata
def test_qualifying_that_is_there_is_not_asked_for_again(
    replayed: tuple[Replay, Settings],
) -> None:
    """Jolpica has it with the race, whether it is the source or only fills gaps."""
    running, settings = replayed
    session = SessionKey(2023, 9)
    for names in (["openf1", "jolpica"], ["jolpica"]):
        running.reset()
        fetched = fetch_session(session, settings, names, fill_gaps=True)
        assert fetched.provider == names[0]
        assert fetched.tables["qualifying"].height == 20
        assert len([path for path in running.asked if "qualifying" in path]) == 1
        assert ("qualifying", "q1_ms") not in marks({**MARKS, **fetched.tables})


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (status(503), "no answer from"),
        (written("driverId", "null"), "driverId: Input should be"),
    ],
)
def test_a_race_is_taken_without_qualifying(
    replayed: tuple[Replay, Settings], fault: Callable[[Answer], Answer], said: str
) -> None:
    """Jolpica's qualifying is out of reach, or broken: the race is whole, and the reason told.

    What was sent lies in quarantine if it was broken.
    """
    running, asked = replayed
    running.fail("/qualifying", fault, times=None)
    fetched = fetch_session(
        SessionKey(2023, 10), asked.model_copy(update={"http_timeout_s": 3.0}), ["openf1"]
    )
    assert (fetched.provider, fetched.gaps) == ("openf1", ())
    assert fetched.tables["qualifying"].is_empty()
    ((name, reason),) = fetched.refused
    assert name == "jolpica"
    assert reason.startswith("qualifying: ")
    assert said in reason
    assert (asked.quarantine / "2023-10").exists() == ("driverId" in said)


def test_nothing_real_fills_what_is_simulated(offline: Settings) -> None:
    """Nobody else is even asked, although the tyres of a whole session are not known."""
    fetched = fetch_session(RACE, offline, ["simulated", "nobody"], fill_gaps=True)
    assert fetched.refused == ()
    assert "filled_columns" not in fetched.tables


def marks(tables: SessionTables) -> dict[tuple[str, str], int]:
    """Rows filled, by table and column."""
    rows = tables["filled_columns"].iter_rows(named=True)
    return {(row["table_name"], row["column_name"]): row["filled_rows"] for row in rows}


@pytest.mark.realdata
def test_a_race_of_fastf1_is_filled_from_openf1(
    replayed: tuple[Replay, Settings], real_race: RealRace
) -> None:
    """Canada 2024 has no race control, and so no word on deleted times; 24 messages are taken.

    Weather that is taken away comes back at the same clocks: OpenF1's zero is two hours earlier.
    """
    session = SessionKey(2024, 9)
    base, other = dict(real_race(session)), openf1.fetch(session, replayed[1])
    recorded = base["weather"]
    base["weather"] = recorded.clear()
    result = fill_from(base, other)
    assert base["race_control"].is_empty()
    assert_frame_equal(result["race_control"], other["race_control"])
    clocks = (result["weather"]["session_clock_ms"] - recorded["session_clock_ms"]).abs()
    assert (result["weather"].height, clocks.max()) == (recorded.height, 0)
    assert marks(result)["race_control", "message"] == 24
    assert marks(result)["laps", "is_deleted"] == 1270
    assert result["sessions"]["data_source"].item() == "fastf1"
    graded = grade_session(result, read_profile("baseline"), "test")["driver_metrics"]
    assert graded["data_source"].unique().to_list() == ["fastf1"]


@pytest.mark.realdata
def test_marks_are_stored_and_go_with_the_next_load(
    replayed: tuple[Replay, Settings], settings: Settings
) -> None:
    """Austria 2023: Jolpica knows the first laps, which OpenF1 does not time. Then no more."""
    session = SessionKey(2023, 9)
    asked = replayed[1].model_copy(update={"home": settings.home, "providers": "openf1,jolpica"})
    report = jobs.ingest(session, asked, fill_gaps=True)
    (mark,) = [row for row in report.filled if row["column_name"] == "lap_time_ms"]
    assert mark["data_source"] == "jolpica"
    assert report.load.changes["core.filled_columns"].inserted == len(report.filled)
    with postgres.connect(asked) as connection:
        stored = postgres.read(connection, "filled_columns", session.session_id)
    assert stored.to_dicts() == list(report.filled)
    in_lake = lake.read_session(asked.lake, session)
    assert marks(in_lake)["laps", "lap_time_ms"] == mark["filled_rows"]
    assert in_lake["laps"].filter(lap_number=1)["lap_time_ms"].null_count() == 0
    assert jobs.ingest(session, asked, fill_gaps=True).load.status == "unchanged"
    again = jobs.ingest(session, asked)
    assert (again.filled, again.load.status) == ((), "loaded")
    assert again.load.changes["core.filled_columns"].deleted == len(report.filled)
    assert lake.read_session(asked.lake, session)["filled_columns"].is_empty()


@pytest.mark.realdata
def test_who_cannot_fill_is_told(replayed: tuple[Replay, Settings]) -> None:
    """Jolpica is down; the session is loaded as OpenF1 gave it."""
    running, asked = replayed
    running.fail("/2023/9/laps", status(503), times=None)
    fetched = fetch_session(SessionKey(2023, 9), asked, ["openf1", "jolpica"], fill_gaps=True)
    assert fetched.provider == "openf1"
    assert [refusal.provider for refusal in fetched.refused] == ["jolpica"]
    assert "filled_columns" not in fetched.tables


@pytest.mark.realdata
def test_the_bytes_of_a_refused_session_are_kept(replayed: tuple[Replay, Settings]) -> None:
    """A lap number of 1.7 is refused by name, and every reply so far lies in quarantine."""
    running, settings = replayed
    running.fail("/v1/laps", edited(lambda rows: [{**rows[0], "lap_number": 1.7}, *rows[1:]]))
    with pytest.raises(ContractError, match="lap_number") as caught:
        fetch_session(SessionKey(2023, 10), settings, ["openf1"])
    (place,) = (settings.quarantine / "2023-10").iterdir()
    assert str(place) in str(caught.value)
    assert any(b'"lap_number": 1.7' in path.read_bytes() for path in place.iterdir())
