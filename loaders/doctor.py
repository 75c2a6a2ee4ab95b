"""Doctor: is everything that Drive Grade needs in working order?

Each check is tried for real and takes seconds at most; one that fails does not stop the others.
A service is asked once for next to nothing, past the cache; offline nothing is asked.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import httpx
import redis
from pyrate_limiter import Duration

from engine.errors import DriveGradeError
from loaders import jolpica_api, lake
from loaders.connection import open_connection, warehouse_address
from loaders.http import MAX_CACHE_BYTES, Client, Source
from loaders.http_wire import Deadline, Wire, WireError
from loaders.migrations import pending
from loaders.profiles import get_profile
from loaders.providers import PROVIDERS, ProviderError, openf1
from loaders.redis_url import CacheError, open_client, parse_redis_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyrate_limiter import Rate

    from loaders.settings import Settings

State = Literal["ok", "warning", "failed"]

LOW_DISK_BYTES: Final = 2 * 1024**3
"""Free space below which a season's lake and database may not fit any more."""

SERVICE_LIMIT_S: Final = 5.0
"""Longest time, in s, that a service may take to answer, tries included."""

ARCHIVE_URL: Final = "https://livetiming.formula1.com/static/StreamingStatus.json"
"""The smallest document of the archive that FastF1 reads."""

SERVICES: Final = {"fastf1": ("fastf1",), "openf1": ("openf1", "jolpica"), "jolpica": ("jolpica",)}
"""Services that a provider asks; OpenF1's drivers are identified by Jolpica."""

PROBES: Final[dict[str, tuple[str, dict[str, str | int]]]] = {
    "openf1": ("meetings", {"meeting_key": "latest"}),
    "jolpica": ("2024/1.json", {"limit": 1}),
}
"""Path and parameters of a small answer of each service."""

ACCOUNT_REMEDY: Final = (
    "Set F1_USERNAME and F1_PASSWORD, or leave fastf1 out of DRIVEGRADE_PROVIDERS."
)


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
        *_service_checks(settings),
        ("FastF1 account", _account),
        ("FastF1 cache", _cache),
        ("HTTP cache", _http_cache),
        ("PostgreSQL", _database),
        ("lake", _lake),
        *((("Redis", _redis),) if settings.redis_url is not None else ()),
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
        ACCOUNT_REMEDY,
    )


def _service_checks(settings: Settings) -> Iterator[tuple[str, Callable[[Settings], Finding]]]:
    """One check per service that the named providers ask."""
    asked = {name: None for named in settings.provider_names for name in SERVICES.get(named, ())}
    for name in asked:
        yield f"{name} service", _archive if name == "fastf1" else partial(_service, name)


def _service(name: str, settings: Settings) -> Finding:
    """Ask a service through our client, with an empty cache, so that the answer is its own."""
    subject = f"{name} service"
    source = (
        jolpica_api.source(settings)
        if name == "jolpica"
        else Source(name, settings.openf1_url, openf1.RATES)
    )
    limits = f"at most {_words(source.rates)}"
    if settings.offline:
        return Finding(subject, "ok", f"not asked, offline; {limits}")
    path, parameters = PROBES[name]
    limited = settings.model_copy(update={"http_timeout_s": SERVICE_LIMIT_S})
    try:
        with tempfile.TemporaryDirectory(prefix="drivegrade-doctor-") as folder:
            client = Client(source, limited, Path(folder))
            try:
                client.get(path, **parameters)
            finally:
                client.close()
    except ProviderError as error:
        return _refused(subject, str(error.__cause__ or error), limits)
    return Finding(subject, "ok", f"answers without an account; {limits}")


def _archive(settings: Settings, url: str = ARCHIVE_URL) -> Finding:
    """Ask Formula 1's archive, which our client does not ask because FastF1 has its own."""
    subject, limits = "fastf1 service", "FastF1 keeps its own limits"
    if settings.offline:
        return Finding(subject, "ok", f"not asked, offline; {limits}")
    deadline = Deadline(SERVICE_LIMIT_S)
    context = httpx.create_ssl_context() if url.startswith("https") else None
    try:
        with httpx.Client(transport=Wire(context, deadline, None), trust_env=False) as client:
            client.get(url)
    except (WireError, httpx.HTTPError) as error:
        return _refused(subject, str(error), limits)
    return Finding(subject, "ok", f"answers; {limits}")


def _refused(subject: str, said: str, limits: str) -> Finding:
    """Say what a service's refusal means; what passes by itself is a warning."""
    name = subject.partition(" ")[0]
    detail = f"{said.partition(chr(10))[0]}; {limits}"
    if said in ("HTTP 401", "HTTP 403") and name == "fastf1":
        return Finding(subject, "warning", f"wants an account: {detail}", ACCOUNT_REMEDY)
    if said == openf1.LOCKED and name == "openf1":
        return Finding(
            subject,
            "warning",
            f"locked, as it is for who has no account while a session runs: {detail}",
            "Try again half an hour after the flag; other providers are asked meanwhile.",
        )
    if said == "HTTP 429":
        return Finding(
            subject,
            "warning",
            f"asked too often from this address: {detail}",
            "Try again in an hour; another program here may ask it too.",
        )
    remedy = (
        f"Check the network, or leave {name} out of DRIVEGRADE_PROVIDERS; without a network set "
        "DRIVEGRADE_OFFLINE."
    )
    return Finding(subject, "failed", f"no usable answer: {detail}", remedy)


def _words(rates: tuple[Rate, ...]) -> str:
    """Rates in words: 2 requests a second, 30 a minute."""
    names = {
        int(Duration.SECOND): "a second",
        int(Duration.MINUTE): "a minute",
        int(Duration.HOUR): "an hour",
    }
    said = [(rate.limit, names.get(rate.interval, f"in {rate.interval} ms")) for rate in rates]
    (limit, interval), *others = said
    return ", ".join([f"{limit} requests {interval}", *(f"{n} {each}" for n, each in others)])


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


def _http_cache(settings: Settings) -> Finding:
    folder = settings.home / "http-cache"
    if not folder.exists():
        return Finding("HTTP cache", "ok", f"{folder}, made when it is needed")
    info = folder.stat()
    if info.st_mode & 0o022 or info.st_uid != os.getuid():
        return Finding(
            "HTTP cache",
            "failed",
            f"{folder} can be written by others, who could plant answers",
            f"chown it to yourself and chmod -R go-w {folder}",
        )
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    detail = f"{folder}, {size / 1024**2:.1f} of {MAX_CACHE_BYTES / 1024**2:.0f} MiB"
    locked = [path for path in (folder, *folder.iterdir()) if not os.access(path, os.W_OK)]
    if locked:
        return Finding("HTTP cache", "failed", f"{detail}, not writable", f"chmod u+w {locked[0]}")
    return Finding("HTTP cache", "ok", detail)


def _redis(settings: Settings) -> Finding:
    """Ask Redis for a sign of life; its URL is never shown, for it may hold a password."""
    if settings.redis_url is None:
        return Finding("Redis", "ok", "not used")
    try:
        address = parse_redis_url(settings.redis_url)
    except CacheError as error:
        return Finding("Redis", "failed", str(error))
    client = open_client(address, SERVICE_LIMIT_S)
    try:
        client.ping()
    except redis.RedisError as error:
        detail = f"{address.where}: {type(error).__name__}"
        remedy = "Start it, correct REDIS_URL, or unset it; without it nothing is cached."
        return Finding("Redis", "failed", detail, remedy)
    finally:
        client.close()
    return Finding("Redis", "ok", f"{address.where} answers")


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
