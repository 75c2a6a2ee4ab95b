"""The jobs: the only place that orchestrates providers, engine, lake and PostgreSQL.

One row's way: provider → contract check → derivation and grading (one lazy plan, collected once)
→ PostgreSQL in one transaction → lake. The lake comes last because PostgreSQL is the truth: the
lake can be written again from the same data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.calibration import MODEL_VERSION, CalibrationProfile, profile_frame
from engine.grade import grade
from engine.inputs import TRACK_DIFFICULTY_SCHEMA, derive
from engine.tables import DERIVED, ENTRY, SessionKey, check
from loaders import lake, postgres, profiles
from loaders.fingerprint import data_hash, inputs_hashes
from loaders.providers import provider
from loaders.settings import RESOURCES
from loaders.weekends import read_weekends

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

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
        profile: name and version of the profile it was graded with.
        graded: number of drivers graded.
        load: what PostgreSQL was changed by.
    """

    session: SessionKey
    data_source: str
    profile: str
    graded: int
    load: LoadReport


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
    grades = grade(
        derived["driver_inputs"], derived["overtakes"], profile_frame([profile]).lazy()
    )
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
    with postgres.connect(settings) as connection:
        profiles.ensure_profiles(connection, CALIBRATION)
        profile = profiles.get_profile(connection, None)
        derived = grade_session(tables, profile, f"{provider_name} {session.session_id}")
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
        data_source=provider_name,
        profile=f"{profile.name} {profile.version}",
        graded=derived["driver_metrics"].height,
        load=load,
    )


def demo(settings: Settings) -> Iterator[IngestReport]:
    """Ingest the bundled simulated sessions, one after the other."""
    from loaders.providers import simulated

    for session in simulated.sessions():
        yield ingest(session, settings, provider_name="simulated")


def score(path: Path, chosen: Sequence[CalibrationProfile]) -> Iterator[Mapping[str, object]]:
    """Score a weekend file under some profiles.

    Args:
        path: JSON lines, one race each.
        chosen: profiles to score with.

    Returns:
        One mapping per profile, session and driver, in that order, ready for JSON.
    """
    with path.open(encoding="utf-8") as lines:
        inputs, overtakes = read_weekends(lines, path.name)
    grades = grade(inputs.lazy(), overtakes.lazy(), profile_frame(chosen).lazy()).collect()
    parts = pl.col("session_id").str.split("-")
    return (
        check("grades", grades, path.name)
        .with_columns(
            profile="profile_name",
            season=parts.list.get(0).cast(pl.Int16),
            round=parts.list.get(1).cast(pl.Int16),
            driver="driver_id",
        )
        .sort("profile", "season", "round", "driver")
        .select("profile", "season", "round", "driver", *SCORE_COLUMNS)
        .iter_rows(named=True)
    )
