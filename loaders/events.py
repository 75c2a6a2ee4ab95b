"""Events: which one a session is of, whatever its round.

Rounds are renumbered in mid-season, races move to other circuits, names to other races. So an
event has a key of its own, and names by which it is recognized (`core.event_aliases`):

    f1-{meeting key}              Formula 1's own key: decides, where it is known
    {season}-{circuit}-{date}     of any of its sessions; sources may differ by one day
    {season}-{name}               only of a session that knows neither of the above

The key is the first of these that was known and never changes afterwards. A session that shares
no kind of name with what is stored is of the event that stands at its round if name or date
agree and nothing contradicts. Two meeting keys are two events, whatever else agrees.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.tables import SessionKey
from loaders.connection import run_file
from loaders.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from loaders.connection import Connection


class EventFacts(NamedTuple):
    """What a session tells of its event; `session_date` in ISO form, None where not known."""

    season: int
    round: int | None
    session_kind: str
    event_name: str
    circuit_id: str | None
    session_date: str | None
    meeting_key: int | None


class Place(NamedTuple):
    """Where a session stands.

    Attributes:
        event_key: the event it is of.
        renamed: old → new session id of the event's stored sessions that were renumbered.
    """

    event_key: str
    renamed: Mapping[str, str]


def session_facts(row: Mapping[str, Any]) -> EventFacts:
    """Read the facts from a row of the contract `Sessions` or `CalendarSessions`."""
    started = row.get("started_at") or row.get("starts_at")
    held_on = row["session_date"] or (started and started.date())
    dated = {**row, "session_date": held_on and held_on.isoformat()}
    return EventFacts(*(dated[name] for name in EventFacts._fields))


def lock_events(connection: Connection, facts: Collection[EventFacts]) -> None:
    """Keep others from founding or moving the sessions' events until the transaction ends.

    Locks are taken in the order of their names, so that nobody waits for one another.
    """
    seasons = {f"calendar.{fact.season}" for fact in facts}
    events = {f"circuit.{fact.season}.{fact.circuit_id}" for fact in facts}
    events |= {f"f1.{fact.meeting_key}" for fact in facts}
    run_file(connection, "events/share_locks", json.dumps(sorted(seasons)))
    run_file(connection, "events/lock_all", json.dumps(sorted(events)))


def settle(connection: Connection, sessions: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Find the events of the sessions that stand where they stood, or of which nothing is known.

    Args:
        connection: in the load's transaction, which holds `lock_events`.
        sessions: rows of the contract `Sessions`.

    Returns:
        Session id → event key. For the others, `place_session` has to decide.
    """
    facts = [
        {
            "session_id": row["session_id"],
            "data_source": row["data_source"],
            **(known := session_facts(row))._asdict(),
            "held_on": known.session_date,
        }
        for row in sessions
    ]
    return dict(run_file(connection, "events/settle", json.dumps(facts)).rows())


def place_session(connection: Connection, facts: EventFacts, source: str) -> Place:
    """Find or found the event of a session that is being loaded, and renumber it if need be.

    Args:
        connection: in the load's transaction, which holds `lock_events`.
        facts: what the session tells; the round is known.
        source: who says so.

    Raises:
        WarehouseError: another event stands at that round, or the event is of another season;
            nothing may be loaded.
    """
    key = identify(connection, facts, source)
    position = (facts.season, facts.round, facts.session_kind)
    for other in run_file(connection, "events/occupant", key, *position).to_dicts():
        session_id = SessionKey(facts.season, facts.round or 0, facts.session_kind).session_id
        what = "stored" if other["is_race"] else "in the calendar"
        raise WarehouseError(
            f"{session_id}: {facts.event_name} ({key}) was to be loaded as round {facts.round}, "
            f"where {other['event_name']} ({other['event_key']}) is {what}. Nothing was loaded. "
            f"If rounds were renumbered: drivegrade calendar sync {facts.season}"
        )
    moved = run_file(connection, "events/move_event", key, facts.round)
    return Place(key, MappingProxyType(dict(moved.rows())))


def identify(connection: Connection, facts: EventFacts, source: str) -> str:
    """Name the event that the facts are of, and note all its names.

    Args:
        connection: in a transaction that keeps others from founding it.
        facts: what is known.
        source: who says so.

    Returns:
        The event's key; a new one if nothing stored is it.

    Raises:
        WarehouseError: it is stored under another season.
    """
    found = run_file(connection, "events/find_event", *facts).row(0, named=True)
    key = str(found["event_key"] or found["new_key"])
    if found["season"] not in {None, facts.season}:
        raise WarehouseError(
            f"{facts.event_name}: {key} is an event of {found['season']}, not of {facts.season}. "
            "Nothing was stored; the source gives a wrong season or meeting key"
        )
    if found["twin_key"] is not None:
        run_file(connection, "events/absorb_event", key, found["twin_key"])
    named = (facts.season, facts.circuit_id, facts.session_date, facts.meeting_key, source)
    run_file(connection, "events/register_aliases", key, *named)
    return key
