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


class Settings(BaseSettings):
    """What the environment may change; every field names its variable.

    Attributes:
        home: `DRIVEGRADE_HOME`, folder of the lake, the embedded PostgreSQL and caches.
        database_url: `DATABASE_URL`, a PostgreSQL URL; without it the embedded server is used.
        redis_url: `REDIS_URL`, a URL of Redis; without it no answers are cached.
        cache_ttl_s: `DRIVEGRADE_CACHE_TTL_S`, age at which a cached answer ends, s.
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
        return tuple(name.strip() for name in self.providers.split(",") if name.strip())

    @cached_property
    def lake(self) -> Path:
        """Folder of the Parquet tables."""
        return self.home / "lake"

    @cached_property
    def quarantine(self) -> Path:
        """Folder of what providers sent of refused sessions."""
        return self.home / "quarantine"
