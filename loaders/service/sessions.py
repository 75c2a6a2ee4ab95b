"""Answers about one session: who drove, what was driven, and the grades."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from loaders.cache import read_through
from loaders.connection import run_file
from loaders.service.database import snapshot
from loaders.service.faults import not_found
from loaders.service.memo import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.tables import SessionKey
    from loaders.cache import Cache
    from loaders.connection import Connection
    from loaders.service.memo import Encoded

ISO_UTC: Final = "%Y-%m-%dT%H:%M:%S.%fZ"

RACE: Final = (
    "season",
    "round",
    "session_kind",
    "session_id",
    "event_name",
    "starts_at",
    "circuit_name",
    "scheduled_laps",
    "data_source",
)

WAITING: Final = {
    "scheduled": "its data is fetched after it has ended",
    "live": "its data is being fetched",
    "failed": "its data could not be fetched",
}
"""Why a session that is only in the calendar has no grades, where the calendar does not say."""

Row = dict[str, Any]


def rows(connection: Connection, file: str, *parameters: str | int | None) -> list[Row]:
    """Answer a question of `sql/api` in the open transaction; times as text, UTC."""
    found = run_file(connection, f"api/{file}", *parameters)
    return [{name: _plain(value) for name, value in row.items()} for row in found.to_dicts()]


def _plain(value: Any) -> Any:
    """Write a time as JSON has it."""
    return value.strftime(ISO_UTC) if isinstance(value, datetime) else value


def driven(connection: Connection, session_id: str | None) -> Row:
    """Read a session's `drivers`, `laps` and `stints`; empty lists if it is not stored."""
    if session_id is None:
        return {"drivers": [], "laps": [], "stints": []}
    found = rows(connection, "session_drives", session_id)[0]
    return {name: json.loads(text) for name, text in found.items()}


def as_json(answer: Mapping[str, Any]) -> bytes:
    """Write an answer as JSON."""
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def find_profile(connection: Connection, name: str | None) -> str | None:
    """Give the name of the profile that is asked for; None if none is active.

    Raises:
        ApiError: 404, the one that is named is not stored.
    """
    found = rows(connection, "profile", name)
    return _known_profile(found[0]["profile_name"] if found else None, name)


def _known_profile(found: str | None, asked: str | None) -> str | None:
    if found is None and asked is not None:
        raise not_found("profile", f"there is no profile {asked}")
    return found


def session_header(connection: Connection, key: SessionKey, profile: str | None) -> Row:
    """Read what is known of a session, stored or to come, and which profile is meant.

    Args:
        connection: in a transaction.
        key: the session.
        profile: a stored profile; the active one if None.

    Raises:
        ApiError: 404, neither the warehouse nor the calendar has it, or there is no such profile.
    """
    found = rows(connection, "session", *key, profile)
    if not found:
        raise not_found("race", f"there is no {key.session_kind} {key.season} round {key.round}")
    _known_profile(found[0]["profile_name"], profile)
    return found[0]


def graded(connection: Connection, header: Row, key: SessionKey) -> Row:
    """Give what every answer about a session begins with: race, status, and grades.

    Args:
        connection: in a transaction.
        header: of `session_header`.
        key: the session.
    """
    stored, chosen = header["session_id"], header["profile_name"]
    grades = rows(connection, "session_grades", stored, chosen) if stored and chosen else []
    status, reason = _status(header, is_graded=bool(grades))
    race = {name: header[name] for name in RACE} | {"session_id": key.session_id}
    return {
        "race": race,
        "last_updated": header["last_updated"],
        "status": status,
        "status_reason": reason,
        "data_hash": header["data_hash"],
        "driver_pace_grades": grades,
    }


def _status(header: Row, *, is_graded: bool) -> tuple[str, str | None]:
    """Say what became of a session, and why it has no grades."""
    if is_graded:
        return "graded", None
    if header["session_id"] is not None:
        profile = header["profile_name"]
        lacking = f"under profile {profile}" if profile else "for no profile is active"
        return "not_graded", f"its data is stored; it was not graded {lacking}"
    status = str(header["calendar_status"])
    if status not in WAITING:
        return "not_graded", "its data is not stored any more"
    return status, header["status_reason"] or WAITING[status]


def analytics(
    connection: Connection,
    cache: Cache | None,
    key: SessionKey,
    *,
    profile: str | None = None,
    drivers: Sequence[str] = (),
) -> Encoded:
    """Answer all about a session.

    Args:
        connection: without an open transaction.
        cache: holds whole answers under the active profile; None if there is none.
        key: the session.
        profile: a stored profile; the active one if None.
        drivers: codes or ids of the only ones to be told of; all if empty.

    Raises:
        ApiError: 404, there is no such race, profile or driver.
    """
    found = None
    if profile is None and cache is not None:
        found = read_through(
            connection, cache, key.session_id, lambda reading: _whole(reading, key, None)
        )
    if found is None:
        with snapshot(connection, f"reading {key.session_id}"):
            found = _whole(connection, key, profile)
    answer = found["answer"]
    if drivers and found["drivers"]:
        answer = _only(answer, found["drivers"], drivers)
    return encode(as_json(answer))


def _whole(connection: Connection, key: SessionKey, profile: str | None) -> Row:
    """Read a session's answer, and who is known there under which names."""
    header = session_header(connection, key, profile)
    parts = driven(connection, header["session_id"])
    drivers = parts.pop("drivers")
    return {"answer": graded(connection, header, key) | parts, "drivers": drivers}


def _only(answer: Row, known: Sequence[Sequence[str]], wanted: Sequence[str]) -> Row:
    """Leave only the wanted drivers in an answer.

    Raises:
        ApiError: 404, one of them did not take part.
    """
    named = {name.lower(): driver for driver, driver_id in known for name in (driver_id, driver)}
    if missing := [name for name in wanted if name.lower() not in named]:
        there = ", ".join(sorted({driver for driver, _ in known}))
        raise not_found("driver", f"{', '.join(missing)} did not take part; there are {there}")
    chosen = {named[name.lower()] for name in wanted}
    return {
        name: [row for row in part if row["driver"] in chosen] if isinstance(part, list) else part
        for name, part in answer.items()
    }
