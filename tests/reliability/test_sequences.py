"""C07, C08: any sequence of what a user and fate may do, against a model that is a dict.

A load is stopped at a fault point in two ways: its server process is ended (it is tried again by
itself), or the program is left at once. Real kills of processes are in `test_crashes`.

    C08    held by
    none        test_profiles: test_no_active_profile_is_a_clear_refusal
    missing     test_a_missing_profile…
    inactive    test_an_inactive_profile…
    two active  test_profiles: test_the_database_refuses_a_second_active_profile
    switched    test_a_switch_during_an_ingest…
    deleted     test_a_profile_that_grades_rest_on…
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import hypothesis
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.errors import ProfileError
from engine.tables import NORMALIZED, SessionKey
from loaders import fault_points, lake, manifest, profiles, retrying
from loaders.connection import run_file
from loaders.errors import SessionBusyError, WarehouseError
from loaders.jobs import store
from loaders.postgres import connect, load_session, read
from loaders.profiles import activate, import_profile
from loaders.regrade import regrade
from loaders.sweeping import sweep
from tests.profiles import BASELINE_PROFILE, STRICT_PROFILE
from tests.soak import IS_SOAK, SEED
from tests.warehouse import MELBOURNE, ask, session_tables, snapshot, start_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loaders.connection import Connection
    from loaders.settings import Settings
    from tests.soak import Figure

SESSIONS: Final = (SessionKey(2025, 1), SessionKey(2025, 2, "sprint"), SessionKey(2025, 2))

PEOPLE: Final = ("norris", "piastri", "leclerc", "albon")

PROFILES: Final = {"baseline": BASELINE_PROFILE, "strict": STRICT_PROFILE}

LENGTHS: Final = {8: 2} if not IS_SOAK else {4: 900, 10: 80, 30: 20}
"""Steps of a sequence → sequences of that many."""

AFTER_CONNECTING: Final = tuple(
    point.name for point in fault_points.POINTS if point.name not in {"connected", "prepared"}
)

LAPS: Final = (
    "select slug, driver_id, lap_number, lap_time_ms from public.lap_times "
    "join core.entries using (entry_id) join core.races using (race_id)"
)

GRADED: Final = (
    "select slug, profile_name, count(*) from core.driver_metrics "
    "join core.entries using (entry_id) join core.races using (race_id) group by 1, 2"
)

LEFT: Final = (
    "select (select count(*) from pg_class where relname like 'stage\\_%') "
    "+ (select count(*) from pg_locks where locktype = 'advisory') as left_over"
)


class Stopped(BaseException):
    """The program is left; nothing of ours catches this."""


@dataclass(frozen=True)
class Version:
    """What a session is known to be: who drove, and by how much the first lap was slower."""

    drivers: int = 3
    slower_ms: int = 0
    profile: str = "baseline"

    def tables(self, session: SessionKey) -> dict[str, pl.DataFrame]:
        """Write the session as a provider would deliver it."""
        tables = session_tables(session, PEOPLE[: self.drivers])
        is_first = (pl.col("driver_id") == PEOPLE[0]) & (pl.col("lap_number") == 1)
        slower = pl.col("lap_time_ms") + pl.when(is_first).then(self.slower_ms).otherwise(0)
        changed = {"laps": tables["laps"].with_columns(slower.cast(pl.Int32))}
        return {name: changed.get(name, tables[name]) for name in NORMALIZED}

    def laps(self, session: SessionKey) -> dict[tuple[str, str, int], int]:
        """All lap times of the session."""
        rows = self.tables(session)["laps"].select("session_id", "driver_id", "lap_number")
        return {row: 90_000 + self.slower_ms * (row[1:] == (PEOPLE[0], 1)) for row in rows.rows()}


class World(RuleBasedStateMachine):
    """A warehouse and a lake, and what they should hold."""

    settings: Settings
    connection: Connection
    steps = 0
    stops = 0

    @initialize()
    def begin(self) -> None:
        """Start from nothing, both profiles imported."""
        start_over(self.connection)
        import_profile(self.connection, STRICT_PROFILE)
        activate(self.connection, "baseline")
        shutil.rmtree(self.settings.lake, ignore_errors=True)
        self.active = "baseline"
        self.stored: dict[SessionKey, Version] = {}
        self.in_lake: dict[SessionKey, Version] = {}

    def _store(self, session: SessionKey, version: Version) -> None:
        store(session, version.tables(session), self.settings)
        self.stored[session] = self.in_lake[session] = version

    @rule(session=st.sampled_from(SESSIONS), drivers=st.integers(3, 4))
    def ingest(self, session: SessionKey, drivers: int) -> None:
        """A session arrives, for the first time or again."""
        self._store(session, Version(drivers, profile=self.active))

    @rule(session=st.sampled_from(SESSIONS), slower_ms=st.integers(1, 900))
    def correct(self, session: SessionKey, slower_ms: int) -> None:
        """A lap time is corrected."""
        drivers = self.stored.get(session, Version()).drivers
        self._store(session, Version(drivers, slower_ms, self.active))

    @rule(session=st.sampled_from(SESSIONS))
    def withdraw(self, session: SessionKey) -> None:
        """A driver is withdrawn, or the session arrives with one less."""
        self._store(session, Version(2, profile=self.active))

    @rule(name=st.sampled_from(sorted(PROFILES)))
    def switch(self, name: str) -> None:
        """Another profile, or the same."""
        activate(self.connection, name)
        self.active = name

    @precondition(lambda self: self.in_lake)
    @rule(name=st.sampled_from(sorted(PROFILES)))
    def grade_again(self, name: str) -> None:
        """The lake is graded under a profile, which the warehouse does not notice."""
        regrade(self.settings.lake, [PROFILES[name]])
        found = lake.scan(self.settings.lake, "driver_metrics").collect()
        graded = found.filter(profile_name=name)["session_id"].unique()
        assert set(graded) == {session.session_id for session in self.in_lake}

    @rule(
        session=st.sampled_from(SESSIONS),
        slower_ms=st.integers(1_000, 1_900),
        point=st.sampled_from(AFTER_CONNECTING),
        is_server=st.booleans(),
    )
    def stop(self, session: SessionKey, slower_ms: int, point: str, *, is_server: bool) -> None:
        """A load is stopped at a fault point, by the server or by leaving the program."""
        version = Version(3, slower_ms, self.active)
        passed: list[str] = []

        def watch(name: str) -> None:
            if name == point and point not in passed:
                passed.append(name)
                if not is_server:
                    raise Stopped
                ask(self.connection, TERMINATE)

        World.stops += 1
        try:
            with fault_points.watching(watch):
                store(session, version.tables(session), self.settings)
        except Stopped:
            if point == "committed":
                self.stored[session] = version
        else:
            self.stored[session] = self.in_lake[session] = version

    @rule(session=st.sampled_from(SESSIONS))
    def freeze_and_sweep(self, session: SessionKey) -> None:
        """Somebody holds a session and hangs; he is told of, ended, and the load works."""
        version = Version(4, profile=self.active)
        with connect(self.settings, "frozen") as frozen:
            assert run_file(frozen, "queries/lock_session", session.session_id).is_empty()
            with pytest.raises(SessionBusyError, match="frozen"):
                store(session, version.tables(session), self.settings)
            assert sweep(self.settings, older_than_s=0, is_terminating=True).height == 1
            self._store(session, version)

    @rule()
    def clean(self) -> None:
        """What no reader needs any more is removed from the lake."""
        if self.in_lake:
            manifest.remove_unnamed(self.settings.lake, manifest.GRACE * 0)

    @invariant()
    def warehouse_is_the_model(self) -> None:
        """Every lap, every grade, every status, and nothing left over."""
        World.steps += 1
        laps = {row[:3]: row[3] for row in ask(self.connection, LAPS).rows()}
        wanted: dict[tuple[str, str, int], int] = {}
        for session, version in self.stored.items():
            wanted |= version.laps(session)
        assert laps == wanted
        graded = {row[:2]: row[2] for row in ask(self.connection, GRADED).rows()}
        for session, version in self.stored.items():
            assert graded[session.session_id, version.profile] == version.drivers
        statuses = read(self.connection, "calendar", 2025)["status"]
        assert statuses.to_list() == ["ingested"] * len(self.stored)
        assert ask(self.connection, LEFT).item() == 0
        active = profiles.list_profiles(self.connection).filter("is_active")["profile_name"]
        assert active.to_list() == [self.active]

    @invariant()
    def lake_is_the_model(self) -> None:
        """Whole, and behind the warehouse only where a load was stopped before it."""
        folder = self.settings.lake
        assert set(lake.sessions(folder)) == set(self.in_lake)
        stored = lake.scan(folder, "laps").collect()
        rows = stored.select("session_id", "driver_id", "lap_number", "lap_time_ms").rows()
        wanted: dict[tuple[str, str, int], int] = {}
        for session, version in self.in_lake.items():
            wanted |= version.laps(session)
        assert {row[:3]: row[3] for row in rows} == wanted
        manifest._verified.clear()
        assert {state.state for state in manifest.examine(folder)} <= {"ok", "unnamed"}


TERMINATE: Final = (
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
    "where pid <> pg_backend_pid() and application_name = 'drivegrade'"
)


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    """A warehouse that knows the baseline profile, on a connection that nothing ends."""
    with connect(settings, "model") as connection:
        start_over(connection)
        yield connection


def test_any_sequence_leaves_what_the_model_says(
    settings: Settings,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    figure: Figure,
) -> None:
    """C07: ingest, correct, withdraw, regrade, switch, stop, freeze, sweep, in any order."""
    for wait in ("FIRST_WAIT_S", "JITTER_S"):
        monkeypatch.setattr(retrying, wait, 0.0)

    World.settings, World.connection = settings, connection
    World.steps = World.stops = 0
    for length, sequences in LENGTHS.items():

        @hypothesis.seed(SEED + length)
        class Machine(World):
            pass

        run_state_machine_as_test(
            Machine,
            settings=hypothesis.settings(
                max_examples=sequences,
                stateful_step_count=length,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    figure(
        "C07",
        f"{sum(LENGTHS.values())} sequences of up to {max(LENGTHS)} steps, {World.steps} states "
        f"compared, {World.stops} stops",
    )


def graded_by(connection: Connection, name: str) -> int:
    """Count the grades that readers see under a profile."""
    found = read(connection, "grades", 2025, 1, "race", name)
    return found.drop_nulls("total_grade").height


def by_hand(connection: Connection, version: int, data_hash: str = "1") -> None:
    """Load Melbourne with grades of a version of the baseline profile."""
    tables = session_tables()
    metrics = tables["driver_metrics"].with_columns(profile_version=pl.lit(version, pl.Int32))
    profile = BASELINE_PROFILE.model_copy(update={"version": version})
    load_session(
        connection, MELBOURNE, {**tables, "driver_metrics": metrics},
        data_hash=data_hash, profile=profile, model_version="v1",
    )  # fmt: skip


def test_a_missing_profile_is_a_clear_refusal(connection: Connection) -> None:
    """C08: grades of a version that was never imported; nothing is written."""
    before = snapshot(connection)
    with pytest.raises(ProfileError, match="profile baseline version 7 is not in the warehouse"):
        by_hand(connection, 7)
    assert snapshot(connection) == before


def test_an_inactive_profile_grades_and_is_not_shown_as_the_active_one(
    connection: Connection,
) -> None:
    """C08: its grades are there for who asks for it by name, and no others are made up."""
    import_profile(connection, STRICT_PROFILE)
    activate(connection, "strict")
    by_hand(connection, 1)
    assert graded_by(connection, "baseline") == 2
    shown = read(connection, "grades", 2025, 1, "race", None)
    assert shown["total_grade"].to_list() == [None, None]


def test_a_switch_during_an_ingest_leaves_whole_grades(
    settings: Settings, connection: Connection
) -> None:
    """C08: the load goes on with the profile it began with; a second one has the new."""
    import_profile(connection, STRICT_PROFILE)
    activate(connection, "baseline")
    shutil.rmtree(settings.lake, ignore_errors=True)
    tables = Version().tables(MELBOURNE)

    def switch(name: str) -> None:
        if name == "laps":
            activate(connection, "strict")

    with fault_points.watching(switch):
        assert store(MELBOURNE, tables, settings).profile.name == "baseline"
    assert dict(ask(connection, GRADED).select("profile_name", "count").rows()) == {"baseline": 3}
    assert store(MELBOURNE, tables, settings).profile.name == "strict"
    assert dict(ask(connection, GRADED).select("profile_name", "count").rows())["strict"] == 3


@cache
def delete() -> str:
    """Write what no command of ours does."""
    return "delete from config.calibration_profiles where profile_name = 'baseline'"


def test_a_profile_that_grades_rest_on_cannot_be_deleted(connection: Connection) -> None:
    """C08: the database refuses; without grades it goes, and a load that meant it is refused."""
    by_hand(connection, 1)
    with pytest.raises(connection.Error) as refusal:
        ask(connection, delete())
    connection.rollback()
    assert refusal.value.sqlstate == "23503"
    start_over(connection)
    ask(connection, delete())
    with pytest.raises(ProfileError, match="not in the warehouse"):
        by_hand(connection, 1)
    with pytest.raises((WarehouseError, ProfileError), match="no calibration profile"):
        profiles.get_profile(connection, None)
