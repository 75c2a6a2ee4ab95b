"""From provider tables to rows in PostgreSQL and files in the lake, on the real thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.tables import SessionKey
from loaders import administration, jobs, lake, postgres
from loaders.grading import grade_session
from loaders.providers import simulated
from loaders.weekends import SCORE_COLUMNS
from tests.profiles import BASELINE_PROFILE
from tests.warehouse import ask

if TYPE_CHECKING:
    from loaders.settings import Settings

RACE = SessionKey(2099, 1)


def grades(settings: Settings, session: SessionKey) -> pl.DataFrame:
    """Stored grades of a session, by driver."""
    frame = administration.read_grades(
        settings, session.season, session.round, session.session_kind
    )
    return frame.sort("driver_id")


def grades_in_lake(settings: Settings, profile_name: str) -> pl.DataFrame:
    """Grades of the race in the lake under a profile, by driver."""
    here = {"session_id": RACE.session_id, "profile_name": profile_name}
    return (
        lake.scan(settings.lake, "driver_metrics", [2099])
        .filter(**here)
        .collect()
        .sort("driver_id")
    )


def without(tables: dict[str, pl.DataFrame], driver_id: str, lap: int) -> dict[str, pl.DataFrame]:
    """The same session after the source withdrew one lap."""
    gone = (pl.col("driver_id") == driver_id) & (pl.col("lap_number") == lap)
    return {**tables, "laps": tables["laps"].filter(~gone)}


@pytest.fixture(scope="module")
def tables(settings: Settings) -> dict[str, pl.DataFrame]:
    """Provider tables of a simulated race, ingested once."""
    fetched = dict(simulated.fetch(RACE, settings))
    jobs.store(RACE, fetched, settings)
    return fetched


def test_ingest_fills_driver_metrics(settings: Settings, tables: dict[str, pl.DataFrame]) -> None:
    """Every starter has a grade, with profile, model, source and a fingerprint of its inputs."""
    stored = grades(settings, RACE)
    started = tables["entries"].filter(pl.col("status") != "did_not_start")
    graded = stored.drop_nulls("profile_name")
    assert graded["driver_id"].to_list() == started["driver_id"].sort().to_list()
    assert graded.drop_nulls("grade").height >= graded.height - 1
    provenance = graded.select("profile_name", "profile_version", "model_version", "data_source")
    assert provenance.unique().rows() == [("v2", 1, "v2", "simulated")]
    assert graded["graded_at"].null_count() == 0


def test_what_is_stored_is_what_was_computed(
    settings: Settings, tables: dict[str, pl.DataFrame]
) -> None:
    """PostgreSQL and lake hold the engine's numbers bit for bit."""
    profile = administration.get_profile(settings, None)
    computed = grade_session(tables, profile, "test")["driver_metrics"].sort("driver_id")
    stored = grades(settings, RACE).drop_nulls("profile_name")
    scores = ["driver_id", *SCORE_COLUMNS, "grade", "grade_low", "grade_high"]
    assert_frame_equal(stored.select(scores), computed.select(scores), check_exact=True)
    in_lake = grades_in_lake(settings, profile.name)
    assert_frame_equal(in_lake, computed, check_exact=True, check_column_order=False)


def test_the_same_race_again_writes_nothing(
    settings: Settings, tables: dict[str, pl.DataFrame]
) -> None:
    """The data's fingerprint is known, so no row is touched and the report says so."""
    report = jobs.store(RACE, tables, settings)
    assert report.load.status == "unchanged"
    assert report.load.changed_rows == 0


def test_forced_the_same_race_still_changes_no_row(
    settings: Settings, tables: dict[str, pl.DataFrame]
) -> None:
    """Compared row by row, everything is equal."""
    report = jobs.store(RACE, tables, settings, force=True)
    assert report.load.status == "loaded"
    assert report.load.changed_rows == 0


@pytest.mark.parametrize(("name", "all_move"), [("baseline", False), ("v2", True)])
def test_one_changed_lap_changes_it_and_the_grades_it_affects(
    settings: Settings, tables: dict[str, pl.DataFrame], name: str, *, all_move: bool
) -> None:
    """One lap row, and the grades it moves: under model v1 some, under v2 the whole field's."""
    administration.activate_profile(settings, name, None)
    jobs.store(RACE, tables, settings)
    before, old = grades(settings, RACE), grades_in_lake(settings, name)
    changed_driver = before["driver_id"][0]
    one = (pl.col("driver_id") == changed_driver) & (pl.col("lap_number") == 20)
    slower = pl.when(one).then(pl.col("lap_time_ms") + 300).otherwise(pl.col("lap_time_ms"))
    corrected = {**tables, "laps": tables["laps"].with_columns(lap_time_ms=slower)}

    changes = jobs.store(RACE, corrected, settings).load.changes

    assert changes["public.lap_times"] == (0, 1, 0)
    assert sum(changes["core.entries"]) == 0
    assert sum(changes["public.pit_stops"]) == 0
    new = grades_in_lake(settings, name)
    moved = new.join(old, on=old.columns, how="anti", nulls_equal=True)
    assert changed_driver in moved["driver_id"].to_list()
    assert changes["core.driver_metrics"][:2] == (0, moved.height)
    assert (moved.height == old.height) is all_move
    jobs.store(RACE, tables, settings)
    assert_frame_equal(grades(settings, RACE).drop("graded_at"), before.drop("graded_at"))
    administration.activate_profile(settings, "v2", None)


def test_a_withdrawn_lap_disappears(settings: Settings, tables: dict[str, pl.DataFrame]) -> None:
    """It is deleted in PostgreSQL and gone from the lake, and comes back when it is restored."""
    driver = tables["entries"].filter(pl.col("position") == 1)["driver_id"].item()
    report = jobs.store(RACE, without(tables, driver, 20), settings)
    assert report.load.changes["public.lap_times"] == (0, 0, 1)
    laps = lake.scan(settings.lake, "laps", [2099]).collect()
    assert laps.filter(pl.col("session_id") == RACE.session_id).height == tables["laps"].height - 1
    again = jobs.store(RACE, tables, settings)
    assert again.load.changes["public.lap_times"] == (1, 0, 0)


def test_race_and_sprint_never_share_rows(settings: Settings) -> None:
    """Both sessions of a sprint weekend keep all their rows, whichever is loaded last."""
    race, sprint = SessionKey(2099, 2), SessionKey(2099, 2, "sprint")
    jobs.ingest(race, settings, provider_name="simulated")
    only_race = grades(settings, race)
    jobs.ingest(sprint, settings, provider_name="simulated")
    assert_frame_equal(grades(settings, race), only_race)
    assert grades(settings, sprint)["session_kind"].unique().to_list() == ["sprint"]


def test_another_active_profile_regrades_and_keeps_the_old_grades(
    settings: Settings, tables: dict[str, pl.DataFrame]
) -> None:
    """Grades are told apart by profile; the stored laps do not move."""
    strict = BASELINE_PROFILE.model_copy(update={"name": "stricter", "consistency_tolerance": 1.3})
    path = settings.home / "stricter.json"
    path.write_text(strict.model_dump_json(), encoding="utf-8")
    assert administration.import_profile(settings, path) == ("stricter", 1, True)
    administration.activate_profile(settings, "stricter", None)
    report = jobs.store(RACE, tables, settings)
    assert report.profile.name == "stricter"
    assert sum(report.load.changes["public.lap_times"]) == 0
    assert report.load.changes["core.driver_metrics"] == (report.graded, 0, 0)
    administration.activate_profile(settings, "v2", None)
    with postgres.connect(settings) as connection:
        kept = postgres.read(connection, "grades", 2099, 1, "race", "stricter")
    assert kept.drop_nulls("total_grade").height == report.graded


def test_an_incomplete_session_is_loaded_marked_and_due_again(
    settings: Settings, tables: dict[str, pl.DataFrame]
) -> None:
    """Half of the winner's laps are missing; when they come it is complete and not due."""
    winner = tables["entries"].filter(pl.col("position") == 1)["driver_id"].item()
    half = (pl.col("driver_id") != winner) | (pl.col("lap_number") <= 25)
    report = jobs.store(RACE, {**tables, "laps": tables["laps"].filter(half)}, settings)
    assert len(report.gaps) == 1
    assert report.gaps[0].startswith(f"{winner}: 25 of ")
    assert state(settings) == ("incomplete", True)
    assert jobs.store(RACE, tables, settings).gaps == ()
    assert state(settings) == ("complete", False)


def state(settings: Settings) -> tuple[str, bool]:
    """Completeness of the race's last load, and whether it is due again within the hour."""
    with postgres.connect(settings) as connection:
        last = postgres.read(connection, "load_history", RACE.session_id).row(0, named=True)
        return last["completeness"], ask(connection, DUE).item()


DUE = """
select coalesce(refetch_at between now() and now() + interval '61 minutes', false)
from public.calendar_events where (season, round, session_kind) = (2099, 1, 'race')
"""


def test_a_renumbered_race_moves_with_its_grades(settings: Settings) -> None:
    """Round 3 becomes round 7: one race in PostgreSQL and in the lake, under its new id."""
    old, new = SessionKey(2099, 3), SessionKey(2099, 7)
    fetched = dict(simulated.fetch(old, settings))
    jobs.store(old, fetched, settings)
    before = grades(settings, old)
    moved = {
        name: frame.with_columns(session_id=pl.lit(new.session_id))
        for name, frame in fetched.items()
    }
    moved["sessions"] = moved["sessions"].with_columns(round=pl.lit(new.round, dtype=pl.Int16))
    report = jobs.store(new, moved, settings)
    assert dict(report.load.renamed) == {"2099-3": "2099-7"}
    assert grades(settings, old).is_empty()
    assert_frame_equal(grades(settings, new).drop("round"), before.drop("round"))
    kept = lake.sessions(settings.lake)
    assert new in kept
    assert old not in kept
