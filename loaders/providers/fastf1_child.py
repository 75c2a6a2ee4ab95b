"""Child process that runs the FastF1 library once and leaves what it found as Arrow files.

    python -m loaders.providers.fastf1_child '{"season": 2025, "round": 1, …}'

FastF1 unpickles its cache, has no time limit, may ask questions, and may call ``exit()``; so it
runs here, where `loaders.providers.fastf1` can kill it. pandas stays in this file: what leaves
is one Arrow IPC file per name of `RAW`, in FastF1's column names, cast once at the door.

FastF1 logs most failures and goes on. Its debug switch would raise them, but then a session
without weather or race control, which is usable, could not be loaded at all. The switch stays
off; the swallowed exceptions are printed instead, and what is indispensable is asked for.

Exit: 0 with the files, or with ``failure.json`` ([cause, remedy]) in their place; anything else
is a crash. Standard output carries FastF1's warnings, one a line.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import fastf1
import fastf1.ergast
import pandas as pd
import polars as pl
from fastf1.exceptions import DataNotLoadedError, RateLimitExceededError

from loaders.providers.fastf1_cache import Download, private_cache, session_folder
from loaders.providers.fastf1_raw import UnusableError, raw_frame, raw_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

SPRINT_FORMATS: Final = ("sprint", "sprint_shootout", "sprint_qualifying")
"""FastF1's names of a sprint weekend: 2021 and 2022, 2023, since 2024."""

FIRST_SEASON: Final = 2018
"""Formula 1's timing archive begins with this season."""

MAX_DATE_DIFFERENCE: Final = timedelta(days=1)
"""FastF1's and Jolpica's date of one event may differ by a time zone, not by more."""

ORPHAN_GRACE_S: Final = 10.0
"""A child whose parent is gone ends itself this long after the time limit, in s."""


def load(request: Mapping[str, Any], download: Download) -> dict[str, pl.DataFrame]:
    """Load one session and give its raw tables by name.

    Args:
        request: see `main`.
        download: notes what could not be fetched.

    Raises:
        UnusableError: there is no such session, a part of it could not be fetched, or FastF1
            returned without results or laps, or the results are not the official ones of this
            event. What came in is then removed from the cache.
    """
    event, session_kind = _event(request["season"], request["round"]), request["session_kind"]
    if session_kind == "sprint" and event["EventFormat"] not in SPRINT_FORMATS:
        raise UnusableError(
            f"{event['EventName']} has no sprint (its format is {event['EventFormat']})",
            "Ask for the race.",
        )
    session = event.get_session("S" if session_kind == "sprint" else "R")
    offline = request["offline"]
    folder = session_folder(Path(request["cache"]), session.api_path)
    held_at = datetime.now(UTC) if pd.isna(session.date) else session.date.replace(tzinfo=UTC)
    with download.into(folder, held_at, offline=offline):
        session.load(telemetry=False)
        download.check(event["EventName"])
        return raw_tables(session)


def raw_tables(session: Any) -> dict[str, pl.DataFrame]:
    """Take the raw tables out of a loaded session, and see that they can be trusted.

    Args:
        session: FastF1's session, loaded; what was not loaded has no rows.

    Returns:
        A frame for each name of `fastf1_raw.RAW`.

    Raises:
        UnusableError: `trust` refuses it, or a column cannot be read.
    """
    parts = {
        name: raw_frame(name, _loaded(session, source))
        for name, source in (
            ("results", "results"),
            ("laps", "laps"),
            ("race_control", "race_control_messages"),
            ("weather", "weather_data"),
        )
    }
    facts = pl.DataFrame([_facts(session)], schema_overrides=raw_schema("facts"))
    trust(facts, parts["results"], parts["laps"])
    return {"facts": facts, **parts}


def trust(facts: pl.DataFrame, results: pl.DataFrame, laps: pl.DataFrame) -> None:
    """Refuse a session that came back empty, provisional, or mixed from two events.

    `Session.load` returns normally with nothing in it, or with no lap but those that it made up.
    Where positions are missing FastF1 numbers the cars itself, in the order of their last laps, so
    a position proves nothing: only Jolpica names a classified winner.
    """
    event = facts["event_name"].item()
    no_laps = laps["FastF1Generated"].fill_null(value=False).all()
    if results.is_empty() or no_laps:
        raise UnusableError(
            f"FastF1 came back from {event} without {'laps' if no_laps else 'results'}",
            "If the session is over, try again later or check the network: Formula 1 wants a "
            "signed-in reader (F1_USERNAME, F1_PASSWORD) and refuses cloud addresses. Offline, "
            "only cached sessions can be loaded.",
        )
    if not (results["ClassifiedPosition"] == "1").any():
        raise UnusableError(
            f"{event} has no official classification: positions are missing or provisional",
            "Jolpica publishes hours after the flag; try again then.",
        )
    date, jolpica_date = facts["event_date"].item(), facts["jolpica_date"].item()
    if jolpica_date is not None and abs(jolpica_date - date) > MAX_DATE_DIFFERENCE:
        raise UnusableError(
            f"FastF1 has {event} on {date}, Jolpica has this round on {jolpica_date}; timing and "
            "results would be of two races",
            "The calendar was renumbered: try again when both agree.",
        )


def _event(season: int, round_number: int) -> Any:
    """Find the event by its round number, never by a name."""
    if season < FIRST_SEASON:
        raise UnusableError(
            f"there is no timing before {FIRST_SEASON}", "Use another provider for this season."
        )
    try:
        schedule = fastf1.get_event_schedule(season, include_testing=False)
    except ValueError as error:
        raise UnusableError(
            f"the schedule of {season} is out of reach ({error})",
            "Check the network; offline, the schedule must be in the cache already.",
        ) from error
    try:
        return schedule.get_event_by_round(round_number)
    except ValueError as error:
        raise UnusableError(
            f"the season {season} has no round {round_number}",
            f"Its rounds are {', '.join(map(str, schedule['RoundNumber']))}.",
        ) from error


def _loaded(session: Any, name: str) -> Any:
    """Give a part of the session, or None when FastF1 did not load it."""
    try:
        return getattr(session, name)
    except DataNotLoadedError:
        return None


def _facts(session: Any) -> dict[str, Any]:
    """Collect what is known of the event; null where a source is silent."""
    info = _loaded(session, "session_info") or {}
    offset = info.get("GmtOffset")
    return {
        "event_name": session.event["EventName"],
        "event_date": session.event["EventDate"].date(),
        "starts_local": info.get("StartDate"),
        "gmt_offset": None if offset is None else offset // timedelta(milliseconds=1),
        "scheduled_laps": _loaded(session, "total_laps"),
        "meeting_key": info.get("Meeting", {}).get("Key"),
        "f1_session_key": info.get("Key"),
        **_jolpica_facts(session),
    }


def _jolpica_facts(session: Any) -> dict[str, Any]:
    """Read circuit and date from the answer that `Session.load` took the results from."""
    jolpica = fastf1.ergast.Ergast()
    ask = jolpica.get_race_results if session.name == "Race" else jolpica.get_sprint_results
    race = pd.DataFrame()
    try:
        race = ask(session.event.year, session.event["RoundNumber"]).description
    except RateLimitExceededError:
        raise
    except Exception as error:
        # the circuit is not worth the session
        logging.getLogger("fastf1").warning("circuit unknown", exc_info=error)
    return {
        "circuit_id": None if race.empty else race["circuitId"].iloc[0],
        "circuit_name": None if race.empty else race["circuitName"].iloc[0],
        "jolpica_date": None if race.empty else race["raceDate"].iloc[0].date(),
    }


def _telling(record: logging.LogRecord) -> bool:
    """Keep warnings, and the exceptions that a step of the load swallowed, each in one line."""
    error = record.exc_info[1] if record.exc_info else None
    swallowed = error is not None and record.getMessage().startswith("Traceback for failure")
    if error is not None:
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {error!r}", None, None
    return swallowed or record.levelno >= logging.WARNING


def main(request: Mapping[str, Any]) -> None:
    """Answer one request: write the raw tables, or the failure, to its folder.

    Args:
        request: season, round, session_kind, cache and answer (folders), offline, and limit_s,
            the parent's wall-clock limit.
    """
    os.umask(0o077)
    faulthandler.dump_traceback_later(request["limit_s"] + ORPHAN_GRACE_S, exit=True)
    download, log = Download(), logging.getLogger("fastf1")
    log.handlers = [logging.StreamHandler(sys.stdout)]
    log.handlers[0].addFilter(download.hear)  # before the next, which takes the exception off
    log.handlers[0].addFilter(_telling)
    answer = Path(request["answer"])
    try:
        download.start(private_cache(Path(request["cache"])), offline=request["offline"])
        tables = load(request, download)
        for name, frame in tables.items():
            frame.write_ipc(answer / f"{name}.arrow")
    except UnusableError as error:
        failure = error.cause, error.remedy
    except BaseException as error:  # noqa: BLE001 -- the library calls exit()
        remedy = "After a rate limit wait an hour; else delete the session's folder in its cache."
        failure = f"FastF1 ended with {error!r}", remedy
    else:
        return
    (answer / "failure.json").write_text(json.dumps(failure), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
