"""OpenF1's calendar of a season: meeting keys, and which weekends were cancelled.

OpenF1 has no rounds and no ids of circuits, so it adds to Jolpica's calendar what that lacks. A
session of Jolpica's is of the meeting that holds a session of its kind within a day of its start:
sources may differ by one day, where a race starts after midnight UTC. Two races of Formula 1 are
never so close to each other. What contradicts is left out and said.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeVar

import polars as pl
from pydantic import Field

from engine.tables import CalendarSessions, SessionKey
from loaders.http import Source, open_client
from loaders.providers import ProviderError
from loaders.providers.openf1 import (
    CALENDAR_TOLERANCE,
    FIRST_SEASON,
    LOCKED,
    NOTHING_FOUND,
    RATES,
    SESSION_NAMES,
    TESTING,
)
from loaders.providers.openf1_records import SOURCE, Meeting, Moment, Offset, Session
from loaders.strict_json import Record, read_records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loaders.http import Client
    from loaders.settings import Settings

KINDS: Final = {name: kind for kind, name in SESSION_NAMES.items()}
"""Our kind of session by OpenF1's name; practice, qualifying and tests have none."""

SCHEMA: Final = pl.Schema(
    {
        name: dtype
        for name, dtype in CalendarSessions.create_empty().schema.items()
        if name not in {"round", "circuit_id"}
    }
)
"""What OpenF1 knows of the columns of `CalendarSessions`."""


class ListedMeeting(Meeting):
    """A weekend or a test with what the calendar needs of it."""

    meeting_name: Annotated[str, Field(min_length=1, max_length=200)]
    date_end: Moment | None = None
    gmt_offset: Offset = timedelta(0)


class Merged(NamedTuple):
    """A calendar with what OpenF1 adds, and what does not fit, one sentence each."""

    calendar: pl.DataFrame
    warnings: tuple[str, ...]


RecordT = TypeVar("RecordT", bound=Record)


def fetch_meetings(season: int, settings: Settings) -> pl.DataFrame:
    """Fetch the races and sprints of a season's meetings.

    Args:
        season: championship year.
        settings: where OpenF1 answers.

    Returns:
        See `meeting_rows`.

    Raises:
        ProviderError: before 2023, no answer, a locked service, or no meeting of that season.
        ContractError: an answer that cannot be read.
    """
    if season < FIRST_SEASON:
        raise ProviderError(f"{SOURCE} {season}: OpenF1 has no data before {FIRST_SEASON}.")
    with open_client(Source(SOURCE, settings.openf1_url, RATES), settings) as client:
        meetings = _ask(client, season, "meetings", ListedMeeting)
        if not meetings:
            raise ProviderError(f"{SOURCE} {season}: no calendar is published.")
        sessions = _ask(client, season, "sessions", Session)
    return meeting_rows(season, meetings, sessions)


def _ask(client: Client, season: int, endpoint: str, model: type[RecordT]) -> list[RecordT]:
    """Ask for an endpoint's rows of a season; none is answered with 404."""
    source = f"{SOURCE} {season}"
    try:
        reply = client.get(endpoint, year=season)
    except ProviderError as error:
        if str(error.__cause__) == LOCKED:
            raise ProviderError(
                f"{source}: session in progress, the service is locked ({LOCKED}).\n"
                "Try again half an hour after the flag."
            ) from error
        raise
    if reply.status == NOTHING_FOUND:
        return []
    return read_records(reply.content, model, source, endpoint)


def meeting_rows(
    season: int, meetings: Sequence[ListedMeeting], sessions: Sequence[Session]
) -> pl.DataFrame:
    """Bring meetings and sessions together, without tests.

    Args:
        season: championship year.
        meetings: of that year, tests among them.
        sessions: of those meetings, of any kind.

    Returns:
        One row per race or sprint, columns `SCHEMA`; dates are those at the circuit. A cancelled
        meeting whose sessions are not listed any more has one row, for the race, on its last day
        and without a start.
    """
    frame = pl.DataFrame(
        [{"season": season, **row} for row in _rows(meetings, sessions)], schema=SCHEMA
    )
    tests = pl.col("event_name").str.contains(TESTING)
    return frame.filter(~tests).unique().sort("session_date", "session_kind", "meeting_key")


def _rows(
    meetings: Sequence[ListedMeeting], sessions: Sequence[Session]
) -> Iterator[dict[str, object]]:
    for meeting in meetings:
        known = {"meeting_key": meeting.meeting_key, "event_name": meeting.meeting_name}
        listed = [
            session
            for session in sessions
            if session.meeting_key == meeting.meeting_key and session.session_name in KINDS
        ]
        for session in listed:
            yield {
                **known,
                "session_kind": KINDS[session.session_name],
                "session_date": (session.date_start + session.gmt_offset).date(),
                "starts_at": session.date_start,
                "is_cancelled": bool(meeting.is_cancelled or session.is_cancelled),
            }
        if meeting.is_cancelled and not listed:
            ends = meeting.date_end or meeting.date_start
            yield {
                **known,
                "session_kind": "race",
                "session_date": (ends + meeting.gmt_offset).date(),
                "starts_at": None,
                "is_cancelled": True,
            }


def add_meetings(calendar: pl.DataFrame, meetings: pl.DataFrame) -> Merged:
    """Give each session of a calendar the key of its meeting, and add the cancelled ones.

    Args:
        calendar: under the contract `CalendarSessions`, without meeting keys.
        meetings: see `meeting_rows`.

    Returns:
        The calendar's rows, each with its meeting key, null where OpenF1 has none that fits, and
        one row per cancelled session that the calendar does not list, without round and circuit.
        A session that OpenF1 calls cancelled and the calendar does not stays as it is: that is
        among the warnings, as is what only one of the two lists.
    """
    pairs = _pairs(calendar, meetings)
    torn = _contradicting(pairs)
    fitting = pairs.join(torn, on=["round", "meeting_key"], how="anti")
    place = ["round", "session_kind"]
    keyed = calendar.drop("meeting_key").join(
        fitting.select(*place, "meeting_key"), on=place, how="left", maintain_order="left"
    )
    is_lost = meetings.join(pairs, on=["meeting_key", "session_kind"], how="anti")
    cancelled = is_lost.filter("is_cancelled").unique(
        ["meeting_key", "session_kind"], keep="first", maintain_order=True
    )
    warnings = [
        *_sentences(
            "OpenF1 calls {} cancelled; Jolpica lists it as to be held, and its word stands",
            fitting.filter("is_cancelled"),
        ),
        *_sentences(
            "OpenF1 has {}, which fits no session of Jolpica's calendar; it was left out",
            is_lost.filter(~pl.col("is_cancelled")),
        ),
        *_sentences("OpenF1 and Jolpica contradict each other about {}; it has no key", torn),
        *_sentences("OpenF1 has no meeting for {}", keyed.filter(pl.col("meeting_key").is_null())),
    ]
    added = pl.concat([keyed, cancelled], how="diagonal").select(calendar.columns)
    return Merged(added, tuple(warnings))


def _pairs(calendar: pl.DataFrame, meetings: pl.DataFrame) -> pl.DataFrame:
    """Find the meeting of each session: round, kind, and what OpenF1 says; at most one row each.

    One that is held comes before a cancelled one, which fits only under the session's own name:
    another event may have taken its date.
    """
    own = calendar.select(
        "round",
        "session_kind",
        own_name="event_name",
        own_date="session_date",
        own_start="starts_at",
    )
    apart = pl.coalesce(
        pl.col("starts_at") - pl.col("own_start"), pl.col("session_date") - pl.col("own_date")
    ).abs()
    is_named_alike = (
        pl.col("event_name").str.to_lowercase() == pl.col("own_name").str.to_lowercase()
    )
    return (
        own.join(meetings, on="session_kind")
        .with_columns(apart=apart)
        .filter(pl.col("apart") <= CALENDAR_TOLERANCE, ~pl.col("is_cancelled") | is_named_alike)
        .sort("round", "session_kind", "is_cancelled", "apart", "meeting_key")
        .unique(["round", "session_kind"], keep="first", maintain_order=True)
    )


def _contradicting(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of a round whose sessions are of two meetings, or of a meeting of two rounds."""
    meetings = pl.col("meeting_key").n_unique().over("round")
    rounds = pl.col("round").n_unique().over("meeting_key")
    return pairs.filter((meetings > 1) | (rounds > 1))


def _sentences(text: str, rows: pl.DataFrame) -> Iterator[str]:
    """Fill in what each row is about: name, kind and date, with round and key where known."""
    for row in rows.to_dicts():
        known = []
        if row.get("round") is not None:
            known.append(SessionKey(row["season"], row["round"], row["session_kind"]).session_id)
        if row["meeting_key"] is not None:
            known.append(f"f1-{row['meeting_key']}")
        what = f"{row['event_name']}, {row['session_kind']} of {row['session_date']}"
        yield text.format(f"{what} ({', '.join(known)})")
