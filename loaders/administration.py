"""Administration: what a person asks of, or does to, the warehouse between ingests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from loaders import postgres, profiles, revisions
from loaders.calendar import sync_calendar
from loaders.connection import open_connection, warehouse_address
from loaders.migrations import migrate, pending
from loaders.providers.jolpica_calendar import fetch_calendar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.calibration import CalibrationProfile
    from engine.tables import SessionKey
    from loaders.calendar import CalendarReport
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


def sync_season(settings: Settings, season: int) -> CalendarReport:
    """Make the stored calendar of a season equal to Jolpica's; races follow to their rounds.

    Raises:
        ProviderError: Jolpica has no calendar of the season, or does not answer.
        WarehouseError: the calendar contradicts what is stored; nothing was changed.
    """
    calendar = fetch_calendar(season, settings)
    with postgres.connect(settings) as connection:
        return sync_calendar(connection, season, calendar, settings.lake)


def read_calendar(settings: Settings, season: int) -> pl.DataFrame:
    """Read the stored calendar of a season: one row per session, by round."""
    with postgres.connect(settings) as connection:
        return postgres.read(connection, "calendar", season)


def read_diff(
    settings: Settings, session: SessionKey, older: int | None, newer: int | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tell what moved between two revisions of a session, the last two if none are named.

    Returns:
        The two revisions, and one row per driver and value that differs.

    Raises:
        WarehouseError: there are no two such revisions.
    """
    with postgres.connect(settings) as connection:
        return (
            revisions.diff_header(connection, session, older, newer),
            revisions.diff(connection, session, older, newer),
        )
