"""Which provider a session is taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.errors import ContractError
from engine.tables import SessionKey
from loaders.fallback import fetch_session, gaps
from loaders.providers import ProviderError, simulated
from loaders.settings import Settings
from tests.replay import Replay, edited, replay, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RealRace

RACE = SessionKey(2099, 1)


@pytest.fixture
def offline(tmp_path: Path) -> Settings:
    """Settings without a network and with empty caches: FastF1 has nothing to give."""
    return Settings(home=tmp_path, offline=True)


def test_the_first_provider_that_has_the_session_wins(offline: Settings) -> None:
    """FastF1 refuses and says why; the next one is taken whole."""
    fetched = fetch_session(RACE, offline, ["fastf1", "simulated"])
    assert fetched.provider == "simulated"
    assert fetched.gaps == ()
    assert [refusal.provider for refusal in fetched.refused] == ["fastf1"]
    assert "schedule of 2099" in fetched.refused[0].reason


def test_no_later_provider_is_asked_in_vain(offline: Settings) -> None:
    """A complete session needs no second opinion, not even of a provider that does not exist."""
    fetched = fetch_session(RACE, offline, ["simulated", "nobody"])
    assert (fetched.provider, fetched.refused) == ("simulated", ())


def test_if_nobody_has_it_every_reason_is_told(offline: Settings) -> None:
    """One error with what each of them said."""
    with pytest.raises(ProviderError) as caught:
        fetch_session(SessionKey(2099, 9), offline, ["fastf1", "simulated"])
    text = str(caught.value)
    assert "2099-9: no provider has a usable session" in text
    assert "- fastf1: " in text
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
    for session in (SessionKey(2021, 12), SessionKey(2024, 8), SessionKey(2025, 2)):
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
def test_the_bytes_of_a_refused_session_are_kept(replayed: tuple[Replay, Settings]) -> None:
    """A lap number of 1.7 is refused by name, and every reply so far lies in quarantine."""
    running, settings = replayed
    running.fail("/v1/laps", edited(lambda rows: [{**rows[0], "lap_number": 1.7}, *rows[1:]]))
    with pytest.raises(ContractError, match="lap_number") as caught:
        fetch_session(SessionKey(2023, 10), settings, ["openf1"])
    (place,) = (settings.quarantine / "2023-10").iterdir()
    assert str(place) in str(caught.value)
    assert any(b'"lap_number": 1.7' in path.read_bytes() for path in place.iterdir())
