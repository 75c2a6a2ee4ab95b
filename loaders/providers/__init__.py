"""Where sessions come from: one module per source, one vocabulary out.

A provider module offers ``fetch(session, settings) -> SessionTables``. It gives every table of
`engine.tables.NORMALIZED` under contract, leaves null what its source does not know, and raises
`ProviderError` when the source has no usable session. Providers do not import one another.

Qualifying is Jolpica's to say: a provider may leave it empty (`loaders.fallback`).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from engine.errors import DriveGradeError

if TYPE_CHECKING:
    import polars as pl

    from engine.tables import SessionKey
    from loaders.settings import Settings

SessionTables = Mapping[str, "pl.DataFrame"]
"""The frames of one session by table name (`engine.tables.NORMALIZED`), each under contract."""

PROVIDERS: Final[Mapping[str, str]] = {
    "fastf1": "loaders.providers.fastf1",
    "openf1": "loaders.providers.openf1",
    "jolpica": "loaders.providers.jolpica",
    "simulated": "loaders.providers.simulated",
}
"""Module of each provider, imported only when it is used."""


class ProviderError(DriveGradeError):
    """A source has no usable data for a session; nothing was loaded."""

    exit_code = 3


class Provider(Protocol):
    """What a provider module offers."""

    def fetch(self, session: SessionKey, settings: Settings) -> SessionTables:
        """Fetch one session and return its normalized tables."""


def provider(name: str) -> Provider:
    """Import the provider of that name.

    Raises:
        ProviderError: there is no provider of that name.
    """
    if name not in PROVIDERS:
        raise ProviderError(f"no provider {name!r}; there are {', '.join(PROVIDERS)}")
    return cast("Provider", import_module(PROVIDERS[name]))
