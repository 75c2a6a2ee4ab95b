"""What OpenF1 adds to a season's calendar, and that it does without OpenF1."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from engine.errors import ContractError
from engine.tables import CalendarSessions
from loaders import administration
from loaders.calendar import SeasonCalendar
from loaders.postgres import connect
from loaders.providers import ProviderError
from loaders.providers.openf1_calendar import (
    ListedMeeting,
    Merged,
    add_meetings,
    fetch_meetings,
    meeting_rows,
)
from loaders.providers.openf1_records import Session
from tests.replay import Replay, body, edited, refused, replay, status
from tests.warehouse import ask, start_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loaders.settings import Settings
    from tests.replay import Answer

NEW_YORK, LAS_VEGAS = "-04:00:00", "-08:00:00"


def weekend(key: int, name: str, start: str, **values: Any) -> tuple[ListedMeeting, list[Session]]:
    """A meeting with one Grand Prix; `sessions` names others, `offset` is that from UTC."""
    offset, names = values.pop("offset", "02:00:00"), values.pop("sessions", ["Race"])
    meeting = {
        "meeting_key": key,
        "meeting_name": name,
        "date_start": start,
        "date_end": start,
        "gmt_offset": offset,
        **values,
    }
    sessions = [
        {
            "session_key": 10 * key + number,
            "meeting_key": key,
            "session_name": session,
            "date_start": start,
            "gmt_offset": offset,
        }
        for number, session in enumerate(names)
    ]
    return ListedMeeting.model_validate(meeting), [Session.model_validate(s) for s in sessions]


def listed(*weekends: tuple[ListedMeeting, list[Session]]) -> pl.DataFrame:
    """What OpenF1 lists of 2026."""
    sessions = [session for _, of_meeting in weekends for session in of_meeting]
    return meeting_rows(2026, [meeting for meeting, _ in weekends], sessions)


def jolpica(*races: tuple[int, str, str, str], kind: str = "race") -> pl.DataFrame:
    """Jolpica's calendar: round, name, circuit and start in UTC; a date has no time yet."""
    rows = [
        {
            "season": 2026,
            "round": number,
            "session_kind": kind,
            "event_name": name,
            "circuit_id": circuit,
            "session_date": date.fromisoformat(start[:10]),
            "starts_at": datetime.fromisoformat(start) if len(start) > 10 else None,
            "meeting_key": None,
            "is_cancelled": False,
        }
        for number, name, circuit, start in races
    ]
    return pl.DataFrame(rows, schema=CalendarSessions.create_empty().schema)


def keys(merged: Merged) -> list[tuple[int | None, str, int | None, bool]]:
    """Round, kind, key and cancellation, in the order of the merged calendar."""
    SeasonCalendar.validate(merged.calendar)
    columns = ("round", "session_kind", "meeting_key", "is_cancelled")
    return merged.calendar.select(columns).rows()


MIAMI = (4, "Miami Grand Prix", "miami", "2026-05-03T20:00:00Z")
AUSTIN = (17, "United States Grand Prix", "americas", "2026-10-25T20:00:00Z")


def test_two_meetings_in_one_country_are_told_by_their_date() -> None:
    """Miami and Austin, and a start that moved by three hours."""
    meetings = listed(
        weekend(1297, "United States Grand Prix", "2026-10-25T20:00:00+00:00", offset=NEW_YORK),
        weekend(1284, "Miami Grand Prix", "2026-05-03T17:00:00+00:00", offset=NEW_YORK),
    )
    merged = add_meetings(jolpica(MIAMI, AUSTIN), meetings)
    assert keys(merged) == [(4, "race", 1284, False), (17, "race", 1297, False)]
    assert merged.warnings == ()


@pytest.mark.parametrize(
    "start", ["2026-11-22T04:00:00Z", "2026-11-21T04:00:00Z", "2026-11-22", "2026-11-21"]
)
def test_las_vegas_is_found_by_either_date(start: str) -> None:
    """Saturday night there, Sunday in UTC; some calendars mix one's date and the other's time."""
    vegas = weekend(1301, "Las Vegas Grand Prix", "2026-11-22T04:00:00+00:00", offset=LAS_VEGAS)
    assert listed(vegas)["session_date"].to_list() == [date(2026, 11, 21)]
    merged = add_meetings(jolpica((20, "Las Vegas Grand Prix", "vegas", start)), listed(vegas))
    assert keys(merged) == [(20, "race", 1301, False)]


def test_a_sprint_is_matched_with_the_sprint() -> None:
    """Other sessions of the weekend are none of ours."""
    names = ["Practice 1", "Sprint Qualifying", "Sprint", "Qualifying", "Race"]
    meeting = weekend(1284, "Miami Grand Prix", "2026-05-02T16:00:00+00:00", sessions=names)
    assert sorted(listed(meeting)["session_kind"].cast(pl.String)) == ["race", "sprint"]
    day_before = (*MIAMI[:3], "2026-05-02T16:00:00Z")
    calendar = pl.concat([jolpica(MIAMI), jolpica(day_before, kind="sprint")])
    # the race of 20:00 on the third is 28 hours from OpenF1's, which has both on the second
    merged = add_meetings(calendar, listed(meeting))
    assert keys(merged) == [(4, "race", None, False), (4, "sprint", 1284, False)]
    assert [sentence.partition(" ")[2][:11] for sentence in merged.warnings] == [
        "has Miami G",
        "has no meet",
    ]


@pytest.mark.parametrize("values", [{}, {"is_cancelled": True, "sessions": []}])
def test_tests_are_left_out(values: dict[str, Any]) -> None:
    """A test is a meeting without a race; a cancelled one is no cancelled race."""
    days = {"sessions": ["Day 1", "Day 2"], **values}
    test = weekend(1300, "Pre-Season Testing", "2026-05-03T09:00:00+00:00", **days)
    merged = add_meetings(jolpica(MIAMI), listed(test))
    assert keys(merged) == [(4, "race", None, False)]
    assert merged.warnings == (
        "OpenF1 has no meeting for Miami Grand Prix, race of 2026-05-03 (2026-4)",
    )


BAHRAIN = (4, "Bahrain Grand Prix", "bahrain", "2026-04-12T15:00:00Z")
APRIL, OCTOBER = "2026-04-12T15:00:00+00:00", "2026-10-04T07:00:00+00:00"


@pytest.mark.parametrize("sessions", [["Race"], []])
def test_a_cancelled_weekend_has_a_row_without_round(sessions: list[str]) -> None:
    """Jolpica does not list it any more; OpenF1 may, with or without its sessions."""
    gone = weekend(1282, "Bahrain Grand Prix", APRIL, is_cancelled=True, sessions=sessions)
    held = weekend(1284, "Miami Grand Prix", "2026-05-03T20:00:00+00:00")
    merged = add_meetings(jolpica(MIAMI), listed(gone, held))
    assert keys(merged) == [(4, "race", 1284, False), (None, "race", 1282, True)]
    assert merged.warnings == ()
    cancelled = merged.calendar.row(1, named=True)
    assert (cancelled["circuit_id"], cancelled["session_date"]) == (None, date(2026, 4, 12))
    start = datetime(2026, 4, 12, 15, tzinfo=UTC) if sessions else None
    assert cancelled["starts_at"] == start


def test_a_cancelled_sprint_of_a_race_that_is_held() -> None:
    """The session is cancelled, not the meeting."""
    meeting, (race,) = weekend(1284, "Miami Grand Prix", "2026-05-03T20:00:00+00:00")
    sprint = race.model_copy(
        update={"session_key": 2, "session_name": "Sprint", "is_cancelled": True}
    )
    merged = add_meetings(jolpica(MIAMI), listed((meeting, [race, sprint])))
    assert keys(merged) == [(4, "race", 1284, False), (None, "sprint", 1284, True)]


def test_jolpicas_word_stands_for_what_it_lists() -> None:
    """The session is of the cancelled meeting, stays in its round, and the doubt is told."""
    gone = weekend(1282, "Bahrain Grand Prix", APRIL, is_cancelled=True)
    merged = add_meetings(jolpica(BAHRAIN), listed(gone))
    assert keys(merged) == [(4, "race", 1282, False)]
    (warning,) = merged.warnings
    assert warning == (
        "OpenF1 calls Bahrain Grand Prix, race of 2026-04-12 (2026-4, f1-1282) cancelled; Jolpica "
        "lists it as to be held, and its word stands"
    )


@pytest.mark.parametrize("has_own_meeting", [True, False])
def test_a_race_in_the_place_of_a_cancelled_one_is_another(*, has_own_meeting: bool) -> None:
    """Same day, other name: the key of what was cancelled is not its key."""
    meetings = [weekend(1282, "Bahrain Grand Prix", APRIL, is_cancelled=True)]
    if has_own_meeting:
        meetings.append(weekend(1299, "Sakhir Grand Prix", APRIL))
    calendar = jolpica((4, "Sakhir Grand Prix", "bahrain", "2026-04-12T15:00:00Z"))
    found = keys(add_meetings(calendar, listed(*meetings)))
    assert found == [
        (4, "race", 1299 if has_own_meeting else None, False),
        (None, "race", 1282, True),
    ]


def test_a_moved_race() -> None:
    """Moved in one calendar only it has no key, and both are told; then it has its old one."""
    moved = jolpica((16, "Bahrain Grand Prix", "sepang", "2026-10-04T07:00:00Z"))
    early = add_meetings(moved, listed(weekend(1282, "Bahrain Grand Prix", APRIL)))
    assert keys(early) == [(16, "race", None, False)]
    theirs, ours = early.warnings
    assert theirs == (
        "OpenF1 has Bahrain Grand Prix, race of 2026-04-12 (f1-1282), which fits no session of "
        "Jolpica's calendar; it was left out"
    )
    assert ours == "OpenF1 has no meeting for Bahrain Grand Prix, race of 2026-10-04 (2026-16)"
    late = add_meetings(moved, listed(weekend(1282, "Bahrain Grand Prix", OCTOBER)))
    assert keys(late) == [(16, "race", 1282, False)]
    cancelled_and_new = listed(
        weekend(1282, "Bahrain Grand Prix", APRIL, is_cancelled=True),
        weekend(1299, "Bahrain Grand Prix", OCTOBER),
    )
    assert keys(add_meetings(moved, cancelled_and_new)) == [
        (16, "race", 1299, False),
        (None, "race", 1282, True),
    ]


def test_what_contradicts_itself_has_no_key() -> None:
    """Sprint and race of one round in two meetings; one meeting for two rounds."""
    sprint = jolpica((4, MIAMI[1], MIAMI[2], "2026-05-02T16:00:00Z"), kind="sprint")
    torn = listed(
        weekend(1284, "Miami Grand Prix", "2026-05-03T20:00:00+00:00"),
        weekend(1285, "Miami Sprint", "2026-05-02T16:00:00+00:00", sessions=["Sprint"]),
    )
    merged = add_meetings(pl.concat([jolpica(MIAMI), sprint]), torn)
    assert {key for _, _, key, _ in keys(merged)} == {None}
    assert sum("contradict each other" in sentence for sentence in merged.warnings) == 2
    twice = jolpica(MIAMI, (5, "Miami Grand Prix", "miami", "2026-05-03T21:00:00Z"))
    assert {key for _, _, key, _ in keys(add_meetings(twice, torn.head(2)))} == {None}


# The service


@pytest.fixture(scope="module")
def server(realdata: Path) -> Iterator[Replay]:
    """A replay of both services."""
    with replay(realdata) as running:
        yield running


@pytest.fixture
def replayed(warehouse_settings: Settings, server: Replay, tmp_path: Path) -> Settings:
    """Settings that ask the replay, with an empty warehouse and an empty cache."""
    server.reset()
    with connect(warehouse_settings) as connection:
        start_over(connection)
    (tmp_path / "pg").symlink_to(warehouse_settings.home / "pg")
    return warehouse_settings.model_copy(
        update={
            "home": tmp_path,
            "openf1_url": server.openf1_url,
            "jolpica_url": server.jolpica_url,
            "allow_loopback": True,
            "http_timeout_s": 2.0,
        }
    )


@pytest.mark.realdata
def test_a_season_has_its_meeting_keys(replayed: Settings) -> None:
    """2023: each of the 22 Grands Prix, Las Vegas among them, has one.

    The recorded weekends lack the six sprints, which is told; they are of their races' events.
    """
    report = administration.sync_season(replayed, 2023)
    assert (len(report.added), report.unchanged, report.cancelled) == (28, 0, ())
    lacking = {sentence.rpartition(" ")[2] for sentence in report.warnings}
    assert lacking == {f"(2023-{number}-sprint)" for number in (4, 9, 12, 17, 18, 20)}
    stored = administration.read_calendar(replayed, 2023)
    assert stored["status"].unique().to_list() == ["scheduled"]
    events = stored.filter(pl.col("event_key").str.contains(r"^f1-\d+$"))
    assert (events.height, events["event_key"].n_unique()) == (28, 22)
    vegas = stored.filter(event_name="Las Vegas Grand Prix")
    assert vegas["starts_at"].to_list() == [datetime(2023, 11, 19, 6, tzinfo=UTC)]
    again = administration.sync_season(replayed, 2023)
    assert (again.added, again.unchanged) == ((), 28)


def imola(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the weekend that was cancelled in 2023, as the service lists it."""
    place = {**rows[0], "meeting_key": 1209, "gmt_offset": "02:00:00", "is_cancelled": True}
    start = datetime(2023, 5, 21, 13, tzinfo=UTC)
    if "session_key" in place:
        names = {"session_key": 9087, "session_name": "Race", "session_type": "Race"}
    else:
        names = {"meeting_name": "Emilia Romagna Grand Prix"}
    ends = start + timedelta(hours=2)
    return [
        *rows,
        {**place, **names, "date_start": start.isoformat(), "date_end": ends.isoformat()},
    ]


@pytest.mark.realdata
def test_imola_2023_is_cancelled(replayed: Settings, server: Replay) -> None:
    """A row without round, whose key lasts; the rounds around it are Jolpica's."""
    for endpoint in ("meetings", "sessions"):
        server.fail(f"{endpoint}?year=2023", edited(imola), times=None)
    report = administration.sync_season(replayed, 2023)
    assert (len(report.added), report.cancelled) == (28, ("f1-1209",))
    stored = administration.read_calendar(replayed, 2023).filter(status="cancelled")
    assert stored.select("round", "event_name", "status_reason").rows() == [
        (None, "Emilia Romagna Grand Prix", "cancelled in the calendar")
    ]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (status(401), "openf1 2023: session in progress, the service is locked (HTTP 401)"),
        (status(429, retry_after="600"), "HTTP 429"),
        (body(b'[{"meeting_key": "x"}]'), "meetings: 1 of 1 rows from openf1 2023 break"),
        (body(b"[]"), "no calendar is published"),
    ],
)
def test_a_season_is_synchronized_without_openf1(
    replayed: Settings, server: Replay, fault: Callable[[Answer], Answer], says: str
) -> None:
    """And the report says why keys are not known."""
    server.fail("/v1/", fault, times=None)
    report = administration.sync_season(replayed, 2023)
    assert len(report.added) == 28
    (warning,) = report.warnings
    assert warning.startswith("meeting keys and cancellations are not known from OpenF1: ")
    assert says in warning
    assert "\n" not in warning
    server.reset()
    later = administration.sync_season(replayed, 2023)
    assert (later.unchanged, later.added, later.renamed) == (28, (), {})
    with connect(replayed) as connection:
        assert ask(connection, FORMULA_1S_KEYS).item() == 22


FORMULA_1S_KEYS = "select count(*) from core.event_aliases where alias ~ '^f1-'"


@pytest.mark.realdata
def test_nobody_listens(replayed: Settings) -> None:
    """The service is out of reach, or too young: each is said."""
    away = replayed.model_copy(update={"openf1_url": refused()})
    with pytest.raises(ProviderError, match="Connection refused"):
        fetch_meetings(2023, away)
    old = administration.sync_season(away, 2019)
    assert len(old.added) == 21
    assert old.warnings[0].endswith("openf1 2019: OpenF1 has no data before 2023.")


@pytest.mark.realdata
def test_a_meeting_without_a_name_is_refused(replayed: Settings, server: Replay) -> None:
    """What no calendar can hold ends where it comes from."""
    server.fail(
        "meetings", edited(lambda rows: [{**row, "meeting_name": ""} for row in rows]), times=None
    )
    with pytest.raises(ContractError, match="meeting_name"):
        fetch_meetings(2023, replayed)
