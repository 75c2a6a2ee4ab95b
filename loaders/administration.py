"""Administration: what a person asks of, or does to, the warehouse between ingests."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.errors import ContractError, DriveGradeError
from loaders import postgres, profiles, reconcile, revisions
from loaders.calendar import fail_attempt, start_attempt, sync_calendar
from loaders.connection import open_connection, run_file, transaction, warehouse_address
from loaders.errors import SessionBusyError
from loaders.migrations import migrate, pending
from loaders.providers import ProviderError
from loaders.providers.jolpica_calendar import fetch_calendar
from loaders.providers.openf1_calendar import Merged, add_meetings, fetch_meetings
from loaders.retrying import retried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.tables import SessionKey
    from loaders.calendar import CalendarReport
    from loaders.connection import Connection
    from loaders.profiles import Profile
    from loaders.settings import Settings

ENDED_AFTER: Final = {"race": timedelta(hours=3), "sprint": timedelta(hours=2)}
"""From the scheduled start until a session is taken to be over; its data is not there before."""

MAX_ATTEMPTS: Final = 8
"""Attempts after which a session that cannot be ingested is left to a person."""

FIRST_PAUSE: Final = timedelta(minutes=30)
"""After the first attempt; with its doublings eight attempts take two days and a half."""

SHOWN_REASON_CHARACTERS: Final = 300
"""Length to which the reason of a failure is cut in the calendar."""


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


def get_profile(settings: Settings, name: str | None) -> Profile:
    """Read a stored profile, the active one if no name is given."""
    with profile_store(settings) as connection:
        return profiles.get_profile(connection, name)


def import_profile(settings: Settings, path: Path) -> tuple[str, int, bool]:
    """Store a profile file: its name, its version, and whether it was new."""
    profile = profiles.read_profile(path)

    def work() -> tuple[str, int, bool]:
        with profile_store(settings) as connection:
            return profiles.import_profile(connection, profile)

    return retried(work)


def activate_profile(settings: Settings, name: str, version: int | None) -> tuple[str, int]:
    """Make a stored profile the one that ingest grades with: its name and version."""

    def work() -> tuple[str, int]:
        with profile_store(settings) as connection:
            chosen = profiles.activate(connection, name, version)
            reconcile.after_commit(connection, settings)
            return chosen

    return retried(work)


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

    OpenF1 adds meeting keys and cancelled weekends. Without it the calendar is synchronized all
    the same, and the report's warnings say why it was.

    Raises:
        ProviderError: Jolpica has no calendar of the season, or does not answer.
        WarehouseError: the calendar contradicts what is stored; nothing was changed.
    """
    merged = _with_meetings(settings, season, fetch_calendar(season, settings))
    with postgres.connect(settings) as connection:
        report = sync_calendar(connection, season, merged.calendar, settings.lake)
    return replace(report, warnings=merged.warnings)


def _with_meetings(settings: Settings, season: int, calendar: pl.DataFrame) -> Merged:
    """Add what OpenF1 knows; the calendar as it is, and why, if it does not tell."""
    try:
        return add_meetings(calendar, fetch_meetings(season, settings))
    except (ProviderError, ContractError) as error:
        why = str(error).partition("\n")[0]
        return Merged(
            calendar, (f"meeting keys and cancellations are not known from OpenF1: {why}",)
        )


def read_calendar(settings: Settings, season: int, now: datetime | None = None) -> pl.DataFrame:
    """Read the stored calendar of a season: one row per session, by round.

    Args:
        settings: where the warehouse is.
        season: championship year.
        now: moment for which the status is told; the present if not given.

    Returns:
        Columns of `sql/queries/calendar.sql`. A session between its start and `ENDED_AFTER`
        that is not ingested is `live`. That is told by the clock and never stored, because a
        stored one would be wrong as soon as the session is over.
    """
    with postgres.connect(settings) as connection:
        stored = postgres.read(connection, "calendar", season)
    moment = pl.lit(now or datetime.now(UTC), pl.Datetime("us", "UTC"))
    lasts = pl.col("session_kind").replace_strict(ENDED_AFTER, return_dtype=pl.Duration("us"))
    is_under_way = moment.is_between("starts_at", pl.col("starts_at") + lasts, closed="left")
    is_live = is_under_way & pl.col("status").is_in(["scheduled", "failed"])
    return stored.with_columns(
        status=pl.when(is_live).then(pl.lit("live")).otherwise("status"),
        status_reason=pl.when(~is_live.fill_null(value=False)).then("status_reason"),
    )


def due_sessions(settings: Settings, now: datetime | None = None) -> pl.DataFrame:
    """List the sessions that should be ingested: ended and not stored, or stored incomplete.

    Args:
        settings: where the warehouse is.
        now: moment for which it is told; the present if not given.

    Returns:
        One row per session, columns of `sql/calendar/due.sql`, the one that has waited longest
        first; of all seasons in the calendar.
    """
    moment = (now or datetime.now(UTC)).isoformat()
    ended = [ENDED_AFTER[kind].total_seconds() for kind in ("race", "sprint")]
    limits = (MAX_ATTEMPTS, FIRST_PAUSE.total_seconds())
    with postgres.connect(settings) as connection, transaction(connection, "reading what is due"):
        return run_file(connection, "calendar/due", moment, *ended, *limits)


@contextmanager
def attempt(settings: Settings, session: SessionKey) -> Iterator[None]:
    """Note in the calendar that a session is being ingested, and why if that fails.

    A session that the calendar does not have is not noted, nor that another process is busy with
    it; that it is ingested is noted by its load. An error inside is passed on as it is, also if
    it cannot be noted.

    Raises:
        WarehouseError: the database cannot be reached; nothing inside was done.
    """
    with warehouse_address(settings):  # so that an embedded server is started once
        with postgres.connect(settings) as connection, suppress(DriveGradeError):
            start_attempt(connection, session)
        try:
            yield
        except SessionBusyError:
            raise
        except DriveGradeError as error:
            with suppress(DriveGradeError), postgres.connect(settings) as connection:
                fail_attempt(connection, session, public_reason(error))
            raise


def public_reason(error: DriveGradeError) -> str:
    """Shorten an error to what everybody may read: its first line, without credentials."""
    line = "".join(c if c.isprintable() else " " for c in str(error).strip().partition("\n")[0])
    line = re.sub(r"(?<=://)[^/\s]*@", "", line)
    line = re.sub(r"(?i)\b(password|passwd|token|secret|api_?key)(\s*[=:]\s*)\S+", r"\1\2…", line)
    over = len(line) > SHOWN_REASON_CHARACTERS
    return line[: SHOWN_REASON_CHARACTERS - 1] + "…" if over else line


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
        header = revisions.diff_header(connection, session, older, newer)
        named = header["data_revision"].to_list()  # a load in between may have made a later one
        return header, revisions.diff(connection, session, named[0], named[-1])
