"""The calendar: the sessions of a season, where each stands, and what became of it.

Rounds are renumbered in mid-season; what is stored follows its event (`loaders.events`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import dataframely as dy
import polars as pl

from engine.errors import ContractError
from engine.tables import ID_PATTERN, CalendarSessions, SessionKey
from loaders import lake as lakes
from loaders.connection import copy_rows, run_file, transaction
from loaders.errors import WarehouseError
from loaders.events import identify, session_facts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from loaders.connection import Connection

SOURCE: Final = "calendar"
"""Who is said to have named an event first, if it was the calendar."""


@dataclass(frozen=True)
class CalendarReport:
    """What a synchronization did, by session id.

    Attributes:
        season: championship year.
        added: sessions that are new, or held after all.
        renamed: old → new, of all sessions that have another round.
        cancelled: sessions that are not held any more, under the id they had; one that was
            never expected under its event's key.
        updated: sessions whose name, start or status changed.
        unchanged: number of sessions of which nothing changed.
        lake_renamed: old → new, of the sessions whose files followed.
        warnings: where sources contradict each other, or one did not answer; a sentence each.
    """

    season: int
    added: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cancelled: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: int = 0
    lake_renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[str, ...] = ()


class SeasonCalendar(CalendarSessions):
    """A calendar of several sources, not all of which know the circuit of what is cancelled."""

    circuit_id = dy.String(
        nullable=True, regex=ID_PATTERN, description="Jolpica's id; null only if cancelled"
    )

    @dy.rule()
    def has_a_circuit_unless_cancelled(cls) -> pl.Expr:  # noqa: N805 - the library's convention
        """A session that is held is held somewhere."""
        return pl.col("is_cancelled") | pl.col("circuit_id").is_not_null()


def sync_calendar(
    connection: Connection, season: int, calendar: pl.DataFrame, lake: Path
) -> CalendarReport:
    """Make the stored calendar of a season equal to a source's, event by event.

    Rows, races and slugs follow their event to its round in one transaction, whatever the
    permutation; the lake's files follow after it. What was interrupted between the two, or in
    the middle of the files, is finished by the next call.

    Args:
        connection: from `loaders.postgres.connect`, without an open transaction.
        season: championship year.
        calendar: all sessions of the season, under the contract `SeasonCalendar`.
        lake: folder of the lake; it may be absent.

    Returns:
        What changed. Sessions that were ingested keep their status, also if the calendar has
        lost them.

    Raises:
        ContractError: the calendar is empty, breaks its contract, or has an event twice; nothing
            was changed.
        WarehouseError: a stored race that the calendar does not have stands where it has
            another one, or the server refused; nothing was changed.
        LakeError: a file could not be moved; the warehouse is up to date, and calling again
            finishes the lake.
    """
    listed = _checked(season, calendar)
    with transaction(connection, f"calendar of {season}"):
        run_file(connection, "events/lock", f"calendar.{season}")
        run_file(connection, "calendar/insert_season", season)
        keys = [identify(connection, session_facts(row), SOURCE) for row in listed.to_dicts()]
        before = run_file(connection, "calendar/positions", season)
        _stage(connection, _one_row_per_event(listed.with_columns(event_key=pl.Series(keys))))
        run_file(connection, "calendar/defer_positions")
        run_file(connection, "calendar/update_events", season)
        run_file(connection, "calendar/renumber_races")
        _refuse_double_positions(connection, season)
        run_file(connection, "calendar/drop_staging")
        after = run_file(connection, "calendar/positions", season)
    moved = lakes.rename_sessions(lake, _homes(connection, season, lake))
    return _report(season, before, after, moved)


def start_attempt(connection: Connection, session: SessionKey) -> bool:
    """Count an attempt to ingest a session; its status is left to how the attempt ends.

    Args:
        connection: from `loaders.postgres.connect`, without an open transaction.
        session: where the calendar has it.

    Returns:
        Whether the calendar has the session.
    """
    with transaction(connection, f"noting an attempt at {session.session_id}"):
        return bool(run_file(connection, "calendar/start_attempt", *session).item())


def fail_attempt(connection: Connection, session: SessionKey, reason: str) -> bool:
    """Note why the last attempt to ingest a session failed.

    Args:
        connection: from `loaders.postgres.connect`, without an open transaction.
        session: where the calendar has it.
        reason: in one line; stored and shown to everybody.

    Returns:
        Whether the session is `failed` now; what is ingested or cancelled stays so.
    """
    with transaction(connection, f"noting a failure of {session.session_id}"):
        return bool(run_file(connection, "calendar/fail_attempt", *session, reason).item())


def _checked(season: int, calendar: pl.DataFrame) -> pl.DataFrame:
    """Return the calendar in the order in which events are looked up: those with a key first.

    Raises:
        ContractError: it is empty, of another season, or breaks its contract.
    """
    remedy = "Nothing was changed; try another source, or adapt its provider"
    try:
        checked = SeasonCalendar.validate(calendar)
    except (dy.exc.SchemaError, dy.exc.ValidationError) as error:
        raise ContractError(f"calendar of {season}: {error}\n{remedy}") from None
    strangers = checked.filter(pl.col("season") != season)
    if checked.is_empty() or strangers.height:
        fault = f"{strangers.height} sessions of other seasons" if strangers.height else "empty"
        raise ContractError(f"calendar of {season}: {fault}\n{remedy}")
    return checked.sort("is_cancelled", "meeting_key", "session_date", nulls_last=True)


def _one_row_per_event(listed: pl.DataFrame) -> pl.DataFrame:
    """Leave out cancelled rows of sessions that are held after all, under the same key.

    Raises:
        ContractError: two rows that are held are one session, or its event has two rounds.
    """
    held = listed.filter(~pl.col("is_cancelled"))
    twice = held.filter(
        pl.struct("event_key", "session_kind").is_duplicated()
        | (pl.col("round").n_unique().over("event_key") > 1)
    )
    if twice.height:
        shown = twice.sort("event_key", "round").head(2).to_dicts()
        places = " and ".join(f"round {row['round']} ({row['event_name']})" for row in shown)
        raise ContractError(
            f"calendar: {places} are the same event, {shown[0]['event_key']}. Nothing was changed"
        )
    return listed.sort("is_cancelled").unique(["event_key", "session_kind"], keep="first")


def _stage(connection: Connection, rows: pl.DataFrame) -> None:
    """Copy the calendar into the temporary table `stage_calendar`."""
    table = rows.with_columns(pl.col(pl.Enum).cast(pl.String)).to_arrow(
        compat_level=pl.CompatLevel.oldest()
    )
    copy_rows(connection, "stage_calendar", table)


def _refuse_double_positions(connection: Connection, season: int) -> None:
    """Refuse a calendar that gives the place of a stored session to another event.

    Raises:
        WarehouseError: it does.
    """
    for row in run_file(connection, "calendar/double_positions", season).to_dicts():
        slug = SessionKey(season, row["round"], row["session_kind"]).session_id
        raise WarehouseError(
            f"calendar of {season}: {slug} is {row['listed_name']} ({row['listed_key']}), but "
            f"{row['standing_name']} ({row['standing_key']}) is stored there, and the calendar has "
            "no other place for it. Nothing was changed. If the stored one is a leftover, remove "
            "it from core.races and public.calendar_events by its event_key, then try again"
        )


def _homes(connection: Connection, season: int, lake: Path) -> dict[SessionKey, SessionKey]:
    """Say of the lake's sessions that the warehouse knows where each belongs."""
    homes = {}
    with transaction(connection, f"looking up the lake's sessions of {season}"):
        for row in lakes.listed(lake, season).to_dicts():
            facts = session_facts(row)
            key = run_file(connection, "events/find_event", *facts).row(0, named=True)["event_key"]
            there = key and run_file(
                connection, "calendar/session_of_event", key, facts.session_kind
            )
            if there is not None and there.height:
                old = SessionKey(season, row["round"], facts.session_kind)
                homes[old] = old._replace(round=there["round"].item())
    return homes


def _report(
    season: int, before: pl.DataFrame, after: pl.DataFrame, moved: Mapping[str, str]
) -> CalendarReport:
    """Compare the calendar before and after, session by session."""
    old = {row[:2]: row[2:] for row in before.rows()}
    added, cancelled, updated, unchanged = [], [], [], 0
    renamed: dict[str, str] = {}
    for key, kind, session_id, *rest in after.rows():
        was_id, *was = old.get((key, kind), (None,))
        if session_id is None and (was_id is not None or not was):
            cancelled.append(was_id or key)
        elif session_id is not None and was_id is None:
            added.append(session_id)
        elif session_id != was_id:
            renamed[was_id] = session_id
        elif rest != was:
            updated.append(session_id or key)
        else:
            unchanged += 1
    return CalendarReport(
        season,
        tuple(sorted(added)),
        MappingProxyType(renamed),
        tuple(sorted(cancelled)),
        tuple(sorted(updated)),
        unchanged,
        MappingProxyType(dict(moved)),
    )
