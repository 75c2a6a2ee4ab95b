"""Jolpica's API in Ergast's shape: what every reader of it shares.

A page holds at most a hundred rows; the pages of one answer must fit together without a gap or a
repeat. Every value is a text. Limits of the service: we keep to 3 requests a second and 180 an
hour, below what it states.
"""

from __future__ import annotations

from datetime import date, time
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pyrate_limiter import Duration, Rate

from engine.tables import ID_PATTERN
from loaders.http import Source
from loaders.providers import ProviderError
from loaders.strict_json import Record, read_json, validate_records

if TYPE_CHECKING:
    from engine.tables import SessionKey
    from loaders.http import Client, Reply
    from loaders.settings import Settings

NAME: Final = "jolpica"

RATES: Final = (Rate(3, Duration.SECOND), Rate(180, Duration.HOUR))
"""Most requests in a second and in an hour; the service allows 4 and, since August 2026, 200."""

PAGE_ROWS: Final = 100
"""Rows asked for at once, which is the most the service gives."""

MAX_ROWS: Final = 5000
"""Rows of one answer, beyond which it is no race: the longest have had under 3000 laps."""

SHOWN_CHARACTERS: Final = 300
"""Length to which the service's own words are cut in an error message."""


def _checked_date(text: str) -> str:
    date.fromisoformat(text)
    return text


def _checked_time(text: str) -> str:
    time.fromisoformat(text)
    return text


Digits = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
CarNumber = Annotated[str, Field(pattern=r"^[0-9]{1,3}$")]
Points = Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,4})?$")]
Id = Annotated[str, Field(pattern=ID_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
ShortText = Annotated[str, Field(max_length=100)]
Clock = Annotated[str, Field(pattern=r"^(([0-9]{1,2}:)?[0-9]{1,2}:)?[0-9]{1,5}\.[0-9]{1,3}$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_checked_date)]
TimeOfDay = Annotated[str, Field(pattern=r"^\d{2}:\d{2}:\d{2}Z$"), AfterValidator(_checked_time)]


class Document(Record):
    """Base of what the service sends; its names are written in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class Moment(Document):
    """When a session of the weekend is due (UTC)."""

    date: Day
    time: TimeOfDay | None = None


class Circuit(Document):
    """Where the race is."""

    circuit_id: Id
    circuit_name: Annotated[str, Field(min_length=1, max_length=200)]


class Driver(Document):
    """Who drives."""

    driver_id: Id
    code: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,4}$")] | None = None
    given_name: Name
    family_name: Name

    @property
    def full_name(self) -> str:
        """Given and family name."""
        return f"{self.given_name} {self.family_name}"


class Constructor(Document):
    """Whose car it is."""

    constructor_id: Id
    name: Name


class Entered(Document):
    """A driver with the car of that day: what results and qualifying have in common."""

    number: CarNumber | None = None
    driver: Driver = Field(alias="Driver")
    constructor: Constructor = Field(alias="Constructor")


class Race(Document):
    """A race of the schedule; the rows of an answer hang below it."""

    season: Digits
    round: Digits
    race_name: Annotated[str, Field(min_length=1, max_length=200)]
    circuit: Circuit = Field(alias="Circuit")
    date: Day
    time: TimeOfDay | None = None
    sprint: Moment | None = Field(default=None, alias="Sprint")
    results: list[Any] = Field(default=[], alias="Results")
    sprint_results: list[Any] = Field(default=[], alias="SprintResults")
    qualifying_results: list[Any] = Field(default=[], alias="QualifyingResults")
    pit_stops: list[Any] = Field(default=[], alias="PitStops")
    laps: list[_Lap] = Field(default=[], alias="Laps")


class _Lap(Document):
    number: Digits
    timings: list[Any] = Field(alias="Timings")


class _RaceTable(Document):
    races: list[Race] = Field(alias="Races", max_length=1)


class _Page(Document):
    limit: Digits
    offset: Digits
    total: Digits
    race_table: _RaceTable = Field(alias="RaceTable")


class _Answer(Document):
    page: _Page = Field(alias="MRData")


class Rows(NamedTuple):
    """What an endpoint says of one race: the race, None if there is none, and all its rows."""

    race: Race | None
    rows: list[Any]


def source(settings: Settings) -> Source:
    """Say where the service is and how often it may be asked."""
    return Source(NAME, settings.jolpica_url, RATES)


def ask(client: Client, session: SessionKey, endpoint: str) -> Rows:
    """Collect all pages that an endpoint has on the session's race.

    Args:
        client: opened for `source`.
        session: gives season and round.
        endpoint: races, results, sprint, qualifying, laps or pitstops.

    Returns:
        The race of the first page and the rows of all pages in order, not validated yet; a lap's
        timings each with the lap's ``number``. For ``races`` there are no rows.

    Raises:
        ProviderError: no answer, an answer about another race, or pages that do not fit together.
        ContractError: an answer that cannot be read.
    """
    path = f"{session.season}/{session.round}/{endpoint}.json"
    found = Rows(None, [])
    total, offset = 1, 0
    while offset < total:
        page = _page(client.get(path, limit=PAGE_ROWS, offset=offset), session, endpoint)
        race = next(iter(page.race_table.races), None)
        rows = [] if race is None else _rows(race, endpoint)
        if offset == 0:
            total = int(page.total)
            found = Rows(race, [])
        fault = _page_fault(page, None if endpoint == "races" else len(rows), offset, total)
        if race is not None and (int(race.season), int(race.round)) != session[:2]:
            fault = f"the answer is about {race.season}-{race.round}"
        if fault:
            raise _unusable(session, endpoint, fault)
        found.rows.extend(rows)
        offset += PAGE_ROWS
    return found


def _page(reply: Reply, session: SessionKey, endpoint: str) -> _Page:
    """Read one page; a 404 with the service's own words."""
    origin = f"{NAME} {session.session_id}"
    document = read_json(reply.content, origin, endpoint)
    if reply.status == 404:
        said = document.get("detail") if isinstance(document, dict) else None
        words = f": {said[:SHOWN_CHARACTERS]}" if isinstance(said, str) else ""
        raise _unusable(session, endpoint, f"nothing is there (HTTP 404){words}")
    return validate_records([document], _Answer, origin, endpoint)[0].page


def _rows(race: Race, endpoint: str) -> list[Any]:
    """The rows below a race; timings with the number of their lap."""
    if endpoint == "laps":
        return [
            {**timing, "number": lap.number} if isinstance(timing, dict) else timing
            for lap in race.laps
            for timing in lap.timings
        ]
    rows: dict[str, list[Any]] = {
        "results": race.results,
        "sprint": race.sprint_results,
        "qualifying": race.qualifying_results,
        "pitstops": race.pit_stops,
    }
    return rows.get(endpoint, [])


def _page_fault(page: _Page, rows: int | None, offset: int, total: int) -> str:
    """Say why a page is not the one asked for, or not whole; empty if it is."""
    expected = max(0, min(PAGE_ROWS, total - offset))
    if int(page.total) != total or total > MAX_ROWS:
        return f"the number of rows is {page.total} after it was {total}; at most {MAX_ROWS}"
    if int(page.offset) != offset:
        return f"the page from row {offset} was asked for, the one from {page.offset} came"
    if rows is not None and rows != expected:
        return f"the page from row {offset} has {rows} rows instead of {expected}"
    return ""


def _unusable(session: SessionKey, endpoint: str, fault: str) -> ProviderError:
    return ProviderError(
        f"{NAME} {session.session_id}: {endpoint}: {fault}.\nNothing was loaded. Check the season "
        "and the round; results come hours, laps sometimes days after a race: try again later."
    )
