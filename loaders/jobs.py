"""The jobs: the only place that orchestrates providers, engine, lake and PostgreSQL.

One row's way: provider → contract check → derivation and grading (one lazy plan, collected once)
→ PostgreSQL in one transaction → lake. The lake comes last because PostgreSQL is the truth: the
lake can be written again from the same data.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.calibration import MODEL_VERSION, CalibrationProfile, profile_frame
from engine.grade import grade
from engine.inputs import TRACK_DIFFICULTY_SCHEMA, derive
from engine.tables import DERIVED, ENTRY, SessionKey, check
from loaders import lake, postgres, profiles
from loaders.connection import open_connection, warehouse_address
from loaders.fingerprint import data_hash, inputs_hashes
from loaders.migrations import migrate, pending
from loaders.providers import provider, simulated
from loaders.settings import RESOURCES
from loaders.weekends import read_weekends

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from loaders.connection import Connection
    from loaders.postgres import LoadReport
    from loaders.providers import SessionTables
    from loaders.settings import Settings

CALIBRATION: Final = RESOURCES / "data" / "calibration"
"""Folder of the bundled profiles and the table of circuits."""

SCORE_COLUMNS: Final = (
    "consistency_raw",
    "team_strategy_raw",
    "racecraft_raw",
    "penalties_raw",
    "consistency_score",
    "team_strategy_score",
    "racecraft_score",
    "penalty_score",
    "on_track_events",
    "pit_cycle_events",
    "total_grade",
)
"""What `score` prints of a grade, in this order."""


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        session: which session.
        data_source: provider that delivered it.
        profile: what it was graded with.
        graded: number of drivers graded.
        load: what PostgreSQL was changed by.
    """

    session: SessionKey
    data_source: str
    profile: CalibrationProfile
    graded: int
    load: LoadReport

    def as_row(self) -> dict[str, object]:
        """Flatten for JSON: one value a key, and the changes by table."""
        return {
            "session_id": self.session.session_id,
            "status": self.load.status,
            "data_source": self.data_source,
            "profile_name": self.profile.name,
            "profile_version": self.profile.version,
            "graded": self.graded,
            "changed_rows": self.load.changed_rows,
            "changes": {name: rows._asdict() for name, rows in self.load.changes.items()},
        }


def track_difficulty() -> pl.LazyFrame:
    """Read how hard it is to pass at each circuit: `TRACK_DIFFICULTY_SCHEMA`."""
    return pl.scan_csv(CALIBRATION / "track_difficulty.csv", schema=TRACK_DIFFICULTY_SCHEMA)


def grade_session(
    tables: SessionTables, profile: CalibrationProfile, source: str
) -> dict[str, pl.DataFrame]:
    """Derive events and grades of a session's tables.

    Args:
        tables: the normalized tables of one or more sessions.
        profile: what to grade with.
        source: provider of the tables, for messages and provenance.

    Returns:
        The frames of `engine.tables.DERIVED` by name, each under contract.
    """
    derived = derive({name: frame.lazy() for name, frame in tables.items()}, track_difficulty())
    grades = grade(derived["driver_inputs"], derived["overtakes"], profile_frame([profile]).lazy())
    plans = {**derived, "grades": grades}
    frames = dict(zip(plans, pl.collect_all(plans.values()), strict=True))
    frames["driver_metrics"] = (
        frames["grades"]
        .join(inputs_hashes(frames["driver_inputs"], frames["overtakes"]), on=ENTRY)
        .join(tables["sessions"].select("session_id", "data_source"), on="session_id")
    )
    return {name: check(name, frames[name], source) for name in DERIVED}


def ingest(
    session: SessionKey, settings: Settings, *, provider_name: str, force: bool = False
) -> IngestReport:
    """Fetch a session, grade it with the active profile, and store it everywhere.

    Args:
        session: which session.
        settings: where everything lies.
        provider_name: where to fetch it from.
        force: go through the load even if the stored data is the same.

    Raises:
        ProviderError: the source has no usable session.
        ContractError: its tables break a contract.
        SessionBusyError: another process is loading the session.
        WarehouseError: PostgreSQL refused the load; nothing was changed.
    """
    tables = provider(provider_name).fetch(session, settings)
    return store(session, tables, settings, force=force)


def store(
    session: SessionKey, tables: SessionTables, settings: Settings, *, force: bool = False
) -> IngestReport:
    """Grade a session's tables and store them: what `ingest` does after fetching.

    Args:
        session: which session; every row must belong to it.
        tables: its normalized tables.
        settings: where everything lies.
        force: go through the load even if the stored data is the same.
    """
    source = tables["sessions"]["data_source"].item()
    with _profile_store(settings) as connection:
        profile = profiles.get_profile(connection, None)
        derived = grade_session(tables, profile, f"{source} {session.session_id}")
        everything = {**tables, **derived}
        load = postgres.load_session(
            connection,
            session,
            everything,
            data_hash=data_hash(everything),
            profile=profile,
            model_version=MODEL_VERSION,
            force=force,
        )
    lake.write_session(settings.lake, session, everything)
    return IngestReport(
        session=session,
        data_source=source,
        profile=profile,
        graded=derived["driver_metrics"].height,
        load=load,
    )


def demo(settings: Settings) -> Iterator[IngestReport]:
    """Ingest the bundled simulated sessions, one after the other."""
    for session in simulated.sessions():
        yield ingest(session, settings, provider_name="simulated")


def score(path: Path, chosen: Sequence[CalibrationProfile]) -> Iterator[Mapping[str, object]]:
    """Score a weekend file under some profiles, without a database.

    Args:
        path: JSON lines, one race each.
        chosen: profiles to score with.

    Returns:
        One mapping per profile, race and driver, in the order given, ready for JSON.

    Raises:
        ContractError: a line is no weekend of model v1's shape.
        ProfileError: two profiles share a name.
    """
    with path.open(encoding="utf-8") as lines:
        inputs, overtakes = read_weekends(lines, path.name)
    profile_rows = profile_frame(chosen)
    grades = grade(inputs.lazy(), overtakes.lazy(), profile_rows.lazy()).collect()
    given = inputs.select(*ENTRY).with_row_index("row")
    parts = pl.col("session_id").str.split("-")
    return (
        check("grades", grades, path.name)
        .join(given, on=ENTRY)
        .join(profile_rows.select("profile_name").with_row_index("profile_row"), on="profile_name")
        .sort("profile_row", "row")
        .select(
            profile="profile_name",
            season=parts.list.get(0).cast(pl.Int16),
            round=parts.list.get(1).cast(pl.Int16),
            driver="driver_id",
            **{name: name for name in SCORE_COLUMNS},
        )
        .iter_rows(named=True)
    )


def read_grades(
    settings: Settings, season: int, round_number: int | None, session_kind: str | None
) -> pl.DataFrame:
    """Read the grades of a season under the active profile.

    Returns:
        One row per entry, columns of `sql/queries/grades.sql`, by round, best grade first; an
        entry that was not graded comes last, with nulls.
    """
    with postgres.connect(settings) as connection:
        return postgres.read(connection, "grades", season, round_number, session_kind, None)


def list_profiles(settings: Settings) -> pl.DataFrame:
    """List the stored profiles, the bundled ones among them: one row per name and version."""
    with _profile_store(settings) as connection:
        return profiles.list_profiles(connection)


def get_profile(settings: Settings, name: str | None) -> CalibrationProfile:
    """Read a stored profile, the active one if no name is given."""
    with _profile_store(settings) as connection:
        return profiles.get_profile(connection, name)


def import_profile(settings: Settings, path: Path) -> tuple[str, int, bool]:
    """Store a profile file: its name, its version, and whether it was new."""
    profile = profiles.read_profile(path)
    with _profile_store(settings) as connection:
        return profiles.import_profile(connection, profile)


def activate_profile(settings: Settings, name: str, version: int | None) -> tuple[str, int]:
    """Make a stored profile the one that ingest grades with: its name and version."""
    with _profile_store(settings) as connection:
        return profiles.activate(connection, name, version)


@contextmanager
def _profile_store(settings: Settings) -> Iterator[Connection]:
    """Connect and see that the bundled profiles are stored and one is active."""
    with postgres.connect(settings) as connection:
        profiles.ensure_profiles(connection, CALIBRATION)
        yield connection


def migrate_database(settings: Settings) -> list[str]:
    """Bring the schema up to date: names of the migrations applied now."""
    with warehouse_address(settings) as address:
        return migrate(address)


def database_status(settings: Settings) -> tuple[list[str], pl.DataFrame]:
    """Tell which migrations are pending and what was loaded last.

    Returns:
        Names of pending migrations, and one row per session loaded (none while any is pending).
    """
    with warehouse_address(settings) as address:
        missing = pending(address)
        if missing:
            return missing, pl.DataFrame()
        with open_connection(address) as connection:
            return [], postgres.read(connection, "load_history", None)
