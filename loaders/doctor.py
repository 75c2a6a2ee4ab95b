"""Doctor: is everything that Drive Grade needs in working order?

Each check is tried for real and takes seconds at most; one that fails does not stop the others.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from engine.errors import DriveGradeError
from loaders import lake
from loaders.connection import open_connection, warehouse_address
from loaders.migrations import pending
from loaders.profiles import get_profile
from loaders.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loaders.settings import Settings

State = Literal["ok", "warning", "failed"]

LOW_DISK_BYTES: Final = 2 * 1024**3
"""Free space below which a season's lake and database may not fit any more."""


class Finding(NamedTuple):
    """What a check found: about what, whether it works, in words, and what to do."""

    subject: str
    state: State
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Run every check, one after the other.

    Args:
        settings: what to check.

    Yields:
        One finding a check; a check that raised our own error is `failed` with its text.
    """
    checks: tuple[tuple[str, Callable[[Settings], Finding]], ...] = (
        ("home", _home),
        ("providers", _providers),
        ("FastF1 account", _account),
        ("FastF1 cache", _cache),
        ("PostgreSQL", _database),
        ("lake", _lake),
    )
    for subject, check in checks:
        try:
            yield check(settings)
        except (DriveGradeError, OSError) as error:
            yield Finding(subject, "failed", str(error))


def _home(settings: Settings) -> Finding:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    detail = f"{settings.home}, {free / 1024**3:.1f} GiB free"
    if not os.access(settings.home, os.W_OK):
        return Finding("home", "failed", detail, "Make it writable, or set DRIVEGRADE_HOME.")
    if free < LOW_DISK_BYTES:
        return Finding("home", "warning", detail, "Free some space, or set DRIVEGRADE_HOME.")
    return Finding("home", "ok", detail)


def _providers(settings: Settings) -> Finding:
    names = settings.provider_names
    unknown = [name for name in names if name not in PROVIDERS]
    detail = ", ".join(names) + (", offline: caches only" if settings.offline else "")
    if unknown or not names:
        known = ", ".join(PROVIDERS)
        return Finding("providers", "failed", detail, f"DRIVEGRADE_PROVIDERS may name {known}.")
    return Finding("providers", "ok", detail)


def _account(settings: Settings) -> Finding:
    has_account = bool(os.environ.get("F1_USERNAME") and os.environ.get("F1_PASSWORD"))
    if has_account or settings.offline or "fastf1" not in settings.provider_names:
        return Finding("FastF1 account", "ok", "set" if has_account else "not needed")
    return Finding(
        "FastF1 account",
        "warning",
        "not set; Formula 1's archive has wanted one since October 2026",
        "Set F1_USERNAME and F1_PASSWORD, or leave fastf1 out of DRIVEGRADE_PROVIDERS.",
    )


def _cache(settings: Settings) -> Finding:
    folder = settings.fastf1_cache_dir or settings.home / "fastf1-cache"
    if not folder.exists():
        return Finding("FastF1 cache", "ok", f"{folder}, made when it is needed")
    mode = folder.stat().st_mode & 0o777
    if mode & 0o022 or folder.stat().st_uid != os.getuid():
        return Finding(
            "FastF1 cache",
            "failed",
            f"{folder} can be written by others, and it holds pickles",
            f"chown it to yourself and chmod -R go-w {folder}",
        )
    sessions = sum(1 for _ in folder.glob("*/*/*"))
    return Finding("FastF1 cache", "ok", f"{folder}, {sessions} sessions")


def _database(settings: Settings) -> Finding:
    where = "embedded" if settings.database_url is None else "DATABASE_URL"
    with warehouse_address(settings) as address:
        missing = pending(address)
        if missing:
            detail = f"{where}, {len(missing)} migrations pending"
            return Finding("PostgreSQL", "warning", detail, "Run: drivegrade db migrate")
        with open_connection(address) as connection:
            profile = get_profile(connection)
    return Finding(
        "PostgreSQL", "ok", f"{where}, up to date, profile {profile.name} {profile.version}"
    )


def _lake(settings: Settings) -> Finding:
    sessions = lake.sessions(settings.lake)
    seasons = len({session.season for session in sessions})
    return Finding("lake", "ok", f"{settings.lake}, {len(sessions)} sessions of {seasons} seasons")
