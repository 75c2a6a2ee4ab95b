"""Fallback: which provider a session is taken from, and why not from the others.

Providers are asked in order. A session is taken whole from one of them, or not at all: mixing
sources lap by lap would make grades that no source can explain. The first complete one wins; if
none is complete, the first incomplete one does, and the session is fetched again later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.completeness import missing
from engine.errors import ContractError
from loaders.providers import ProviderError, provider
from loaders.quarantine import watching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.tables import SessionKey
    from loaders.providers import SessionTables
    from loaders.settings import Settings

SHOWN_REASONS: Final = 3
"""How many gaps of an incomplete session a refusal names."""


class Refusal(NamedTuple):
    """Why a provider's session was not taken."""

    provider: str
    reason: str


@dataclass(frozen=True)
class Fetched:
    """A session as one provider gave it.

    Attributes:
        provider: whose it is.
        tables: its normalized tables.
        gaps: what it lacks (`engine.completeness`), one phrase each; empty if it is complete.
        refused: the providers asked before, and why theirs was not taken.
    """

    provider: str
    tables: SessionTables
    gaps: tuple[str, ...]
    refused: tuple[Refusal, ...]


def fetch_session(session: SessionKey, settings: Settings, names: Sequence[str]) -> Fetched:
    """Fetch a session from the first provider that has it complete, else the first that has it.

    Args:
        session: which session.
        settings: for the providers.
        names: providers in the order to ask; one name pins the source.

    Raises:
        ProviderError: none of them has a usable session; the text has every reason. A single
            provider's own error is passed on as it is.
    """
    refused: list[Refusal] = []
    candidates: list[tuple[str, SessionTables, tuple[str, ...]]] = []
    for name in names:
        try:
            with watching(settings.quarantine, session, name):
                tables = provider(name).fetch(session, settings)
        except (ProviderError, ContractError) as error:
            if len(names) == 1:
                raise
            refused.append(Refusal(name, str(error)))
            continue
        found = gaps(tables)
        if not found:
            return Fetched(name, tables, (), tuple(refused))
        candidates.append((name, tables, found))
        refused.append(Refusal(name, _incomplete(found)))
    if candidates:
        name, tables, found = candidates[0]
        others = tuple(refusal for refusal in refused if refusal.provider != name)
        return Fetched(name, tables, found, others)
    reasons = "\n".join(f"- {name}: {reason}" for name, reason in refused)
    raise ProviderError(
        f"{session.session_id}: no provider has a usable session\n{reasons}\n"
        "Nothing was loaded. DRIVEGRADE_PROVIDERS names the providers and their order."
    )


def gaps(tables: SessionTables) -> tuple[str, ...]:
    """Name what a session lacks, one phrase each, by driver; empty if it is complete."""
    lacking = missing({name: frame.lazy() for name, frame in tables.items()}).collect()
    rows = lacking.sort("driver_id", "reason").select("driver_id", "reason").iter_rows()
    return tuple(f"{driver}: {reason}" for driver, reason in rows)


def _incomplete(found: tuple[str, ...]) -> str:
    more = len(found) - SHOWN_REASONS
    shown = "; ".join(found[:SHOWN_REASONS]) + (f"; and {more} more" if more > 0 else "")
    return f"incomplete ({shown})"
