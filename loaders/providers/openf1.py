"""OpenF1: timing, tyres, race control and classification from 2023 on, from its public API.

`fetch` asks for eleven endpoints; `parse_*` turn each raw frame (`openf1_records`) into its
contract. They are pure and invent nothing. Who drives a car, and for whom, and what the circuit
is, in the ids that last, is Jolpica's to say (`loaders.identity`, `loaders.jolpica_api`).

What OpenF1 does not know, and what becomes of it:

- rounds: round n is the n-th meeting of the year that is neither cancelled nor testing;
- whether the classification is final: it may lack penalties given after the flag;
- that a classified car had stopped: told from its last timed lap, else it counts as lapped;
- the order of unclassified cars that ran equally far, where timing does not tell: null;
- planned distance, speed at the line, personal bests, accuracy, qualifying: null or empty.

Session clocks count from `CLOCK_LEAD` before the scheduled start.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl
from pyrate_limiter import Duration, Rate

from engine import tables
from loaders import jolpica_api
from loaders.http import Source, open_client
from loaders.identity import identities
from loaders.providers import ProviderError
from loaders.providers.openf1_entries import parse_entries
from loaders.providers.openf1_laps import parse_laps
from loaders.providers.openf1_records import (
    DRIVER,
    ORDER,
    SOURCE,
    contract,
    raw_frame,
    timed,
    to_ms,
)
from loaders.providers.openf1_replies import parse_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.tables import SessionKey
    from loaders.http import Client
    from loaders.providers import SessionTables
    from loaders.settings import Settings

CALENDAR_TOLERANCE: Final = timedelta(days=1)
"""A race after midnight UTC has another date at the circuit."""

FIRST_SEASON: Final = 2023
"""OpenF1 has nothing older."""

CLOCK_LEAD: Final = timedelta(hours=2)
"""From clock 0 to the scheduled start: the timing stream opens about one hour before it."""

SESSION_NAMES: Final = {"race": "Race", "sprint": "Sprint"}
QUALIFYING_NAMES: Final = {
    "race": ("Qualifying",),
    "sprint": ("Sprint Qualifying", "Sprint Shootout"),
}
"""Sessions that make the grid of each kind; the sprint's was called Shootout in 2023."""

TESTING: Final = r"(?i)testing|pre-season"

LOCKED: Final = "HTTP 401"
NOTHING_FOUND: Final = 404
"""How the service says that live data needs an account, and that no row matches."""

RATES: Final = (Rate(2, Duration.SECOND), Rate(30, Duration.MINUTE))
"""A little less than the service lets an address ask without an account."""

OF_SESSION: Final = (
    "session_result", "drivers", "laps", "stints", "pit", "position", "race_control", "weather",
)  # fmt: skip
"""Endpoints asked by session key."""

NEEDED: Final = ("session_result", "laps")
"""Endpoints without which there is nothing to grade."""


def fetch(session: SessionKey, settings: Settings) -> SessionTables:
    """Fetch one session from OpenF1, and who drove which car from Jolpica.

    An endpoint without rows leaves its columns null, or its table empty, except classification
    and laps, which must be there.

    Args:
        session: a race or a sprint from 2023 on.
        settings: where both services answer, and the limits of a request.

    Raises:
        ProviderError: before 2023; no such round or session; a session is in progress; the
            calendars of OpenF1 and Jolpica differ; a service does not answer; nothing to grade.
        ContractError: an answer is not of the expected form, or values break a contract.
    """
    if session.season < FIRST_SEASON:
        raise ProviderError(
            f"{SOURCE} {session.session_id}: OpenF1 has no data before {FIRST_SEASON}.\n"
            "Nothing was loaded. Use another provider for older seasons."
        )
    with open_client(Source(SOURCE, settings.openf1_url, RATES), settings) as client:
        meeting = find_meeting(session, _ask(client, session, "meetings", year=session.season))
        of_meeting = {"meeting_key": meeting["meeting_key"].item()}
        sessions = _ask(client, session, "sessions", **of_meeting)
        facts = find_session(session, sessions)
        grids = _ask(client, session, "starting_grid", **of_meeting)
        of_session = {"session_key": facts["session_key"].item()}
        raw = {name: _ask(client, session, name, **of_session) for name in OF_SESSION}
    missing = [name for name in NEEDED if raw[name].is_empty()]
    if missing:
        raise ProviderError(
            f"{SOURCE} {session.session_id}: {' and '.join(missing)} not published.\n"
            "Nothing was loaded. Try again some hours after the session."
        )
    raw |= {
        "meetings": meeting,
        "sessions": facts,
        "starting_grid": find_grid(session, sessions, grids),
    }
    with open_client(jolpica_api.source(settings), settings) as client:
        race = jolpica_api.ask(client, session, "races").race
    check_calendar(session, raw, race)
    return parse_tables(session, raw, identities(*session, settings), race)


def _ask(client: Client, session: SessionKey, endpoint: str, **filters: int) -> pl.DataFrame:
    """Ask for an endpoint's rows; none is answered with 404.

    Raises:
        ProviderError: no answer; or the service is locked while a session runs.
        ContractError: the answer is not of the expected form.
    """
    source = f"{SOURCE} {session.session_id}"
    try:
        reply = client.get(endpoint, **filters)
    except ProviderError as error:
        fault = str(error).removeprefix(f"{SOURCE}: ")
        if str(error.__cause__) == LOCKED:
            fault = (
                f"session in progress, live data is locked ({LOCKED}).\n"
                "Nothing was loaded. Try again half an hour after the flag."
            )
        raise ProviderError(f"{source}, {endpoint}: {fault}") from error
    if reply.status == NOTHING_FOUND:
        return raw_frame(endpoint, [])
    return parse_reply(endpoint, reply.content, source)


def find_meeting(session: SessionKey, meetings: pl.DataFrame) -> pl.DataFrame:
    """Find the meeting of a round: one row.

    Raises:
        ProviderError: the year has fewer rounds.
    """
    is_off = pl.col("is_cancelled").fill_null(value=False)
    is_test = pl.col("meeting_name").str.contains(TESTING)
    rounds = meetings.filter(~is_off & ~is_test).sort("date_start", "meeting_key")
    if session.round > rounds.height:
        raise ProviderError(
            f"{SOURCE} {session.session_id}: {session.season} has {rounds.height} rounds there.\n"
            "Nothing was loaded. Check the round, or try again when it is published."
        )
    return rounds[session.round - 1]


def find_session(session: SessionKey, sessions: pl.DataFrame) -> pl.DataFrame:
    """Find the race or the sprint among a meeting's sessions: one row.

    Raises:
        ProviderError: the meeting has none, or it was cancelled.
    """
    name = SESSION_NAMES[session.session_kind]
    found = sessions.filter(pl.col("session_name") == name).unique("session_key")
    if found.height != 1 or found["is_cancelled"].fill_null(value=False).any():
        state = "cancelled" if found.height == 1 else f"listed {found.height} times"
        raise ProviderError(
            f"{SOURCE} {session.session_id}: the session {name!r} is {state}.\n"
            "Nothing was loaded. Check the round and the kind of session."
        )
    return found


def find_grid(session: SessionKey, sessions: pl.DataFrame, grids: pl.DataFrame) -> pl.DataFrame:
    """Find the grid among a meeting's: it hangs on the qualifying session, not on the race.

    Where the qualifying session is not listed, the meeting's only grid is the race's.
    """
    names = QUALIFYING_NAMES[session.session_kind]
    keys = sessions.filter(pl.col("session_name").is_in(names))["session_key"]
    known = grids["session_key"].unique()
    if keys.is_empty() and known.len() == 1 and session.session_kind == "race":
        keys = known
    return grids.filter(pl.col("session_key").is_in(keys.to_list()))


def check_calendar(
    session: SessionKey, raw: Mapping[str, pl.DataFrame], race: jolpica_api.Race | None
) -> None:
    """See that round n is the same event to OpenF1 and to Jolpica, by date.

    Raises:
        ProviderError: Jolpica has no such round, or its date is more than a day off: a round was
            cancelled, added or moved in one calendar and not yet in the other.
    """
    due = race if race is None or session.session_kind == "race" else race.sprint
    start = raw["sessions"]["date_start"].item().date()
    if due is not None and abs(date.fromisoformat(due.date) - start) <= CALENDAR_TOLERANCE:
        return
    theirs = f"{race.race_name!r} on {due.date}" if race and due else "no such session"
    raise ProviderError(
        f"{SOURCE} {session.session_id}: the calendars differ: OpenF1 has "
        f"{raw['meetings']['meeting_name'].item()!r} on {start}, Jolpica {theirs}.\n"
        "Nothing was loaded. Rounds were renumbered; try again when both agree."
    )


def clock_zero(facts: pl.DataFrame) -> pl.Expr:
    """The moment at which a session's clock shows 0."""
    return pl.lit(facts["date_start"].item() - CLOCK_LEAD)


def parse_tables(
    session: SessionKey,
    raw: Mapping[str, pl.DataFrame],
    entrants: pl.DataFrame,
    race: jolpica_api.Race | None = None,
) -> SessionTables:
    """Turn the raw frames of one session into its tables; see the functions that do it.

    Args:
        session: which.
        raw: a frame for every endpoint, of which `meetings` and `sessions` have one row each and
            `starting_grid` is that of this session.
        entrants: who drives which car, see `parse_entries`.
        race: what Jolpica's schedule says of the round.
    """
    zero = clock_zero(raw["sessions"])
    entries = parse_entries(session, raw, entrants)
    laps = parse_laps(session, raw, entries, zero)
    return {
        "sessions": parse_session(session, raw, race),
        "entries": entries,
        "laps": laps,
        "pit_stops": parse_pit_stops(session, raw["pit"], laps, entries, zero),
        "race_control": parse_race_control(session, raw["race_control"]),
        "weather": parse_weather(session, raw["weather"], zero),
        "qualifying": tables.empty("qualifying"),
    }


def parse_session(
    session: SessionKey, raw: Mapping[str, pl.DataFrame], race: jolpica_api.Race | None = None
) -> pl.DataFrame:
    """Describe the session: one row, times in UTC, null where neither source knows."""
    circuit = None if race is None else race.circuit
    circuit_name = pl.lit(None if circuit is None else circuit.circuit_name, pl.String)
    weekend = raw["meetings"].drop("date_start", "is_cancelled")
    return (
        raw["sessions"]
        .join(weekend, on="meeting_key")
        .select(
            pl.col("meeting_key"),
            season=pl.lit(session.season),
            round=pl.lit(session.round),
            session_kind=pl.lit(session.session_kind),
            event_name="meeting_name",
            circuit_id=pl.lit(None if circuit is None else circuit.circuit_id),
            circuit_name=pl.coalesce(circuit_name, "circuit_short_name"),
            session_date=(pl.col("date_start") + pl.col("gmt_offset")).dt.date(),
            started_at="date_start",
            scheduled_laps=pl.lit(None),
            f1_session_key="session_key",
            data_source=pl.lit(SOURCE),
        )
        .pipe(contract, "sessions", session)
    )


def parse_pit_stops(
    session: SessionKey, pit: pl.DataFrame, laps: pl.DataFrame, entries: pl.DataFrame, zero: pl.Expr
) -> pl.DataFrame:
    """Give the visits to the pit lane on the listed laps; clocks and durations in ms.

    The date of a visit is that of the exit; the entry is so much earlier as the lane took.
    """
    of_car = entries.select(DRIVER, pl.col("driver_number").cast(pl.Int64))
    listed = laps.select(DRIVER, pl.col(ORDER).cast(pl.Int64))
    out_ms = (pl.col("date") - zero).dt.total_milliseconds()
    lane_ms = to_ms(pl.coalesce("lane_duration", "pit_duration"))
    return (
        pit.join(of_car, on="driver_number")
        .join(listed, on=[DRIVER, ORDER], how="semi")
        .with_columns(lane_ms=lane_ms, stop_ms=to_ms("stop_duration"), pit_out_ms=out_ms)
        .select(
            pl.col(DRIVER, ORDER, "pit_out_ms"),
            pit_in_ms=pl.col("pit_out_ms") - pl.col("lane_ms"),
            pit_lane_time_ms=timed("lane_ms"),
            stationary_time_ms=timed("stop_ms"),
        )
        .pipe(contract, "pit_stops", session)
    )


def parse_race_control(session: SessionKey, messages: pl.DataFrame) -> pl.DataFrame:
    """Number the messages in the order they were sent (UTC); no rows if there are none."""
    return (
        messages.sort("date", *[c for c in messages.columns if c != "date"], nulls_last=True)
        .select(
            pl.col("lap_number", "category", "flag", "scope", "sector", "driver_number", "message"),
            message_number=pl.int_range(1, pl.len() + 1),
            sent_at="date",
            status=pl.lit(None),
        )
        .pipe(contract, "race_control", session)
    )


def parse_weather(session: SessionKey, weather: pl.DataFrame, zero: pl.Expr) -> pl.DataFrame:
    """Give the readings by session clock (ms), the first of each moment, none before clock 0."""
    return (
        weather.with_columns(clock_ms=(pl.col("date") - zero).dt.total_milliseconds())
        .filter(pl.col("clock_ms") >= 0)
        .unique("clock_ms", keep="first", maintain_order=True)
        .select(
            session_clock_ms="clock_ms",
            air_temperature_degc="air_temperature",
            track_temperature_degc="track_temperature",
            humidity_pct="humidity",
            pressure_mbar="pressure",
            is_raining=pl.col("rainfall") > 0,
            wind_direction_deg="wind_direction",
            wind_speed_mps="wind_speed",
        )
        .pipe(contract, "weather", session)
    )
