"""Answers about many sessions: the list of all, a driver's grades, a season's standings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from loaders.connection import run_file
from loaders.service.answer_models import Standing
from loaders.service.database import snapshot
from loaders.service.faults import not_found
from loaders.service.memo import encode
from loaders.service.sessions import (
    as_json,
    driven,
    find_profile,
    graded,
    rows,
    session_header,
)

if TYPE_CHECKING:
    from engine.tables import SessionKey
    from loaders.connection import Connection
    from loaders.service.memo import Encoded
    from loaders.service.questions import OfDriver, OfSeason, Paged
    from loaders.service.sessions import Row

RENAMED: Final = {
    "consistency_mean": "consistency_score_mean",
    "team_strategy_mean": "team_strategy_score_mean",
    "racecraft_mean": "racecraft_score_mean",
    "penalties_mean": "penalty_score_mean",
}
"""Fields of a standing, and the columns of the query that are called otherwise."""

COLUMNS: Final = {name: RENAMED.get(name, name) for name in Standing.model_fields}


def races(connection: Connection, asked: Paged) -> Encoded:
    """List sessions, stored or to come, the last one first."""
    with snapshot(connection, "listing races"):
        found = rows(connection, "races", asked.season, *asked.after(), asked.limit + 1)
    return encode(as_json(_page("races", found, asked.limit)))


def session_grades(connection: Connection, key: SessionKey, profile: str | None) -> Encoded:
    """Answer the grades of a session.

    Raises:
        ApiError: 404, there is no such race or profile.
    """
    with snapshot(connection, f"reading {key.session_id}"):
        header = session_header(connection, key, profile)
        return encode(as_json(graded(connection, header, key)))


def driver_grades(connection: Connection, driver_id: str, asked: OfDriver) -> Encoded:
    """Answer a driver's grades, the last session first.

    Raises:
        ApiError: 404, there is no such driver or profile.
    """
    with snapshot(connection, f"reading {driver_id}"):
        profile = find_profile(connection, asked.profile)
        driver = rows(connection, "driver", driver_id)
        if not driver:
            raise not_found("driver", f"there is no driver {driver_id}")
        found = rows(
            connection,
            "driver_grades",
            driver_id,
            profile,
            asked.season,
            *asked.after(),
            asked.limit + 1,
        )
    return encode(as_json({"driver": driver[0]} | _page("grades", found, asked.limit)))


def standings(connection: Connection, season: int, asked: OfSeason) -> Encoded:
    """Answer the standings of a season.

    Raises:
        ApiError: 404, nothing is known of the season, or there is no such profile.
    """
    with snapshot(connection, f"reading {season}"):
        profile = find_profile(connection, asked.profile)
        known = rows(connection, "season", season, asked.session)
        if not known or not (known[0]["sessions_stored"] or known[0]["sessions_planned"]):
            raise not_found("season", f"there is no {asked.session} of {season}")
        found = run_file(
            connection,
            "queries/season_standings",
            season,
            asked.session,
            profile,
            asked.of == "teams",
        )
    ranked = found.select(**COLUMNS).to_dicts() if profile else []
    status = "graded" if ranked else "not_graded" if known[0]["sessions_stored"] else "scheduled"
    return encode(
        as_json(
            {
                "season": season,
                "session_kind": asked.session,
                "of": asked.of,
                "status": status,
                "last_updated": known[0]["last_updated"],
                "standings": ranked,
            }
        )
    )


def strategy(connection: Connection, key: SessionKey, profile: str | None) -> Encoded:
    """Answer the stops of a session against the field's.

    Raises:
        ApiError: 404, there is no such race or profile.
    """
    with snapshot(connection, f"reading {key.session_id}"):
        header = session_header(connection, key, profile)
        about = graded(connection, header, key)
        chosen, stored = header["profile_name"], header["session_id"]
        about["stints"] = driven(connection, stored)["stints"]
        about["stops"] = rows(connection, "session_stops", stored, chosen) if stored else []
    del about["driver_pace_grades"], about["data_hash"]
    return encode(as_json(about))


def _page(name: str, found: list[Row], limit: int) -> dict[str, Any]:
    """Cut a list to a page, and say where the next one begins; it was read one row too far."""
    page = found[:limit]
    is_last = len(found) <= limit
    return {name: page, "next_cursor": None if is_last else page[-1]["session_id"]}
