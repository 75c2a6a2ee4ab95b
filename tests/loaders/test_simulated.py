"""The bundled sessions are complete, under contract, and read by name only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.errors import ContractError
from engine.tables import NORMALIZED, SessionKey, polars_schema
from loaders.providers import ProviderError, provider, simulated
from loaders.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

FIRST = SessionKey(2099, 1)


def test_the_three_weekends_are_bundled() -> None:
    """A sprint is listed before the race of its weekend."""
    assert [key.session_id for key in simulated.sessions()] == [
        "2099-1",
        "2099-2-sprint",
        "2099-2",
        "2099-3",
    ]


@pytest.mark.parametrize("session", simulated.sessions(), ids=lambda key: key.session_id)
def test_a_session_has_every_table_under_contract(session: SessionKey) -> None:
    """All tables, exact dtypes, rows of that session alone, sorted by key; sprints unqualified."""
    tables = provider("simulated").fetch(session, Settings())
    assert list(tables) == list(NORMALIZED)
    for name, frame in tables.items():
        assert frame.schema == polars_schema(name)
        is_empty = name == "qualifying" and session.session_kind == "sprint"
        assert frame["session_id"].unique().to_list() == [session.session_id] * (not is_empty)
        assert frame.equals(frame.sort(NORMALIZED[name].primary_key()))


@pytest.mark.parametrize("session", simulated.sessions(), ids=lambda key: key.session_id)
def test_nobody_can_take_them_for_real(session: SessionKey) -> None:
    """Names, ids and source all say that the session is made up."""
    tables = simulated.fetch(session, Settings())
    row = tables["sessions"].row(0, named=True)
    assert row["data_source"] == "simulated"
    assert row["event_name"].startswith("Simulated ")
    assert row["circuit_id"].startswith("sim_")
    assert tables["entries"].select(
        pl.col("driver_id", "team_id").str.starts_with("sim_").all()
    ).row(0) == (True, True)


@pytest.mark.parametrize(
    "session",
    [SessionKey(2099, 4), SessionKey(2099, 1, "sprint"), SessionKey(2099, 1, "/../2099-1")],
)
def test_an_unknown_session_is_refused_with_those_there_are(session: SessionKey) -> None:
    """A session that is not listed never becomes a path."""
    told = "there are 2099-1, 2099-2-sprint, 2099-2, 2099-3"
    with pytest.raises(ProviderError, match=re.escape(f"{session.session_id}; {told}")):
        simulated.fetch(session, Settings())


def test_a_changed_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files pass the contract again whenever they are read."""
    folder = tmp_path / "2099-1"
    folder.mkdir()
    for name, frame in simulated.fetch(FIRST, Settings()).items():
        changed = frame.with_columns(lap_time_ms=pl.lit(-1, pl.Int32)) if name == "laps" else frame
        changed.write_parquet(folder / f"{name}.parquet")
    monkeypatch.setattr(simulated, "SAMPLES", tmp_path)
    with pytest.raises(ContractError, match="simulated 2099-1"):
        simulated.fetch(FIRST, Settings())


def test_the_bundled_files_stay_small() -> None:
    """They are carried in every checkout and wheel: 400 kB in all, 200 kB each."""
    sizes = [path.stat().st_size for path in simulated.SAMPLES.rglob("*") if path.is_file()]
    assert sum(sizes) < 400_000
    assert max(sizes) < 200_000
