"""The warehouse: a session is loaded whole, in one transaction, or not at all.

    lock → which event is it? → same data as last time? → stage (ADBC)
         → merge (one SQL file per table) → record the load → read back and compare → commit

Tables are replaced as sets: rows that the session no longer has are deleted, new ones inserted,
different ones updated and equal ones not touched. A normal return means that what was staged
was read back and committed. An error means that the load is not confirmed: the old rows stay,
and loading again is always safe, because loading what is already there changes nothing.

The comparison before the commit is not a courtesy: after a failed statement PostgreSQL answers
`commit` with a rollback, and the driver returns normally. A query fails in that state.

Every public function leaves the connection without an open transaction.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import polars as pl

from engine.contract import check
from engine.errors import ContractError, ProfileError
from engine.tables import empty
from loaders.arrow import Grading, staged_tables
from loaders.calendar import Place, place_session, session_facts
from loaders.connection import (
    APPLICATION_NAME,
    Connection,
    open_connection,
    run_file,
    transaction,
    warehouse_address,
)
from loaders.errors import SessionBusyError, WarehouseError
from loaders.migrations import migrate, pending
from loaders.revisions import Load, Quality, record_load, record_quality
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from engine.calibration import CalibrationProfile
    from engine.tables import SessionKey
    from loaders.settings import Settings

MERGES: Final = (
    ("seasons", "core.seasons"),
    ("circuits", "core.circuits"),
    ("teams", "core.teams"),
    ("drivers", "core.drivers"),
    ("races", "core.races"),
    ("entries", "core.entries"),
    ("lap_times", "public.lap_times"),
    ("stints", "public.stints"),
    ("pit_stops", "public.pit_stops"),
    ("race_control_messages", "public.race_control_messages"),
    ("weather_readings", "public.weather_readings"),
    ("filled_columns", "core.filled_columns"),
    ("overtake_events", "core.overtake_events"),
    ("strategy_events", "core.strategy_events"),
    ("penalty_events", "core.penalty_events"),
    ("driver_metrics", "core.driver_metrics"),
    ("withdrawn_entries", "core.entries"),
    ("calendar_events", "public.calendar_events"),
)
"""(file of `sql/merge`, table it changes), in the order in which keys become known."""

GRADE_SUM_TOLERANCE: Final = 1e-9
"""Adding in another order moves a sum of grades by rounding errors, never by more than this."""

QUERIES: Final = RESOURCES / "sql" / "queries"


class Changes(NamedTuple):
    """Rows of one table that a load changed."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class LoadReport:
    """What a load did.

    Attributes:
        session_id: the session's slug.
        status: `unchanged` if the session's last load had the same hash and grading; no row of
            the session was written then. `loaded` otherwise, even if every row was equal.
        changes: table → rows changed; empty if unchanged.
        data_revision: number of the revision that the load made; None if no row changed.
        renamed: old → new id of the event's sessions that were stored under another round. The
            lake's files do not follow by themselves: `loaders.lake.rename_session`.
    """

    session_id: str
    status: Literal["loaded", "unchanged"]
    changes: Mapping[str, Changes] = field(default_factory=lambda: MappingProxyType({}))
    data_revision: int | None = None
    renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def changed_rows(self) -> int:
        """Rows inserted, updated and deleted, over all tables."""
        return sum(sum(changes) for changes in self.changes.values())


@contextmanager
def connect(settings: Settings, application_name: str = APPLICATION_NAME) -> Iterator[Connection]:
    """Connect to the warehouse: `DATABASE_URL`, or the embedded server, migrated if need be.

    Args:
        settings: where the warehouse is.
        application_name: shown to whoever finds a session busy.

    Yields:
        An ADBC connection, autocommit off.

    Raises:
        WarehouseError: the server cannot be reached, or a server of the user's own lacks
            migrations; those are for the user to apply.
    """
    with warehouse_address(settings) as address:
        missing = pending(address)
        if missing and settings.database_url is not None:
            raise WarehouseError(
                f"the database lacks {len(missing)} migration(s): {', '.join(missing)}. Apply "
                "them with: drivegrade db migrate"
            )
        if missing:
            migrate(address)
        with open_connection(address, application_name) as connection:
            yield connection


def load_session(
    connection: Connection,
    session: SessionKey,
    tables: Mapping[str, pl.DataFrame],
    *,
    data_hash: str,
    profile: CalibrationProfile,
    model_version: str,
    force: bool = False,
    refused: Sequence[tuple[str, str]] = (),
    incomplete: Sequence[str] = (),
    refetch_at: datetime | None = None,
) -> LoadReport:
    """Make the warehouse hold exactly these rows of a session.

    The session is found by its event: what is stored of it under another round follows to this
    one. Grades under other profiles stay, unless they were computed from inputs that this load
    replaces.

    Args:
        connection: from `connect`, without an open transaction.
        session: the session.
        tables: one frame per name of `loaders.arrow.STAGED`, and `filled_columns` if gaps were
            filled; others, which stay in the lake, are left out.
        data_hash: names the data; the same hash and grading as at the last load change nothing.
        profile: what all rows of `driver_metrics` were graded with; it must be imported.
        model_version: model of all rows of `driver_metrics`.
        force: compare row by row even if the hash is the same, and let a session that has laps
            be replaced by one without.
        refused: providers that were tried before, each with why it was refused; recorded.
        incomplete: what the session lacks, in words; recorded even if the data is unchanged.
        refetch_at: when it should be fetched again, with its time zone; None for never.

    Raises:
        ContractError: the frames break a contract; nothing was sent.
        ProfileError: the profile was not imported.
        SessionBusyError: another process is loading this session.
        WarehouseError: another event stands at this round, the server refused or was lost, or
            what was read back differs. The stored rows are those of before.
    """
    grading = Grading(profile.name, profile.version, model_version)
    marks = check("filled_columns", tables.get("filled_columns", empty("filled_columns")), "marks")
    staged = staged_tables(session, tables, grading)
    staged["filled_columns"] = marks.to_arrow(compat_level=pl.CompatLevel.oldest())
    facts = session_facts(tables["sessions"].row(0, named=True))
    source = str(tables["sessions"]["data_source"].item())
    quality = Quality(tuple(refused), tuple(incomplete), refetch_at)
    with transaction(connection, f"loading {session.session_id}"):
        _lock(connection, session)
        place = place_session(connection, facts, source)
        expected = _expected(staged)
        counts = {name: value for name, value in expected.items() if isinstance(value, int)}
        load = Load(session, place.event_key, data_hash, grading, counts, quality)
        last = _last_load(connection, session, staged, grading, force=force)
        if not force and not place.renamed and load.repeats(last):
            record_quality(connection, load, last)
            return LoadReport(session.session_id, "unchanged")
        _stage(connection, staged)
        changes = _merge(connection, grading, place, quality)
        run_file(connection, "statements/drop_staging")
        report = LoadReport(session.session_id, "loaded", MappingProxyType(changes))
        revision = record_load(connection, load, report.changed_rows)
        _verify(connection, session, grading, expected)
    return replace(report, data_revision=revision, renamed=place.renamed)


def read(connection: Connection, query: str, *parameters: str | int | None) -> pl.DataFrame:
    """Answer one of the questions of `sql/queries`.

    Args:
        connection: from `connect`, without an open transaction.
        query: name of the file: `grades` (season, round, session kind, profile), `calendar`
            (season), `load_history` (session id) …; its first lines say what it asks for.
        parameters: as many as the file has; None where it says so.

    Raises:
        WarehouseError: there is no such query, or the server refused it.
    """
    known = sorted(path.stem for path in QUERIES.glob("*.sql"))
    if query not in known:
        raise WarehouseError(f"there is no query {query!r}; there are {', '.join(known)}")
    with transaction(connection, f"reading {query}"):
        return run_file(connection, f"queries/{query}", *parameters)


def _lock(connection: Connection, session: SessionKey) -> None:
    """Keep other loads of the session out until the transaction ends.

    Raises:
        SessionBusyError: one is under way.
    """
    if run_file(connection, "queries/lock_session", session.session_id).item():
        return
    holders = run_file(connection, "queries/lock_holder", session.session_id).to_dicts()
    who = "another process, which has just ended"
    if holders:
        holder = holders[0]
        who = (
            f"{holder['application_name'] or 'an unnamed program'} (server process "
            f"{holder['pid']}) since {holder['started_at']:%Y-%m-%d %H:%M:%S} UTC"
        )
    raise SessionBusyError(
        f"{session.session_id} is being loaded by {who}. Nothing was changed; try again when it "
        "has ended",
        is_transient=True,
    )


def _last_load(
    connection: Connection,
    session: SessionKey,
    staged: Mapping[str, pa.Table],
    grading: Grading,
    *,
    force: bool,
) -> dict[str, Any]:
    """Tell what the session's last load stored, and refuse what cannot be a correction of it.

    Raises:
        ProfileError: the profile was not imported.
        ContractError: laps are stored and none were delivered.
    """
    profile = (grading.profile_name, grading.profile_version)
    if not run_file(connection, "queries/has_profile", *profile).item():
        raise ProfileError(
            f"profile {profile[0]} version {profile[1]} is not in the warehouse; import it first"
        )
    previous = run_file(connection, "queries/last_load", session.session_id).to_dicts()
    last = previous[0] if previous else {}
    if last.get("has_laps") and not force and not staged["laps"].num_rows:
        raise ContractError(
            f"laps: none of {session.session_id}, although some are stored. Nothing was loaded; "
            "if the session has none indeed, force the load"
        )
    return last


def _stage(connection: Connection, staged: Mapping[str, pa.Table]) -> None:
    """Copy each table into a temporary table `stage_…`, whose types follow from Arrow's."""
    for name, table in staged.items():
        with connection.cursor() as cursor:
            cursor.adbc_ingest(f"stage_{name}", table, mode="create", temporary=True)


def _merge(
    connection: Connection, grading: Grading, place: Place, quality: Quality
) -> dict[str, Changes]:
    """Make each table equal to what is staged, and count what that took."""
    parameters: Mapping[str, tuple[str | None, ...]] = {
        "races": (place.event_key,),
        "driver_metrics": (grading.profile_name, grading.model_version),
        "calendar_events": (place.event_key, quality.refetch_text),
    }
    changes = {"core.races": Changes(updated=len(place.renamed))}
    for file, table in MERGES:
        row = run_file(connection, f"merge/{file}", *parameters.get(file, ())).row(0, named=True)
        before = changes.get(table, Changes())
        changes[table] = Changes(*(before[i] + row[n] for i, n in enumerate(Changes._fields)))
    return changes


def _expected(staged: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Say what reading back must give: rows per table, sum of the grades, the status."""
    laps = pl.DataFrame(staged["laps"])
    stints = laps.drop_nulls("stint_number").select("driver_id", "stint_number").n_unique()
    rows = {name: table.num_rows for name, table in staged.items() if name != "sessions"}
    grades = pl.DataFrame(staged["driver_metrics"])["total_grade"]
    return {
        **rows,
        "stints": stints if laps.height else 0,
        "total_grade_sum": grades.sum(),
        "calendar_status": "ingested",
    }


def _verify(
    connection: Connection, session: SessionKey, grading: Grading, expected: Mapping[str, Any]
) -> None:
    """Read back what is stored and compare; also fails if an earlier statement failed.

    Raises:
        WarehouseError: something differs.
    """
    stored = run_file(connection, "queries/verification", session.session_id, *grading)
    found = stored.row(0, named=True) if stored.height else {}
    differing = [
        f"  {name}: {found.get(name)} stored, {value} loaded"
        for name, value in expected.items()
        if not _agree(found.get(name), value)
    ]
    if differing:
        raise WarehouseError(
            f"{session.session_id}: what was read back differs from what was loaded\n"
            + "\n".join(differing)
            + "\nThe load was undone; the rows stored before it stay. This is a fault of Drive "
            "Grade or of the database: please report it"
        )


def _agree(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, int | float):
        return math.isclose(found, expected, rel_tol=0, abs_tol=GRADE_SUM_TOLERANCE)
    return found == expected
