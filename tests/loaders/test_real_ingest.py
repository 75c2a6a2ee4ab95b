"""Real races, from FastF1's recorded cache into PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.tables import NORMALIZED, SessionKey
from loaders import jobs, lake, postgres
from tests.real_races import RACES, official_classification
from tests.soak import some
from tests.warehouse import ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loaders.providers import SessionTables
    from loaders.settings import Settings
    from tests.conftest import RealRace

    Stored = Callable[[SessionKey], None]

pytestmark = pytest.mark.realdata

ENTRIES = """
select driver_id, team_id, position, grid_position, points, completed_laps, status
from core.entries join core.races using (race_id)
where slug = $1 order by driver_id
"""
COUNTS = """
select
    (select count(*) from public.lap_times join core.entries using (entry_id)
        where race_id = races.race_id) as laps,
    (select count(*) from public.lap_times join core.entries using (entry_id)
        where race_id = races.race_id and compound = 'INTERMEDIATE') as intermediate_laps,
    (select count(*) from core.driver_metrics join core.entries using (entry_id)
        where race_id = races.race_id) as grades,
    (select status from public.calendar_events as calendar
        where (calendar.season, calendar.round, calendar.session_kind)
            = (races.season, races.round, races.session_kind)) as status
from core.races where slug = $1
"""
PIT_STOPS = """
select driver_id, lap_number::integer, pit_out_ms
from public.pit_stops
join core.entries using (entry_id)
join core.races using (race_id)
where slug = $1
"""


@pytest.fixture(scope="module")
def stored(settings: Settings, real_race: RealRace) -> Stored:
    """Ingest a real race into the module's PostgreSQL, once."""
    done: set[SessionKey] = set()

    def ingest(session: SessionKey) -> None:
        if session not in done:
            jobs.store(session, real_race(session), settings)
            done.add(session)

    return ingest


def answer(settings: Settings, sql: str, session: SessionKey) -> pl.DataFrame:
    """What PostgreSQL says about a session."""
    with postgres.connect(settings) as connection:
        return ask(connection, sql, session.session_id)


@pytest.mark.parametrize("session", RACES, ids=lambda key: key.session_id)
def test_entries_are_the_official_classification(
    settings: Settings, stored: Stored, realdata: Path, session: SessionKey
) -> None:
    """Place, grid, team, points, laps and status of every driver, as PostgreSQL has them."""
    stored(session)
    found = answer(settings, ENTRIES, session)
    official = official_classification(realdata, session).select(found.columns)
    assert_frame_equal(found, official.cast(found.schema), check_exact=True)


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (SessionKey(2025, 1), (927, 750, 20, "ingested")),
        (SessionKey(2021, 12), (60, 0, 20, "ingested")),
        (SessionKey(2026, 1), (1006, 0, 20, "ingested")),  # 22 entered, two did not start
    ],
    ids=str,
)
def test_laps_and_grades_are_stored(
    settings: Settings, stored: Stored, session: SessionKey, expected: tuple[int, int, int, str]
) -> None:
    """Laps, those on tyres whose name has twelve letters, grades, and the calendar's status."""
    stored(session)
    assert answer(settings, COUNTS, session).row(0) == expected


@pytest.mark.parametrize("session", RACES, ids=lambda key: key.session_id)
def test_pit_stops_are_the_official_ones(
    settings: Settings, stored: Stored, realdata: Path, session: SessionKey
) -> None:
    """Every stop of the official list is stored; what it lacks is a car that never came out."""
    stored(session)
    found = answer(settings, PIT_STOPS, session)
    history = {
        name: pl.read_parquet(realdata / "history" / f"{name}.parquet")
        for name in ("pit_stops", "races", "drivers")
    }
    official = (
        history["pit_stops"]
        .join(history["races"].select("raceId", "year", "round"), on="raceId")
        .filter(pl.col("year") == session.season, pl.col("round") == session.round)
        .join(history["drivers"].select("driverId", driver_id="driverRef"), on="driverId")
        .select("driver_id", lap_number=pl.col("lap").cast(pl.Int32))
    )
    key = ["driver_id", "lap_number"]
    assert official.join(found, on=key, how="anti").is_empty()
    assert found.join(official, on=key, how="anti")["pit_out_ms"].is_null().all()


def of_history(history_lake: Path, session: SessionKey) -> SessionTables:
    """What the history knows of a session."""
    held = lake.read_session(history_lake, session)
    return {name: held[name] for name in NORMALIZED}


@pytest.mark.parametrize("race", some([SessionKey(2022, 4), SessionKey(2023, 9)], 1), ids=str)
def test_a_sprint_never_shares_rows_with_its_race(
    settings: Settings, history_lake: Path, realdata: Path, race: SessionKey
) -> None:
    """After the sprint is loaded the race has all it had, and each its own classification."""
    jobs.store(race, of_history(history_lake, race), settings)
    before = answer(settings, ENTRIES, race), answer(settings, COUNTS, race)
    sprint = race._replace(session_kind="sprint")
    report = jobs.store(sprint, of_history(history_lake, sprint), settings)
    assert report.load.changes["core.races"] == (1, 0, 0)
    assert_frame_equal(answer(settings, ENTRIES, race), before[0])
    assert_frame_equal(answer(settings, COUNTS, race), before[1])
    official = official_classification(realdata, sprint)
    found = answer(settings, ENTRIES, sprint)
    assert_frame_equal(found, official.select(found.columns).cast(found.schema), check_exact=True)


def test_round_one_of_another_season_is_another_race(
    settings: Settings, stored: Stored, history_lake: Path
) -> None:
    """Both Australian Grands Prix are round 1 of their season, and both stay."""
    earlier = SessionKey(2019, 1)
    stored(SessionKey(2025, 1))
    jobs.store(earlier, of_history(history_lake, earlier), settings)
    assert answer(settings, COUNTS, SessionKey(2025, 1))["laps"].item() == 927
    assert answer(settings, COUNTS, earlier)["laps"].item() == 1038
