"""The bundled simulated sessions: made-up drivers and races, for demos and tests without network.

They lie as ``data/samples/<session_id>/<table>.parquet`` and are written by the simulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.contract import check
from engine.tables import NORMALIZED, SessionKey
from loaders.providers import ProviderError
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from loaders.providers import SessionTables
    from loaders.settings import Settings

SOURCE: Final = "simulated"
"""Name of this provider, in messages."""

SAMPLES: Final = RESOURCES / "data" / "samples"
"""Folder of the bundled sessions."""


def sessions() -> list[SessionKey]:
    """List the bundled sessions by season and round, a sprint before its race."""
    files = sorted(SAMPLES.glob("*/sessions.parquet"))
    keys = [
        SessionKey(*pl.read_parquet(path, columns=[*SessionKey._fields]).row(0)) for path in files
    ]
    return sorted(keys, key=lambda key: (key.season, key.round, key.session_kind == "race"))


def fetch(session: SessionKey, settings: Settings) -> SessionTables:  # noqa: ARG001 - the interface
    """Read one bundled session.

    Args:
        session: one of `sessions()`.
        settings: not used; the bundled files come with the program.

    Returns:
        Every table of `NORMALIZED`, under contract, sorted by its key.

    Raises:
        ProviderError: no such session is bundled.
        ContractError: a bundled file was changed and breaks its contract.
    """
    bundled = sessions()
    if session not in bundled:
        names = ", ".join(key.session_id for key in bundled)
        raise ProviderError(f"simulated: no session {session.session_id}; there are {names}")
    folder = SAMPLES / session.session_id
    return {
        table: check(table, pl.read_parquet(folder / f"{table}.parquet"), f"{SOURCE} {folder.name}")
        for table in NORMALIZED
    }
