"""Fallback: which provider a session is taken from, and why not from the others.

Providers are asked in order. A session is taken whole from one of them, or not at all: mixing
sources lap by lap would make grades that no source can explain. The first complete one wins; if
none is complete, the first incomplete one does, and the session is fetched again later.

Who wants to, can have what the chosen one lacks filled from those after it (`engine.filling`);
what is filled is marked.

Qualifying is Jolpica's to say for every real session, so where the chosen provider gives none,
Jolpica is asked for it: one request, and no mark, because it has no other source. If that fails,
the session is taken without it, and the reason stands among the refusals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from engine.completeness import blank, missing
from engine.contract import check
from engine.errors import ContractError, DriveGradeError
from engine.filling import SIMULATED, fill
from loaders.providers import ProviderError, jolpica, provider
from loaders.providers.jolpica_tables import SOURCE as JOLPICA
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
        tables: its normalized tables; if gaps were filled, with `filled_columns`.
        gaps: what it lacks (`engine.completeness`), one phrase each; empty if it is complete.
        refused: the other providers that were asked, and why theirs was not taken, or nothing of
            it. A reason that begins with "qualifying: " is why the session has none.
    """

    provider: str
    tables: SessionTables
    gaps: tuple[str, ...]
    refused: tuple[Refusal, ...]


class _Answers:
    """What the providers answer about a session; each is asked once at most.

    Attributes:
        tables: of the providers that have it, in the order they were asked.
        refused: those that have not, or not whole, and why; in the order they were asked.
        errors: what those said that have not.
    """

    def __init__(self, session: SessionKey, settings: Settings) -> None:
        self._session, self._settings = session, settings
        self.tables: dict[str, SessionTables] = {}
        self.refused: dict[str, Refusal] = {}
        self.errors: dict[str, DriveGradeError] = {}

    def ask(self, name: str) -> SessionTables | None:
        """Give a provider's tables; None if it has none that can be used."""
        if name not in self.tables and name not in self.errors:
            try:
                with watching(self._settings.quarantine, self._session, name):
                    self.tables[name] = provider(name).fetch(self._session, self._settings)
            except (ProviderError, ContractError) as error:
                self.errors[name] = error
                self.refused[name] = Refusal(name, str(error))
            else:
                if found := gaps(self.tables[name]):
                    self.refused[name] = Refusal(name, _incomplete(found))
        return self.tables.get(name)

    def qualifying(self) -> pl.DataFrame:
        """Give Jolpica's qualifying; nothing is asked that is there already.

        Raises:
            ProviderError: Jolpica does not answer, or, offline, its answer is not in the cache.
            ContractError: its answer cannot be used.
        """
        if JOLPICA in self.tables:
            return self.tables[JOLPICA]["qualifying"]
        with watching(self._settings.quarantine, self._session, JOLPICA):
            return jolpica.fetch_qualifying(self._session, self._settings)


def fetch_session(
    session: SessionKey, settings: Settings, names: Sequence[str], *, fill_gaps: bool = False
) -> Fetched:
    """Fetch a session from the first provider that has it complete, else the first that has it.

    Args:
        session: which session.
        settings: for the providers.
        names: providers in the order to ask; one name pins the source.
        fill_gaps: fill what the session lacks from the providers after the one that has it, in
            turn, as long as something is lacking.

    Raises:
        ProviderError: none of them has a usable session; the text has every reason. A single
            provider's own error is passed on as it is.
    """
    answers = _Answers(session, settings)
    for name in names:
        if answers.ask(name) is not None and name not in answers.refused:
            chosen = name
            break
    else:
        chosen = next(iter(answers.tables), "")
    if not chosen and len(names) == 1:
        raise answers.errors[names[0]]
    if not chosen:
        reasons = "\n".join(f"- {name}: {reason}" for name, reason in answers.refused.values())
        raise ProviderError(
            f"{session.session_id}: no provider has a usable session\n{reasons}\n"
            "Nothing was loaded. DRIVEGRADE_PROVIDERS names the providers and their order."
        )
    tables = answers.tables[chosen]
    if fill_gaps:
        tables = _filled(tables, names[names.index(chosen) + 1 :], answers)
    answers.refused.pop(chosen, None)
    refused = [*answers.refused.values()]
    if tables["qualifying"].is_empty() and chosen not in (SIMULATED, JOLPICA):
        try:
            tables = {**tables, "qualifying": answers.qualifying()}
        except (ProviderError, ContractError) as error:
            refused.append(Refusal(JOLPICA, f"qualifying: {error}"))
    return Fetched(chosen, tables, gaps(tables), tuple(refused))


def _filled(tables: SessionTables, later: Sequence[str], answers: _Answers) -> SessionTables:
    """Fill what a session lacks from other providers; nothing simulated meets anything real."""
    for name in later:
        if not gaps(tables) and blank(_plans(tables)).collect().is_empty():
            break
        if SIMULATED in (name, tables["sessions"]["data_source"].item()):
            continue
        if (other := answers.ask(name)) is not None:
            tables = fill_from(tables, other)
    return tables


def fill_from(tables: SessionTables, other: SessionTables) -> SessionTables:
    """Fill the gaps of a session from another provider's tables: see `engine.filling`.

    Returns:
        The tables and `filled_columns`, each under contract.
    """
    plans = fill(_plans(tables), _plans(other))
    frames = zip(plans, pl.collect_all(plans.values()), strict=True)
    return {name: check(name, frame, "filling gaps") for name, frame in frames}


def _plans(tables: SessionTables) -> dict[str, pl.LazyFrame]:
    return {name: frame.lazy() for name, frame in tables.items()}


def gaps(tables: SessionTables) -> tuple[str, ...]:
    """Name what a session lacks, one phrase each, by driver; empty if it is complete."""
    lacking = missing(_plans(tables)).collect()
    rows = lacking.sort("driver_id", "reason").select("driver_id", "reason").iter_rows()
    return tuple(f"{driver}: {reason}" for driver, reason in rows)


def _incomplete(found: tuple[str, ...]) -> str:
    more = len(found) - SHOWN_REASONS
    shown = "; ".join(found[:SHOWN_REASONS]) + (f"; and {more} more" if more > 0 else "")
    return f"incomplete ({shown})"
