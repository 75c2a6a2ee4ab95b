"""The jobs: the only place that orchestrates providers, engine, lake and PostgreSQL.

One row's way: provider → contract check → derivation and grading (one lazy plan, collected once)
→ PostgreSQL in one transaction → lake. The lake comes last because PostgreSQL is the truth: the
lake can be written again from the same data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from engine.compare import compare
from engine.filling import on_clock_of
from engine.tables import SESSION, SessionKey, empty
from engine.v2.calibration import CalibrationProfileV2
from loaders import lake, one_file, postgres, profiles, reconcile
from loaders.administration import attempt, profile_store
from loaders.fallback import Fetched, Refusal, fetch_session, gaps
from loaders.fingerprint import data_hash, source_hash
from loaders.grading import grade_session
from loaders.keeping import keep_session
from loaders.previous import Previous, previous
from loaders.providers import simulated
from loaders.retrying import retried

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loaders.connection import Connection
    from loaders.lake_source import LakeLoad
    from loaders.one_file import Target
    from loaders.postgres import LoadReport
    from loaders.profiles import Profile
    from loaders.providers import SessionTables
    from loaders.settings import Settings

REFETCH_AFTER: Final = (timedelta(hours=1), timedelta(hours=24), timedelta(hours=168))
"""An incomplete session is fetched again after an hour, a day and a week; then it stays so."""

COMPARED_TABLES: Final = ("entries", "laps", "pit_stops", "driver_metrics")
"""What `compare` puts side by side, coarse to fine, and what comes of it."""


@dataclass(frozen=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        session: which session.
        data_source: provider that delivered it.
        profile: what it was graded with.
        graded: number of drivers graded.
        load: what PostgreSQL was changed by.
        gaps: what the session lacks, one phrase each; empty if it is complete.
        refused: other providers that were asked, and why theirs was not taken.
        filled: rows of `filled_columns`, by table and column, without the session's id.
        rating_state: session after which the rating's state was gone on from, under model v2;
            None under v1, and where nothing was known before.
    """

    session: SessionKey
    data_source: str
    profile: Profile
    graded: int
    load: LoadReport
    gaps: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    filled: tuple[Mapping[str, object], ...] = ()
    rating_state: str | None = None

    def as_row(self) -> dict[str, object]:
        """Flatten for JSON: one value a key, and the changes by table."""
        return {
            "session_id": self.session.session_id,
            "status": self.load.status,
            "data_source": self.data_source,
            "profile_name": self.profile.name,
            "profile_version": self.profile.version,
            "model_version": profiles.model_of(self.profile),
            "rating_state": self.rating_state,
            "graded": self.graded,
            "changed_rows": self.load.changed_rows,
            "gaps": list(self.gaps),
            "refused": [refusal._asdict() for refusal in self.refused],
            "filled": list(self.filled),
            "changes": {name: rows._asdict() for name, rows in self.load.changes.items()},
        }


def ingest(
    session: SessionKey,
    settings: Settings,
    *,
    provider_name: str | None = None,
    force: bool = False,
    fill_gaps: bool | None = None,
) -> IngestReport:
    """Fetch a session, grade it with the active profile, and store it everywhere.

    The calendar, if it has the session, counts the attempt and notes why it failed.

    Args:
        session: which session.
        settings: where everything lies.
        provider_name: the only one to ask; those of the settings, in order, if None.
        force: go through the load even if the stored data is the same.
        fill_gaps: fill what the session lacks from the providers after the one that has it; as
            the settings say if None.

    Raises:
        ProviderError: the source has no usable session.
        ContractError: its tables break a contract.
        SessionBusyError: another process is loading the session.
        WarehouseError: PostgreSQL refused the load; nothing was changed.
    """
    with attempt(settings, session):
        fetched = _fetch(session, settings, provider_name, fill_gaps=fill_gaps)
        return store(session, fetched.tables, settings, refused=fetched.refused, force=force)


def ingest_file(
    session: SessionKey,
    settings: Settings,
    target: Target,
    *,
    provider_name: str | None = None,
    force: bool = False,
    fill_gaps: bool | None = None,
) -> LakeLoad:
    """Fetch a session and store it without a server: in the lake and a warehouse in one file.

    It is graded with the bundled default profile; its season of the lake is loaded.

    Args:
        session: which session.
        settings: where everything lies, but for PostgreSQL.
        target: the warehouse.
        provider_name: as for `ingest`.
        force: replace the season's rows even if they are the same.
        fill_gaps: as for `ingest`.

    Raises:
        ProviderError: the source has no usable session.
        ContractError: its tables break a contract.
        WarehouseError: the file refused; it is as it was, and the lake has the session.
    """
    fetched = _fetch(session, settings, provider_name, fill_gaps=fill_gaps)
    tables = _with_known_qualifying(session, settings, fetched.tables)
    profile = profiles.read_profile(profiles.DEFAULT)
    before = _before(session, settings, profile, tables)
    derived = grade_session(tables, profile, f"{fetched.provider} {session.session_id}", before)
    keep_session(settings.lake, session, tables, derived)
    return one_file.load_file(target, settings, seasons=[session.season], force=force)


def _fetch(
    session: SessionKey, settings: Settings, provider_name: str | None, *, fill_gaps: bool | None
) -> Fetched:
    names = settings.provider_names if provider_name is None else (provider_name,)
    filling = settings.fill_gaps if fill_gaps is None else fill_gaps
    return fetch_session(session, settings, names, fill_gaps=filling)


def _before(
    session: SessionKey, settings: Settings, profile: Profile, tables: SessionTables
) -> Previous:
    """Read what the lake knows of the time before a session that the profile's model goes on from.

    For model v1 that is nothing.
    """
    second = [profile] if isinstance(profile, CalibrationProfileV2) else []
    held_on = tables["sessions"]["session_date"].item()
    return previous(lake.snapshot(settings.lake), session, second, held_on)


def _with_known_qualifying(
    session: SessionKey, settings: Settings, tables: SessionTables
) -> SessionTables:
    """Take the lake's qualifying where the provider had none: it may come from a later fetch."""
    if not tables["qualifying"].is_empty():
        return tables
    seen = lake.snapshot(settings.lake)
    return {**tables, "qualifying": seen.scan("qualifying", sessions=[session]).collect()}


def store(
    session: SessionKey,
    tables: SessionTables,
    settings: Settings,
    *,
    refused: tuple[Refusal, ...] = (),
    force: bool = False,
) -> IngestReport:
    """Grade a session's tables and store them: what `ingest` does after fetching.

    Args:
        session: which session; every row must belong to it.
        tables: its normalized tables, and `filled_columns` if gaps in them were filled.
        settings: where everything lies.
        refused: other providers asked, and why theirs was not taken; stored with the load.
        force: go through the load even if the stored data is the same.
    """
    tables = _with_known_qualifying(session, settings, tables)
    lacking = gaps(tables)
    marks = tables.get("filled_columns", empty("filled_columns"))
    profile, derived, load = retried(
        lambda: _load_graded(session, tables, settings, marks, refused=refused, force=force)
    )
    for old, new in load.renamed.items():
        lake.rename_sessions(settings.lake, {SessionKey.parse(old): SessionKey.parse(new)})
    keep_session(settings.lake, session, tables, derived)
    return IngestReport(
        session=session,
        data_source=tables["sessions"]["data_source"].item(),
        profile=profile,
        graded=derived["driver_metrics"].height,
        load=load,
        gaps=lacking,
        refused=refused,
        filled=tuple(marks.drop(SESSION).sort("table_name", "column_name").to_dicts()),
        rating_state=next(iter(derived["grade_evidence"]["state_session_id"]), None),
    )


class _Graded(NamedTuple):
    """What a session was graded with, what came of it, and what its load did."""

    profile: Profile
    derived: Mapping[str, pl.DataFrame]
    load: LoadReport


def _load_graded(
    session: SessionKey,
    tables: SessionTables,
    settings: Settings,
    marks: pl.DataFrame,
    *,
    refused: tuple[Refusal, ...],
    force: bool,
) -> _Graded:
    """Grade a session with the profile that is active now, and load it into PostgreSQL.

    May be done again after a commit that was not answered; its load is `unchanged` if that one
    had arrived.
    """
    source = tables["sessions"]["data_source"].item()
    lacking = gaps(tables)
    with profile_store(settings) as connection:
        profile = profiles.get_profile(connection, None)
        before = _before(session, settings, profile, tables)
        derived = grade_session(tables, profile, f"{source} {session.session_id}", before)
        everything = {**tables, "filled_columns": marks, **derived}
        load = postgres.load_session(
            connection,
            session,
            everything,
            data_hash=data_hash(everything),
            source_hash=source_hash(everything),
            profile=profile,
            model_version=profiles.model_of(profile),
            refused=refused,
            incomplete=lacking,
            refetch_at=_refetch_at(connection, session) if lacking else None,
            force=force,
        )
        reconcile.after_commit(connection, settings)
    return _Graded(profile, derived, load)


def _refetch_at(connection: Connection, session: SessionKey) -> datetime | None:
    """When to fetch an incomplete session again; None once it was incomplete often enough."""
    loads = postgres.read(connection, "load_history", session.session_id)
    before = loads.filter(pl.col("completeness") == "incomplete").height
    if before >= len(REFETCH_AFTER):
        return None
    return datetime.now(UTC) + REFETCH_AFTER[before]


def compare_providers(
    session: SessionKey, settings: Settings, first: str, second: str
) -> pl.DataFrame:
    """Fetch a session from two providers and say where they disagree, grades included.

    The second's session clock, which counts from another zero, is put on the first's.

    Args:
        session: which session.
        settings: for the providers; the active profile grades both.
        first: a provider's name.
        second: another's.

    Returns:
        Rows of `engine.compare.COMPARISON_SCHEMA`, by table and column.
    """
    with profile_store(settings) as connection:
        profile = profiles.get_profile(connection, None)
    sides = []
    for name in (first, second):
        tables = fetch_session(session, settings, [name]).tables
        before = _before(session, settings, profile, tables)
        everything = {**tables, **grade_session(tables, profile, name, before)}
        sides.append({table: frame.lazy() for table, frame in everything.items()})
    one, other = sides[0], on_clock_of(sides[0]["laps"], sides[1])
    return pl.concat(
        pl.collect_all(compare(table, one[table], other[table]) for table in COMPARED_TABLES)
    )


def demo(settings: Settings) -> Iterator[IngestReport]:
    """Ingest the bundled simulated sessions, one after the other."""
    for session in simulated.sessions():
        yield ingest(session, settings, provider_name="simulated")
