"""Settings, read once from the environment and passed in; and where bundled files lie."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Final

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_PACKAGED: Final = Path(__file__).parent / "resources"
_CHECKOUT: Final = Path(__file__).parent.parent

RESOURCES: Final = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
"""Folder that holds `sql/` and `data/`: inside an installed wheel, or the checkout's root."""


def listed(text: str) -> tuple[str, ...]:
    """Take a comma-separated setting apart."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


class Settings(BaseSettings):
    """What the environment may change; every field names its variable.

    Attributes:
        home: `DRIVEGRADE_HOME`, folder of the lake, the embedded PostgreSQL and caches.
        database_url: `DATABASE_URL`, a PostgreSQL URL; without it the embedded server is used.
        redis_url: `REDIS_URL`, a URL of Redis; without it no answers are cached.
        queue_url: `DRIVEGRADE_QUEUE_URL`, a URL of the Redis that holds the queue of ingests; that
            of `redis_url` if not set. Give it its own user: who can write there can have any
            session ingested.
        cache_ttl_s: `DRIVEGRADE_CACHE_TTL_S`, age at which a cached answer ends, s.
        ingest_limit_s: `DRIVEGRADE_INGEST_LIMIT_S`, wall-clock limit of an ingest that was taken
            from the queue, s.
        api_origins: `DRIVEGRADE_API_ORIGINS`, comma-separated origins whose pages may read the
            API; none if empty.
        api_hosts: `DRIVEGRADE_API_HOSTS`, comma-separated names that the service answers to.
        api_rate_per_minute: `DRIVEGRADE_API_RATE_PER_MINUTE`, requests an address may make in a
            minute; 0 for any number.
        api_proxies: `DRIVEGRADE_API_PROXIES`, comma-separated addresses of proxies whose word is
            taken for who asks.
        fastf1_cache_dir: `FASTF1_CACHE_DIR`, FastF1's private cache; under `home` if not set.
        offline: `DRIVEGRADE_OFFLINE`, no network: only what is in the caches.
        fastf1_timeout_s: `DRIVEGRADE_FASTF1_TIMEOUT_S`, wall-clock limit of one FastF1 load, s.
        providers: `DRIVEGRADE_PROVIDERS`, comma-separated, in the order they are asked.
        fill_gaps: `DRIVEGRADE_FILL_GAPS`, `1` to fill a session's gaps from the later providers.
        openf1_url: `DRIVEGRADE_OPENF1_URL`, where OpenF1's API answers.
        jolpica_url: `DRIVEGRADE_JOLPICA_URL`, where Jolpica's API answers.
        http_timeout_s: `DRIVEGRADE_HTTP_TIMEOUT_S`, limit of one request, all tries included, s.
        allow_loopback: `DRIVEGRADE_ALLOW_LOOPBACK`, let those URLs name this machine, for replays.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(
        default_factory=lambda: user_data_path("drivegrade"),
        validation_alias=AliasChoices("DRIVEGRADE_HOME", "home"),
    )
    database_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url")
    )
    redis_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("REDIS_URL", "redis_url")
    )
    cache_ttl_s: int = Field(
        default=3600,
        ge=1,
        le=86_400,
        validation_alias=AliasChoices("DRIVEGRADE_CACHE_TTL_S", "cache_ttl_s"),
    )
    queue_url: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("DRIVEGRADE_QUEUE_URL", "queue_url")
    )
    ingest_limit_s: float = Field(
        default=1800.0,
        gt=0,
        validation_alias=AliasChoices("DRIVEGRADE_INGEST_LIMIT_S", "ingest_limit_s"),
    )
    api_origins: str = Field(
        default="", validation_alias=AliasChoices("DRIVEGRADE_API_ORIGINS", "api_origins")
    )
    api_hosts: str = Field(
        default="localhost,127.0.0.1",
        validation_alias=AliasChoices("DRIVEGRADE_API_HOSTS", "api_hosts"),
    )
    api_rate_per_minute: int = Field(
        default=60,
        ge=0,
        validation_alias=AliasChoices("DRIVEGRADE_API_RATE_PER_MINUTE", "api_rate_per_minute"),
    )
    api_proxies: str = Field(
        default="", validation_alias=AliasChoices("DRIVEGRADE_API_PROXIES", "api_proxies")
    )
    fastf1_cache_dir: Path | None = Field(
        default=None, validation_alias=AliasChoices("FASTF1_CACHE_DIR", "fastf1_cache_dir")
    )
    offline: bool = Field(
        default=False, validation_alias=AliasChoices("DRIVEGRADE_OFFLINE", "offline")
    )
    fastf1_timeout_s: float = Field(
        default=600.0,
        gt=0,
        validation_alias=AliasChoices("DRIVEGRADE_FASTF1_TIMEOUT_S", "fastf1_timeout_s"),
    )

    providers: str = Field(
        default="fastf1,openf1,jolpica",
        validation_alias=AliasChoices("DRIVEGRADE_PROVIDERS", "providers"),
    )
    fill_gaps: bool = Field(
        default=False, validation_alias=AliasChoices("DRIVEGRADE_FILL_GAPS", "fill_gaps")
    )
    openf1_url: str = Field(
        default="https://api.openf1.org/v1",
        validation_alias=AliasChoices("DRIVEGRADE_OPENF1_URL", "openf1_url"),
    )
    jolpica_url: str = Field(
        default="https://api.jolpi.ca/ergast/f1",
        validation_alias=AliasChoices("DRIVEGRADE_JOLPICA_URL", "jolpica_url"),
    )
    http_timeout_s: float = Field(
        default=60.0,
        gt=0,
        validation_alias=AliasChoices("DRIVEGRADE_HTTP_TIMEOUT_S", "http_timeout_s"),
    )
    allow_loopback: bool = Field(
        default=False,
        validation_alias=AliasChoices("DRIVEGRADE_ALLOW_LOOPBACK", "allow_loopback"),
    )

    @property
    def provider_names(self) -> tuple[str, ...]:
        """Names of the providers in the order they are asked."""
        return listed(self.providers)

    @cached_property
    def lake(self) -> Path:
        """Folder of the Parquet tables."""
        return self.home / "lake"

    @cached_property
    def quarantine(self) -> Path:
        """Folder of what providers sent of refused sessions."""
        return self.home / "quarantine"
