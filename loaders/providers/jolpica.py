"""Jolpica's API: classification, qualifying, lap times and pit stops, of every season there is.

It knows lap times from 1996 on, pit stops and qualifying from 1994 on, for Grands Prix only;
tyres, sectors, track status, race control and weather it does not know, and those are null or
empty. A race takes about 17 requests, so a whole history is read from the dump (`jolpica_dump`).

Qualifying is Jolpica's to say for the sessions of all providers (`fetch_qualifying`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from pydantic import Field

from engine import tables
from engine.errors import ContractError
from loaders import jolpica_api
from loaders.http import open_client
from loaders.jolpica_api import (
    Clock,
    Digits,
    Document,
    Driver,
    Entered,
    Id,
    Points,
    ShortText,
)
from loaders.providers import ProviderError
from loaders.providers.jolpica_tables import (
    FIRST_SEASON_WITH_PARTS,
    RAW,
    SOURCE,
    check_complete,
    milliseconds,
    parse_entries,
    parse_laps,
    parse_pit_stops,
    parse_qualifying,
    parse_sessions,
)
from loaders.strict_json import validate_records

if TYPE_CHECKING:
    from engine.tables import SessionKey
    from loaders.http import Client
    from loaders.jolpica_api import Race
    from loaders.providers import SessionTables
    from loaders.settings import Settings


class _Time(Document):
    millis: Digits | None = None
    time: ShortText | None = None


class Result(Entered):
    """A row of the classification."""

    position: Digits
    position_text: ShortText
    points: Points
    grid: Digits | None = None
    laps: Digits | None = None
    status: ShortText | None = None
    time: _Time | None = Field(default=None, alias="Time")


class Timing(Document):
    """A driver's lap."""

    number: Digits
    driver_id: Id
    position: Digits | None = None
    time: Clock | None = None


class PitStop(Document):
    """A driver's visit to the pit lane."""

    driver_id: Id
    lap: Digits
    duration: Clock | None = None


class Qualified(Document):
    """A driver's place and times in qualifying; what is no time is none."""

    driver: Driver = Field(alias="Driver")
    position: Digits | None = None
    q1: ShortText | None = Field(default=None, alias="Q1")
    q2: ShortText | None = Field(default=None, alias="Q2")
    q3: ShortText | None = Field(default=None, alias="Q3")


def fetch(session: SessionKey, settings: Settings) -> SessionTables:
    """Fetch one session from the API.

    Args:
        session: a race, or a sprint, of which Jolpica has no laps, pit stops or qualifying.
        settings: where Jolpica answers, limits and cache.

    Raises:
        ProviderError: no answer, no such session, or results or laps are not complete yet.
        ContractError: an answer cannot be read, or values break a table's contract.
    """
    is_race = session.session_kind == "race"
    name = f"{SOURCE} {session.session_id}"
    with open_client(jolpica_api.source(settings), settings) as client:
        race = jolpica_api.ask(client, session, "races").race
        results = jolpica_api.ask(client, session, "results" if is_race else "sprint").rows
        if race is None or not results:
            raise ProviderError(
                f"{name}: there is no such session, or its results are not there yet.\n"
                "Nothing was loaded. Check the round, or try again some hours after the session."
            )
        timings = jolpica_api.ask(client, session, "laps").rows if is_race else []
        stops = jolpica_api.ask(client, session, "pitstops").rows if is_race else []
        qualifying = _qualifying(client, session) if is_race else tables.empty("qualifying")
    raw_stops = raw_pit_stops(session, validate_records(stops, PitStop, name, "pit_stops"))
    raw_timings = raw_laps(session, validate_records(timings, Timing, name, "laps"))
    entries = parse_entries(
        raw_results(session, validate_records(results, Result, name, "entries")), name
    )
    _check_columns(raw_timings, "laps", ("time_ms", "position"), name)
    _check_columns(raw_stops, "pit_stops", ("time_ms",), name)
    laps = parse_laps(raw_timings, raw_stops, name)
    pit_stops = parse_pit_stops(raw_stops, name)
    check_complete(session, entries, laps, pit_stops, name)
    return {
        "sessions": parse_sessions(raw_session(session, race), name),
        "entries": entries,
        "laps": laps,
        "pit_stops": pit_stops,
        "race_control": tables.empty("race_control"),
        "weather": tables.empty("weather"),
        "qualifying": qualifying,
    }


def fetch_qualifying(session: SessionKey, settings: Settings) -> pl.DataFrame:
    """Fetch who drove which times in a weekend's qualifying, in one request.

    Args:
        session: a race; nothing is asked of a sprint.
        settings: where Jolpica answers, limits and cache.

    Returns:
        `engine.tables.Qualifying`; no rows if Jolpica has none.

    Raises:
        ProviderError: no answer, or one about another race.
        ContractError: the answer cannot be read, or values break the table's contract.
    """
    if session.session_kind != "race":
        return tables.empty("qualifying")
    with open_client(jolpica_api.source(settings), settings) as client:
        return _qualifying(client, session)


def _qualifying(client: Client, session: SessionKey) -> pl.DataFrame:
    name = f"{SOURCE} {session.session_id}"
    rows = jolpica_api.ask(client, session, "qualifying").rows
    raw = raw_qualifying(session, validate_records(rows, Qualified, name, "qualifying"))
    has_parts = session.season >= FIRST_SEASON_WITH_PARTS
    _check_columns(raw, "qualifying", ("position", "q1_ms") if has_parts else ("position",), name)
    return parse_qualifying(raw, name)


def raw_session(session: SessionKey, race: Race) -> pl.DataFrame:
    """Put the race of the schedule into a raw table of one row."""
    is_race = session.session_kind == "race"
    due = race if is_race else race.sprint
    row = {
        "session_id": session.session_id,
        **session._asdict(),
        "event_name": race.race_name,
        "circuit_id": race.circuit.circuit_id,
        "circuit_name": race.circuit.circuit_name,
        "date": None if due is None else due.date,
        "time": None if due is None else due.time,
    }
    return pl.DataFrame([row], schema=RAW["sessions"])


def raw_results(session: SessionKey, results: list[Result]) -> pl.DataFrame:
    """Put the classification into a raw table, one row per driver and car."""
    return pl.DataFrame(
        [
            {
                "session_id": session.session_id,
                "driver_id": row.driver.driver_id,
                "driver_code": row.driver.code,
                "driver_number": _integer(row.number),
                "driver_name": row.driver.full_name,
                "team_id": row.constructor.constructor_id,
                "team_name": row.constructor.name,
                "grid": _integer(row.grid),
                "position": int(row.position),
                "position_text": row.position_text,
                "status_text": row.status,
                "points": float(row.points),
                "laps": _integer(row.laps),
                "time_ms": None if row.time is None else _integer(row.time.millis),
                "time_text": None if row.time is None else row.time.time,
            }
            for row in results
        ],
        schema=RAW["results"],
    )


def raw_laps(session: SessionKey, timings: list[Timing]) -> pl.DataFrame:
    """Put the lap times into a raw table, one row per driver and lap."""
    texts = pl.DataFrame(
        {
            "driver_id": [row.driver_id for row in timings],
            "lap_number": [int(row.number) for row in timings],
            "position": [_integer(row.position) for row in timings],
            "time": [row.time for row in timings],
        },
        schema_overrides={"driver_id": pl.String, "time": pl.String},
    )
    return _raw(texts, "laps", session)


def raw_pit_stops(session: SessionKey, stops: list[PitStop]) -> pl.DataFrame:
    """Put the pit stops into a raw table, one row per visit."""
    texts = pl.DataFrame(
        {
            "driver_id": [row.driver_id for row in stops],
            "lap_number": [int(row.lap) for row in stops],
            "time": [row.duration for row in stops],
        },
        schema_overrides={"driver_id": pl.String, "time": pl.String},
    )
    return _raw(texts, "pit_stops", session)


def raw_qualifying(session: SessionKey, qualified: list[Qualified]) -> pl.DataFrame:
    """Put qualifying into a raw table, one row per driver."""
    texts = pl.DataFrame(
        {
            "driver_id": [row.driver.driver_id for row in qualified],
            "position": [_integer(row.position) for row in qualified],
            "q1": [row.q1 for row in qualified],
            "q2": [row.q2 for row in qualified],
            "q3": [row.q3 for row in qualified],
        },
        schema_overrides=dict.fromkeys(("driver_id", "q1", "q2", "q3"), pl.String),
    )
    return _raw(texts, "qualifying", session)


def _raw(texts: pl.DataFrame, table: str, session: SessionKey) -> pl.DataFrame:
    """Read the times as ms and add the session."""
    times = [name for name in ("time", "q1", "q2", "q3") if name in texts.columns]
    return (
        texts.with_columns(milliseconds(name).alias(f"{name}_ms") for name in times)
        .with_columns(session_id=pl.lit(session.session_id))
        .select(RAW[table].names())
        .cast(RAW[table])
    )


def _check_columns(raw: pl.DataFrame, table: str, columns: tuple[str, ...], name: str) -> None:
    """See that what may be absent in a row is not absent in all: then it has another name.

    Raises:
        ContractError: no row has a value in one of the columns.
    """
    empty = [column for column in columns if raw.height and raw[column].is_null().all()]
    if empty:
        raise ContractError(
            f"{table}: none of {raw.height} rows from {name} has {', '.join(empty)}\n"
            "Nothing was used. If the service has renamed it, adapt its provider."
        )


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)
