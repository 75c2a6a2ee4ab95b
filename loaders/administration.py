"""Administration: what a person asks of, or does to, the warehouse between ingests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from loaders import postgres, profiles
from loaders.connection import open_connection, warehouse_address
from loaders.migrations import migrate, pending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.calibration import CalibrationProfile
    from loaders.connection import Connection
    from loaders.settings import Settings


@contextmanager
def profile_store(settings: Settings) -> Iterator[Connection]:
    """Connect and see that the bundled profiles are stored and one is active."""
    with postgres.connect(settings) as connection:
        profiles.ensure_profiles(connection)
        yield connection


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
    with profile_store(settings) as connection:
        return profiles.list_profiles(connection)


def get_profile(settings: Settings, name: str | None) -> CalibrationProfile:
    """Read a stored profile, the active one if no name is given."""
    with profile_store(settings) as connection:
        return profiles.get_profile(connection, name)


def import_profile(settings: Settings, path: Path) -> tuple[str, int, bool]:
    """Store a profile file: its name, its version, and whether it was new."""
    profile = profiles.read_profile(path)
    with profile_store(settings) as connection:
        return profiles.import_profile(connection, profile)


def activate_profile(settings: Settings, name: str, version: int | None) -> tuple[str, int]:
    """Make a stored profile the one that ingest grades with: its name and version."""
    with profile_store(settings) as connection:
        return profiles.activate(connection, name, version)


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
