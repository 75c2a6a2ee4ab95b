"""Which provider a session is taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.tables import SessionKey
from loaders.fallback import fetch_session, gaps
from loaders.providers import ProviderError, simulated
from loaders.settings import Settings

if TYPE_CHECKING:
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
