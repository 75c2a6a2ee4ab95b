"""OpenF1: what its answers become, row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from engine.errors import ContractError
from engine.tables import SessionKey
from loaders.jolpica_api import Race
from loaders.providers import ProviderError, openf1
from loaders.providers.openf1_entries import parse_entries
from loaders.providers.openf1_laps import parse_laps
from loaders.providers.openf1_records import raw_schema
from loaders.settings import Settings
from tests.openf1_rows import (
    ENTRANTS,
    FACTS,
    RACE,
    ZERO,
    answers,
    at,
    frame,
    lap,
    message,
    result,
)

if TYPE_CHECKING:
    from pathlib import Path

    Rows = list[dict[str, Any]]

SPRINT = SessionKey(2024, 5, "sprint")
LIGHTS_S = 7200.0
"""Session clock of the scheduled start, in s."""


def entries(**rows: Rows) -> dict[str, dict[str, Any]]:
    """Parsed entries by driver."""
    parsed = parse_entries(RACE, answers(**rows), ENTRANTS)
    return {row["driver_id"]: row for row in parsed.to_dicts()}


def laps_of(*results: dict[str, Any], **rows: Rows) -> pl.DataFrame:
    """Parsed laps, by driver and lap; by default of one car that ran 3 laps."""
    raw = answers(session_result=list(results or (result(),)), **rows)
    entered = parse_entries(RACE, raw, ENTRANTS)
    return parse_laps(RACE, raw, entered, pl.lit(ZERO))


def clocks_s(laps: pl.DataFrame) -> list[tuple[int, float, float | None]]:
    """Lap, start and end, in s after lights-out."""
    seconds = pl.col("lap_start_ms", "lap_end_ms") / 1000 - LIGHTS_S
    return laps.select("lap_number", seconds.round(3)).rows()


# --- reading ------------------------------------------------------------------------------------


def test_a_missing_field_is_named() -> None:
    """Without its lap number a lap is no lap."""
    with pytest.raises(ContractError, match="lap_number: Field required: 1 row"):
        frame("laps", {"driver_number": 4, "lap_duration": 90.5})


@pytest.mark.parametrize("car", [4.0, "4", True, None, -1, 1000])
def test_a_car_number_is_a_whole_number_of_three_digits(car: object) -> None:
    """4.0 is refused too: a service that sends it has changed its mind about the field."""
    with pytest.raises(ContractError, match="driver_number"):
        frame("drivers", {"driver_number": car})


def test_unknown_fields_are_left_out_and_whole_seconds_are_seconds() -> None:
    """OpenF1 adds fields at any time, and writes 90.0 as 90."""
    read = frame("laps", {**lap(1, 0, 90), "weight_kg": 798})
    assert read.columns == list(raw_schema("laps"))
    assert read["lap_duration"].to_list() == [90.0]


@pytest.mark.parametrize(
    "moment", ["2024-05-05T20:00:00", "2024-05-05", 1714939200, "0001-01-01T00:00:00+00:00", ""]
)
def test_a_moment_has_an_offset_and_a_sane_year(moment: object) -> None:
    """A moment without offset could mean any hour."""
    with pytest.raises(ContractError, match="date"):
        frame("position", {"driver_number": 4, "date": moment, "position": 1})


def test_a_moment_may_have_any_fraction_and_offset() -> None:
    """Messages have whole seconds, laps microseconds; both are kept in UTC to the ms."""
    dates = ["2024-05-05T20:00:00+00:00", "2024-05-05T22:00:00.1239+02:00"]
    read = frame("weather", *({"date": text} for text in dates))
    assert read["date"].dt.epoch("ms").diff().to_list() == [None, 123]


# --- event and session --------------------------------------------------------------------------


def meetings() -> pl.DataFrame:
    """A year as OpenF1 lists it: two tests, a cancelled weekend, three rounds, in no order."""
    named = [
        (30, "Pre-Season Testing", "2024-02-21", None),
        (31, "Emilia Pre-Season", "2024-02-28", None),
        (12, "Bahrain Grand Prix", "2024-02-29", False),
        (11, "Saudi Arabian Grand Prix", "2024-03-07", True),
        (10, "Australian Grand Prix", "2024-03-22", False),
        (9, "Japanese Grand Prix", "2024-04-05", None),
    ]
    return frame(
        "meetings",
        *(
            {
                "meeting_key": key,
                "meeting_name": name,
                "date_start": f"{day}T10:00:00+00:00",
                "is_cancelled": is_off,
            }
            for key, name, day, is_off in named
        ),
    )


@pytest.mark.parametrize(("number", "name"), [(1, "Bahrain"), (2, "Australian"), (3, "Japanese")])
def test_rounds_are_counted_by_date_without_tests_and_cancelled_weekends(
    number: int, name: str
) -> None:
    """OpenF1 has no round numbers, and its keys are not in order."""
    found = openf1.find_meeting(SessionKey(2024, number), meetings())
    assert found["meeting_name"].item() == f"{name} Grand Prix"


def test_a_round_beyond_the_calendar_is_refused() -> None:
    """The text says how many there are."""
    with pytest.raises(ProviderError, match="2024 has 3 rounds"):
        openf1.find_meeting(SessionKey(2024, 4), meetings())


def sessions_of_sprint_weekend() -> pl.DataFrame:
    """The sessions of a sprint weekend."""
    names = ["Practice 1", "Sprint Qualifying", "Sprint", "Qualifying", "Race"]
    return frame(
        "sessions",
        *({**FACTS, "session_key": key, "session_name": name} for key, name in enumerate(names, 1)),
    )


def test_the_sprint_is_not_its_qualifying() -> None:
    """Names are compared whole."""
    assert openf1.find_session(SPRINT, sessions_of_sprint_weekend())["session_key"].item() == 3
    assert openf1.find_session(RACE, sessions_of_sprint_weekend())["session_key"].item() == 5


def test_a_weekend_without_a_sprint_or_with_a_cancelled_race_has_none() -> None:
    """Neither is a failure of the service."""
    with pytest.raises(ProviderError, match="'Sprint' is listed 0 times"):
        openf1.find_session(SPRINT, frame("sessions", FACTS))
    with pytest.raises(ProviderError, match="'Race' is cancelled"):
        openf1.find_session(RACE, frame("sessions", {**FACTS, "is_cancelled": True}))


def test_the_grid_hangs_on_the_qualifying_session() -> None:
    """Two grids in a sprint weekend: each session takes its own qualifying's."""
    slots = [{"session_key": key, "driver_number": 4, "position": place} for key, place in
             ((2, 7), (4, 9))]  # fmt: skip
    grids = frame("starting_grid", *slots)
    listed = sessions_of_sprint_weekend()
    assert openf1.find_grid(SPRINT, listed, grids)["position"].to_list() == [7]
    assert openf1.find_grid(RACE, listed, grids)["position"].to_list() == [9]


def test_the_only_grid_of_a_weekend_is_the_races() -> None:
    """Where the qualifying session is not listed; two unlisted grids could be anybody's."""
    only_race = frame("sessions", FACTS)
    slot = {"session_key": 77, "driver_number": 4, "position": 9}
    one, two = (
        frame("starting_grid", slot),
        frame("starting_grid", slot, {**slot, "session_key": 8}),
    )
    assert openf1.find_grid(RACE, only_race, one).height == 1
    assert openf1.find_grid(RACE, only_race, two).is_empty()
    assert openf1.find_grid(SPRINT, only_race, one).is_empty()


def jolpica_race(day: str, sprint_day: str | None = None) -> Race:
    """A round of Jolpica's schedule."""
    document = {
        "season": "2024",
        "round": "5",
        "raceName": "Miami Grand Prix",
        "Circuit": {"circuitId": "miami", "circuitName": "Miami International Autodrome"},
        "date": day,
        **({"Sprint": {"date": sprint_day}} if sprint_day else {}),
    }
    return Race.model_validate(document)


def test_calendars_may_differ_by_midnight_only() -> None:
    """Las Vegas runs on another UTC date than its own."""
    raw = answers()
    for day in ("2024-05-04", "2024-05-05", "2024-05-06"):
        openf1.check_calendar(RACE, raw, jolpica_race(day))
    with pytest.raises(ProviderError, match=r"'Miami Grand Prix' on 2024-05-05.*on 2024-05-12"):
        openf1.check_calendar(RACE, raw, jolpica_race("2024-05-12"))
    with pytest.raises(ProviderError, match="Jolpica no such session"):
        openf1.check_calendar(RACE, raw, None)


def test_a_sprint_is_compared_with_the_sprints_date() -> None:
    """Which is not the race's."""
    raw = answers(sessions=[{**FACTS, "date_start": "2024-05-03T20:00:00+00:00"}])
    openf1.check_calendar(SPRINT, raw, jolpica_race("2024-05-05", "2024-05-03"))
    with pytest.raises(ProviderError, match="no such session"):
        openf1.check_calendar(SPRINT, raw, jolpica_race("2024-05-05"))


def test_a_session_has_its_local_date_and_jolpicas_circuit() -> None:
    """20:00 UTC is 16:00 in Miami; a sprint that starts at 01:00 UTC is the day before."""
    late = {**FACTS, "date_start": "2024-05-06T01:00:00+00:00"}
    row = openf1.parse_session(RACE, answers(sessions=[late]), jolpica_race("2024-05-05")).row(
        0, named=True
    )
    assert row["session_date"].isoformat() == "2024-05-05"
    assert (row["circuit_id"], row["circuit_name"]) == ("miami", "Miami International Autodrome")
    assert (row["meeting_key"], row["f1_session_key"]) == (1236, 9523)
    assert row["scheduled_laps"] is None
    alone = openf1.parse_session(RACE, answers()).row(0, named=True)
    assert (alone["circuit_id"], alone["circuit_name"]) == (None, "Miami")


def test_seasons_before_2023_are_refused_unasked(tmp_path: Path) -> None:
    """There is nothing to ask."""
    with pytest.raises(ProviderError, match="no data before 2023"):
        openf1.fetch(SessionKey(2022, 5), Settings(home=tmp_path, openf1_url="http://nowhere"))


# --- classification -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected", "is_classified"),
    [
        ({"position": 2, "gap_to_leader": 7.152}, "finished", True),
        ({"position": 2, "gap_to_leader": "+1 LAP"}, "lapped", True),
        ({"position": 2, "gap_to_leader": "+11 LAPS"}, "lapped", True),
        ({"position": 2, "number_of_laps": 2}, "lapped", True),
        ({"position": None, "dnf": True, "number_of_laps": 1}, "retired", False),
        ({"position": 18, "dnf": True, "number_of_laps": 2}, "retired", True),
        ({"position": None, "dns": True, "number_of_laps": 0}, "did_not_start", False),
        ({"position": None, "dsq": True}, "disqualified", False),
        ({"position": 2, "dsq": True}, "disqualified", False),
        ({"position": None}, "unknown", False),
    ],
)
def test_status_follows_the_flags_then_the_laps(
    row: dict[str, Any], expected: str, is_classified: bool
) -> None:
    """Against a winner of 3 laps."""
    parsed = entries(session_result=[result(), result(**{"car": 1, **row})])["max_verstappen"]
    assert (parsed["status"], parsed["is_classified"]) == (expected, is_classified)


@pytest.mark.parametrize(("last_s", "status"), [(600.0, "lapped"), (500.0, "retired")])
def test_a_classified_car_last_timed_long_before_the_flag_had_stopped(
    last_s: float, status: str
) -> None:
    """The winner's lap 9 ends at 810 s; the other's last lap of 90 s begins at 600 or 500 s."""
    results = [result(4, 1, number_of_laps=9), result(1, 2, number_of_laps=8)]
    laps = [lap(9, 720.0, 90.0), lap(8, last_s, 90.0, driver_number=1)]
    assert entries(session_result=results, laps=laps)["max_verstappen"]["status"] == status


@pytest.mark.parametrize(
    ("gap", "duration", "expected"),
    [
        (0, 5599.273, 5_599_273),
        (3.264, 5602.537, 5_602_537),
        (3.264, None, 5_602_537),
        ("3.264", None, 5_602_537),
        (None, 5602.537, 5_602_537),
        ("+1 LAP", None, None),
        ("inf", None, None),
        (None, None, None),
    ],
)
def test_race_time_is_the_winners_plus_the_gap(
    gap: object, duration: float | None, expected: int | None
) -> None:
    """The gap is a number, "+1 LAP" or null; the own duration may be missing."""
    rows = [result(4, 1, duration=5599.273, gap_to_leader=0),
            result(1, 2, duration=duration, gap_to_leader=gap)]  # fmt: skip
    assert entries(session_result=rows)["max_verstappen"]["race_time_ms"] == expected


def test_unclassified_cars_follow_by_laps_then_non_starters_then_excluded() -> None:
    """As in the official order; the excluded winner on the road is last."""
    rows = [
        result(4, 1),
        result(1, None, dsq=True, number_of_laps=3),
        result(44, None, dns=True, number_of_laps=0),
        result(81, None, dnf=True, number_of_laps=2),
    ]
    parsed = entries(session_result=rows)
    places = {driver: row["position"] for driver, row in parsed.items()}
    assert places == {"norris": 1, "piastri": 2, "hamilton": 3, "max_verstappen": 4}


def test_cars_that_ran_equally_far_stand_in_their_running_order_if_it_is_known() -> None:
    """The last messages decide; without one of them nobody knows."""
    rows = [result(4, 1), *(result(car, None, dnf=True, number_of_laps=2) for car in (44, 81))]
    places = [
        {"driver_number": car, "date": at(second), "position": place}
        for car, second, place in ((44, 0, 2), (81, 0, 3), (81, 60, 2), (44, 61, 3))
    ]
    known = entries(session_result=rows, position=places)
    assert (known["piastri"]["position"], known["hamilton"]["position"]) == (2, 3)
    unknown = entries(session_result=rows, position=places[:1])
    assert (unknown["piastri"]["position"], unknown["hamilton"]["position"]) == (None, None)


def test_a_first_lap_out_of_the_pit_lane_is_a_start_from_there() -> None:
    """Such a car has a slot in OpenF1's grid, and none on the road."""
    rows = {
        "session_result": [result(4, 1), result(1, 2), result(44, 3)],
        "starting_grid": [{"session_key": 1, "driver_number": car, "position": place}
                          for car, place in ((4, 1), (1, 20))],
        "laps": [lap(1, 0, None, driver_number=car, is_pit_out_lap=car == 1)
                 for car in (1, 4, 44)],
    }  # fmt: skip
    parsed = entries(**rows)
    grid = {d: (row["grid_position"], row["is_pit_lane_start"]) for d, row in parsed.items()}
    assert grid == {"norris": (1, False), "max_verstappen": (None, True), "hamilton": (None, None)}


def test_laps_to_the_grid_are_no_starts_from_the_pit_lane() -> None:
    """When most cars are marked so, the mark means something else."""
    rows = {
        "session_result": [result(4, 1), result(1, 2)],
        "starting_grid": [{"session_key": 1, "driver_number": 1, "position": 2}],
        "laps": [lap(1, 0, None, driver_number=car, is_pit_out_lap=True) for car in (1, 4)],
    }
    assert entries(**rows)["max_verstappen"]["grid_position"] == 2


def test_names_are_openf1s_and_ids_jolpicas() -> None:
    """Where OpenF1 has no name, Jolpica's stands in."""
    named = {"driver_number": 4, "name_acronym": "NOR", "first_name": "Lando",
             "last_name": "Norris", "team_name": "McLaren F1"}  # fmt: skip
    parsed = entries(session_result=[result(4, 1), result(1, 2)], drivers=[named])
    norris, verstappen = parsed["norris"], parsed["max_verstappen"]
    assert (norris["team_id"], norris["team_name"]) == ("mclaren", "McLaren F1")
    assert (verstappen["driver_name"], verstappen["team_name"]) == ("Max Verstappen", "Red Bull")
    assert verstappen["driver_code"] == "VER"


def test_a_car_without_identity_is_refused_unless_it_did_not_start() -> None:
    """A withdrawn car may be missing in Jolpica's results; a car that drove may not."""
    assert set(entries(session_result=[result(), result(18, None, dns=True)])) == {"norris"}
    with pytest.raises(ProviderError, match="car 18 has no identity"):
        entries(session_result=[result(), result(18, 2)])


# --- laps: clocks and order ---------------------------------------------------------------------


def test_clocks_follow_durations_and_the_median_date() -> None:
    """Lap 3's date is 0.3 s late, lap 4's 0.2 s early; durations are exact, so the rest decides."""
    rows = [
        lap(1, 0.0, None),
        lap(2, 100.0, 90.0),
        lap(3, 190.3, 90.0),
        lap(4, 279.8, 90.0),
        lap(5, 370.0, 90.0),
    ]
    timed = laps_of(result(number_of_laps=5), laps=rows)
    assert clocks_s(timed) == [
        (1, 0.0, 100.0),
        (2, 100.0, 190.0),
        (3, 190.0, 280.0),
        (4, 280.0, 370.0),
        (5, 370.0, 460.0),
    ]


def test_a_lap_without_duration_ends_where_the_next_begins() -> None:
    """Its sectors stand in if all are there; its time stays unknown."""
    rows = [lap(1, 0.0, None), lap(2, 100.0, None), lap(3, 230.0, 90.0)]
    timed = laps_of(laps=rows)
    assert clocks_s(timed) == [(1, 0.0, 100.0), (2, 100.0, 230.0), (3, 230.0, 320.0)]
    sectors = {"duration_sector_1": 30.0, "duration_sector_2": 40.0, "duration_sector_3": 20.0}
    last = laps_of(laps=[lap(1, 0.0, None), lap(2, 100.0, 90.0), lap(3, 190.0, None, **sectors)])
    assert clocks_s(last)[-1] == (3, 190.0, 280.0)
    assert last["lap_time_ms"].to_list() == [None, 90_000, None]


def test_an_inferred_first_lap_anchors_nothing() -> None:
    """OpenF1 infers lap 1's duration from 2026 on, 0.2 s off."""
    rows = [lap(1, 0.0, 100.2), lap(2, 100.0, 90.0), lap(3, 190.0, 90.0)]
    assert clocks_s(laps_of(laps=rows))[:2] == [(1, 0.0, 100.0), (2, 100.0, 190.0)]


def test_a_stoppage_starts_a_new_chain() -> None:
    """After a red flag lap 3 begins 30 minutes later than lap 2's duration says."""
    rows = [lap(1, 0.0, None), lap(2, 100.0, 90.0), lap(3, 2000.0, 90.0), lap(4, 2090.0, 90.0)]
    assert clocks_s(laps_of(result(number_of_laps=4), laps=rows))[2:] == [
        (3, 2000.0, 2090.0),
        (4, 2090.0, 2180.0),
    ]


def test_race_times_settle_what_dates_leave_open() -> None:
    """Dates say both cars end lap 2 at 190.0 s; the race times say 0.04 s apart."""
    rows = [row for car in (4, 1) for row in
            (lap(1, 0, None, driver_number=car), lap(2, 100, 90.0, driver_number=car))]  # fmt: skip
    both = [result(4, 1, number_of_laps=2, duration=190.0, gap_to_leader=0),
            result(1, 2, number_of_laps=2, gap_to_leader=0.04)]  # fmt: skip
    ends = laps_of(*both, laps=rows).filter(lap_number=2)
    ends_ms = dict(ends.select("driver_id", "lap_end_ms").rows())
    assert ends_ms["max_verstappen"] - ends_ms["norris"] == 40
    assert dict(ends.select("driver_id", "position").rows()) == {"norris": 1, "max_verstappen": 2}


def test_a_race_time_with_a_penalty_moves_no_clock() -> None:
    """5 s in the stewards' room are not 5 s on the road; two cars without penalty outvote them."""
    cars = (4, 1, 44)
    rows = [row for car in cars for row in
            (lap(1, 0, None, driver_number=car), lap(2, 100, 90.0, driver_number=car))]  # fmt: skip
    results = [result(4, 1, number_of_laps=2, duration=190.0, gap_to_leader=0),
               result(1, 2, number_of_laps=2, gap_to_leader=0.0),
               result(44, 3, number_of_laps=2, gap_to_leader=5.0)]  # fmt: skip
    assert laps_of(*results, laps=rows).filter(lap_number=2)["lap_end_ms"].n_unique() == 1


def test_a_last_lap_that_was_not_timed_ends_at_the_race_time() -> None:
    """Two cars give the common start, the third's last lap has no duration."""
    rows = [row for car in (4, 1, 44) for row in
            (lap(1, 0, None, driver_number=car),
             lap(2, 100, None if car == 44 else 90.0, driver_number=car))]  # fmt: skip
    results = [result(4, 1, number_of_laps=2, duration=190.0, gap_to_leader=0),
               result(1, 2, number_of_laps=2, gap_to_leader=0.0),
               result(44, 3, number_of_laps=2, gap_to_leader=1.5)]  # fmt: skip
    timed = laps_of(*results, laps=rows).filter(driver_id="hamilton")
    assert clocks_s(timed)[-1] == (2, 100.0, 191.5)


def test_laps_after_the_flag_are_dropped() -> None:
    """A finisher's slowing-down lap is none; the lap on which a car retired is one."""
    rows = [lap(n, 100.0 * n, 90.0) for n in (1, 2, 3, 4)]
    assert laps_of(laps=rows)["lap_number"].to_list() == [1, 2, 3]
    retired = laps_of(result(4, None, dnf=True), laps=rows)
    assert retired["lap_number"].to_list() == [1, 2, 3, 4]
    excluded = laps_of(result(4, None, dsq=True, number_of_laps=0), laps=rows)
    assert excluded["lap_number"].to_list() == [1, 2, 3, 4]


SECTORS = {"duration_sector_1": 32.0, "duration_sector_2": 35.0, "duration_sector_3": 26.0}


def test_second_laps_times_in_the_first_laps_row_are_put_right() -> None:
    """93 s from a standing start with a first sector, no lap 2, and lap 3 190 s after the start."""
    timed = laps_of(laps=[lap(1, 0.0, 93.0, **SECTORS, st_speed=298), lap(3, 190.0, 92.0)])
    assert clocks_s(timed) == [(1, 0.0, 97.0), (2, 97.0, 190.0), (3, 190.0, 282.0)]
    assert timed["lap_time_ms"].to_list() == [None, 93_000, 92_000]
    assert timed["speed_trap_straight_kph"].to_list() == [None, 298, None]


def test_second_laps_times_without_room_for_a_first_lap_are_dropped() -> None:
    """Lap 3 begins 93 s after the start: the row is wrong, how is not known."""
    timed = laps_of(laps=[lap(1, 0.0, 93.0, **SECTORS), lap(3, 93.0, 92.0)])
    assert timed.select("lap_number", "sector1_time_ms").rows() == [(1, None), (3, None)]


@pytest.mark.parametrize(
    "rows",
    [
        [lap(1, 0.0, 93.0, **SECTORS), lap(2, 93.0, 90.0), lap(3, 183.0, 90.0)],
        [lap(1, 0.0, 97.0), lap(3, 190.0, 92.0)],
        [lap(1, 0.0, 93.0, **SECTORS)],
    ],
)
def test_a_first_lap_that_may_be_right_is_left_alone(rows: Rows) -> None:
    """Lap 2 is there; or lap 1 has no sectors; or the car ran no further."""
    timed = laps_of(laps=rows)
    first_s = rows[0].get("duration_sector_1")
    assert timed["sector1_time_ms"][0] == (None if first_s is None else first_s * 1000)
    assert timed.height == len(rows)


def test_an_inferred_first_lap_time_is_none() -> None:
    """No car is timed from the grid; what OpenF1 infers is 0.24 s off the official time."""
    timed = laps_of(laps=[lap(1, 0.0, 97.2), lap(2, 97.0, 93.0)])
    assert timed["lap_time_ms"].to_list() == [None, 93_000]


# --- laps: tyres, flags and messages ------------------------------------------------------------


def stint(number: int, start: int, end: int, age: int | None = 0, **row: Any) -> dict[str, Any]:
    """A row of stints."""
    tyre = {"compound": "MEDIUM", "tyre_age_at_start": age}
    return {"driver_number": 4, "stint_number": number, "lap_start": start, "lap_end": end,
            **tyre, **row}  # fmt: skip


def tyres(stints: Rows, pit_laps: tuple[int, ...] = (), laps: int = 6) -> Rows:
    """Parsed tyres of one car by lap."""
    rows = [lap(n, 100.0 * n, 100.0) for n in range(1, laps + 1)]
    pit = [{"driver_number": 4, "lap_number": n} for n in pit_laps]
    parsed = laps_of(result(number_of_laps=laps), laps=rows, stints=stints, pit=pit)
    return parsed.select(
        "lap_number", "stint_number", "compound", "tyre_life_laps", "is_fresh_tyre"
    ).to_dicts()


def test_tyre_life_counts_the_lap_being_run() -> None:
    """1 on the first lap of a new set; a set of age 3 begins at 4."""
    got = tyres([stint(1, 1, 3), stint(2, 4, 6, 3, compound="HARD")], (3,))
    assert [row["tyre_life_laps"] for row in got] == [1, 2, 3, 4, 5, 6]
    assert [row["compound"] for row in got] == ["MEDIUM"] * 3 + ["HARD"] * 3
    assert [row["is_fresh_tyre"] for row in got] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("compound", ["UNKNOWN", "TEST_UNKNOWN", "None", "", None])
def test_an_unknown_compound_is_null(compound: str | None) -> None:
    """The stint is known all the same."""
    got = tyres([stint(1, 1, 6, None, compound=compound)])[0]
    assert (got["compound"], got["stint_number"], got["tyre_life_laps"]) == (None, 1, None)


def test_overlapping_stints_end_where_the_next_begins() -> None:
    """Stint 1 claims laps 1 to 5, stint 2 laps 4 to 6."""
    got = tyres([stint(1, 1, 5), stint(2, 4, 6)], (3,))
    assert [row["stint_number"] for row in got] == [1, 1, 1, 2, 2, 2]


def test_a_stint_that_ends_before_it_begins_is_none() -> None:
    """The set before it goes on, unless the car stopped."""
    stints = [stint(1, 1, 3), stint(2, 4, 3, compound="HARD")]
    assert [row["tyre_life_laps"] for row in tyres(stints)] == [1, 2, 3, 4, 5, 6]
    stopped = tyres(stints, (3,))
    assert [row["stint_number"] for row in stopped] == [1, 1, 1, None, None, None]
    assert [row["compound"] for row in stopped][3:] == [None] * 3


def test_flags_of_the_pit_lane_come_from_pit_and_from_the_out_lap() -> None:
    """Without any visit listed nothing is known about in-laps."""
    rows = [lap(1, 0, None), lap(2, 100, 100.0), lap(3, 200, 100.0, is_pit_out_lap=True)]
    parsed = laps_of(laps=rows, pit=[{"driver_number": 4, "lap_number": 2}])
    assert parsed["is_in_lap"].to_list() == [False, True, False]
    assert parsed["is_out_lap"].to_list() == [None, None, True]
    assert laps_of(laps=rows)["is_in_lap"].to_list() == [None] * 3


def statuses(*messages: dict[str, Any]) -> list[str]:
    """Track status of six laps of 100 s."""
    rows = [lap(n, 100.0 * (n - 1), 100.0) for n in range(1, 7)]
    parsed = laps_of(result(number_of_laps=6), laps=rows, race_control=list(messages))
    return parsed["track_status"].to_list()


TRACK = {"scope": "Track"}
CAR = {"category": "SafetyCar"}


def test_a_clear_race_is_clear() -> None:
    """Blue flags and notes are no status of the track."""
    blue = message(50, "WAVED BLUE FLAG", flag="BLUE", scope="Driver", driver_number=4)
    assert statuses(blue) == ["1"] * 6


def test_a_safety_car_lasts_until_the_track_is_clear() -> None:
    """Not only until it is called in; the lap of the restart saw both."""
    got = statuses(
        message(150, "SAFETY CAR DEPLOYED", **CAR),
        message(250, "SAFETY CAR IN THIS LAP", **CAR),
        message(350, "TRACK CLEAR", flag="CLEAR", **TRACK),
    )
    assert got == ["1", "14", "4", "41", "1", "1"]


@pytest.mark.parametrize("name", ["VIRTUAL SAFETY CAR", "VSC"])
def test_a_virtual_safety_car_may_become_a_real_one(name: str) -> None:
    """The virtual one is over then, and does not come back when the real one goes."""
    got = statuses(
        message(150, f"{name} DEPLOYED", **CAR),
        message(250, "SAFETY CAR DEPLOYED", **CAR),
        message(350, "TRACK CLEAR", flag="CLEAR", **TRACK),
    )
    assert got == ["1", "16", "64", "41", "1", "1"]


def test_a_virtual_safety_car_is_announced_to_end() -> None:
    """7 from the announcement to the green light."""
    got = statuses(
        message(110, "VSC DEPLOYED", **CAR),
        message(250, "VSC ENDING", **CAR),
        message(262, "TRACK CLEAR", flag="CLEAR", **TRACK),
    )
    assert got == ["1", "16", "671", "1", "1", "1"]


def test_a_red_flag_ends_the_safety_car_and_the_restart_ends_it() -> None:
    """The safety car before it does not hide it."""
    got = statuses(
        message(150, "SAFETY CAR DEPLOYED", **CAR),
        message(250, "RED FLAG", flag="RED", **TRACK),
        message(350, "SESSION STARTED", category="SessionStatus"),
    )
    assert got == ["1", "14", "45", "51", "1", "1"]


def test_yellow_holds_until_every_sector_is_clear() -> None:
    """Two sectors: the first clear ends only one of them; a clear without yellow nothing."""
    sector = {"scope": "Sector"}
    got = statuses(
        message(10, "CLEAR IN TRACK SECTOR 9", flag="CLEAR", sector=9, **sector),
        message(150, "YELLOW IN TRACK SECTOR 1", flag="YELLOW", sector=1, **sector),
        message(160, "DOUBLE YELLOW IN TRACK SECTOR 2", flag="DOUBLE YELLOW", sector=2, **sector),
        message(170, "CLEAR IN TRACK SECTOR 1", flag="CLEAR", sector=1, **sector),
        message(250, "CLEAR IN TRACK SECTOR 2", flag="CLEAR", sector=2, **sector),
    )
    assert got == ["1", "12", "21", "1", "1", "1"]


def test_yellow_and_clear_in_one_second_is_clear() -> None:
    """Whole seconds do not tell their order; yellow for the rest of the race cannot be meant."""
    sector = {"scope": "Sector", "sector": 4}
    yellow = message(150, "YELLOW IN TRACK SECTOR 4", flag="YELLOW", **sector)
    clear = message(150, "CLEAR IN TRACK SECTOR 4", flag="CLEAR", **sector)
    assert statuses(yellow, clear) == statuses(clear, yellow) == ["1", "1", "1", "1", "1", "1"]


def test_without_messages_track_status_is_unknown() -> None:
    """Some races have none; that is no clear race."""
    parsed = laps_of(laps=[lap(1, 0, 100.0)])
    assert parsed["track_status"].to_list() == [None]
    assert parsed["is_deleted"].to_list() == [None]


def test_a_deleted_time_is_found_by_the_time() -> None:
    """Lap 2 and lap 3 took 90.5 s: the named one is meant; the third message names none."""
    rows = [lap(1, 0, None), lap(2, 100, 90.5), lap(3, 190.5, 90.5), lap(4, 281, 91.0)]
    text = "CAR 4 (NOR) TIME 1:{} DELETED - TRACK LIMITS AT TURN 15 {}"
    parsed = laps_of(
        result(number_of_laps=4),
        laps=rows,
        race_control=[
            message(300, text.format("30.500", "LAP 3 16:08:35"), category="Other"),
            message(310, text.format("31.000", "(NEXT LAP)"), category="Other"),
            message(320, text.format("55.555", "LAP 2 16:09:35"), category="Other"),
        ],
    )
    assert parsed["is_deleted"].to_list() == [False, False, True, True]
    assert parsed["deleted_reason"][2] == "TRACK LIMITS AT TURN 15 LAP 3"


# --- other tables -------------------------------------------------------------------------------


def stops(*pit: dict[str, Any]) -> Rows:
    """Parsed visits of a car that ran 3 laps."""
    rows = [lap(n, 100.0 * (n - 1), 100.0) for n in (1, 2, 3)]
    raw = answers(
        session_result=[result()], laps=rows, pit=[{"driver_number": 4, **p} for p in pit]
    )
    return openf1.parse_tables(RACE, raw, ENTRANTS)["pit_stops"].to_dicts()


@pytest.mark.parametrize("field", ["lane_duration", "pit_duration"])
def test_a_visit_ends_at_its_date(field: str) -> None:
    """Either name of the duration is taken; the car left at 222 s, 22 s after entry."""
    (stop,) = stops({"lap_number": 2, "date": at(222), field: 22, "stop_duration": 2.4})
    assert stop["pit_out_ms"] / 1000 - LIGHTS_S == 222
    assert stop["pit_in_ms"] / 1000 - LIGHTS_S == 200
    assert (stop["pit_lane_time_ms"], stop["stationary_time_ms"]) == (22_000, 2_400)


def test_visits_after_the_flag_are_dropped_and_unknown_durations_stay_unknown() -> None:
    """Everyone comes in after the flag."""
    (stop,) = stops({"lap_number": 2, "date": at(222)}, {"lap_number": 4, "date": at(500)})
    assert (stop["pit_in_ms"], stop["pit_lane_time_ms"], stop["stationary_time_ms"]) == (None,) * 3


def test_messages_are_numbered_in_the_order_they_were_sent() -> None:
    """Whatever the order of the answer."""
    rows = [message(20, "RED FLAG", flag="RED", lap_number=2), message(10, "TRACK CLEAR")]
    parsed = openf1.parse_race_control(RACE, frame("race_control", *rows))
    assert parsed.select("message_number", "message", "lap_number").rows() == [
        (1, "TRACK CLEAR", None),
        (2, "RED FLAG", 2),
    ]


def test_weather_is_on_the_session_clock() -> None:
    """Readings begin an hour before the start; rainfall is 0 or 1."""
    rows = [{"date": at(-3600), "rainfall": 1, "wind_direction": 360},
            {"date": at(-9000), "rainfall": 0}]  # fmt: skip
    parsed = openf1.parse_weather(RACE, frame("weather", *rows), pl.lit(ZERO))
    assert parsed.select("session_clock_ms", "is_raining").rows() == [(3_600_000, True)]
