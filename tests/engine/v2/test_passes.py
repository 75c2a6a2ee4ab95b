"""Laps at risk, how easy a circuit is, and what was to be expected."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.v2.calibration import PassConstants
from engine.v2.clean_laps import clean_laps
from engine.v2.passes import (
    PASS_COUNTS_SCHEMA,
    PASS_EVENTS_SCHEMA,
    circuit_terms,
    laps_at_risk,
    pass_counts,
    pass_events,
)
from tests.frames import frame

if TYPE_CHECKING:
    from collections.abc import Mapping

LOGIT = PassConstants(
    intercept=-4.0,
    log_gap=-2.5,
    car_difference=1.2,
    log_gap_car_difference=0.4,
    tyre_age_difference=0.5,
    circuit=0.8,
    aid=1.2,
    aid_in_range=-0.2,
    race_share=-0.1,
    team_mate=0.2,
    early=-0.4,
)


def run(
    lines_s: Mapping[str, list[float | None]],
    *,
    laps: Mapping[tuple[str, int], Mapping[str, object]] | None = None,
    entries: Mapping[str, Mapping[str, object]] | None = None,
    cars: Mapping[str, float | None] | None = None,
    season: int = 2025,
) -> pl.DataFrame:
    """Laps at risk of cars that cross the finish line at the given seconds, lap by lap.

    `laps` and `entries` change single rows; `None` is a lap the car did not finish.
    """
    lap_rows = [
        {
            "driver_id": driver,
            "lap_number": lap,
            "lap_end_ms": round(at * 1000),
            "lap_time_ms": round((at - (crossings[lap - 2] or 0.0 if lap > 1 else 0.0)) * 1000),
        }
        | dict((laps or {}).get((driver, lap), {}))
        for driver, crossings in lines_s.items()
        for lap, at in enumerate(crossings, start=1)
        if at is not None
    ]
    entry_rows = [
        {"driver_id": driver, "team_id": driver} | dict((entries or {}).get(driver, {}))
        for driver in lines_s
    ]
    table = frame("laps", lap_rows).lazy()
    level = frame("entries", entry_rows).select(
        "session_id",
        "driver_id",
        car_pct=pl.col("driver_id").replace_strict(
            dict(cars or {}), default=None, return_dtype=pl.Float64
        ),
    )
    found = laps_at_risk(
        table,
        frame("entries", entry_rows).lazy(),
        frame("sessions", [{"circuit_id": "here", "season": season}]).lazy(),
        clean_laps(table),
        level.lazy(),
    ).collect()
    return found.sort("lap_number", "driver_id")


def laps_of(found: pl.DataFrame) -> list[tuple[int, str, str, bool]]:
    """Lap, who, behind whom, and whether he passed."""
    return list(found.select("lap_number", "driver_id", "opponent_id", "is_passed").iter_rows())


def test_a_lap_begun_close_behind_is_at_risk_and_ends_in_a_pass_or_not() -> None:
    """B is 1 s behind a on line 2 and stays there; on line 3 it is 0.5 s behind and then ahead."""
    found = run({"a": [100.0, 200.0, 300.0, 400.0], "b": [104.0, 201.0, 300.5, 399.0]})
    assert laps_of(found) == [(3, "b", "a", False), (4, "b", "a", True)]
    assert found["gap_s"].to_list() == [1.0, 0.5]
    assert found["race_share"].to_list() == [2 / 4, 3 / 4]


def test_a_gap_counts_up_to_two_and_a_half_seconds_and_never_on_lap_two() -> None:
    """B is 2.5 s behind on line 2 and 2.501 s on line 3; line 1 is the start's."""
    found = run({"a": [100.0, 200.0, 300.0, 400.0], "b": [101.0, 202.5, 302.501, 402.0]})
    assert laps_of(found) == [(3, "b", "a", False)]


def test_only_the_nearest_car_ahead_counts() -> None:
    """C is 2 s behind a, but b is between them; passing both in a lap is one pass."""
    found = run(
        {"a": [100.0, 200.0, 300.0], "b": [101.0, 201.0, 301.0], "c": [102.0, 202.0, 299.0]}
    )
    assert laps_of(found) == [(3, "b", "a", False), (3, "c", "b", True)]


@pytest.mark.parametrize(
    ("driver", "lap", "change"),
    [
        ("a", 3, {"is_in_lap": True}),
        ("a", 3, {"is_out_lap": True}),
        ("b", 3, {"is_in_lap": True}),
        ("b", 3, {"is_out_lap": True}),
        ("a", 3, {"track_status": "4"}),
        ("b", 3, {"track_status": "16"}),
        ("a", 3, {"is_generated": True}),
    ],
)
def test_pit_lane_and_neutralization_of_either_car_take_the_risk_away(
    driver: str, lap: int, change: dict[str, object]
) -> None:
    """What changes places then is no pass."""
    lines: dict[str, list[float | None]] = {"a": [100.0, 200.0, 300.0], "b": [101.0, 201.0, 299.0]}
    assert laps_of(run(lines)) == [(3, "b", "a", True)]
    assert run(lines, laps={(driver, lap): change}).is_empty()


def test_a_retirement_ahead_gives_nobody_a_pass() -> None:
    """A crawls round lap 3 and retires; c stops on it. Neither b nor d has passed anybody."""
    found = run(
        {
            "a": [100.0, 200.0, 390.0],
            "b": [101.0, 201.0, 300.0],
            "c": [110.0, 220.0, None],
            "d": [111.0, 221.0, 321.0],
        },
        entries={"a": {"status": "retired"}, "c": {"status": "retired"}},
    )
    assert found.is_empty()


def test_cars_on_different_laps_do_not_race() -> None:
    """The leader comes up behind b on the road, a lap ahead."""
    found = run({"a": [100.0, 190.0, 280.0, 370.0], "b": [130.0, 279.0, 420.0]})
    assert found.is_empty()


def test_a_safety_car_by_itself_moves_no_expectation() -> None:
    """Five laps in formation between two racing laps add no lap at risk."""
    raced = run({"a": [100.0, 200.0, 300.0], "b": [101.0, 201.0, 299.0]})
    times: list[float | None] = [100.0, 200.0, 340.0, 480.0, 620.0, 760.0, 900.0]
    later: list[float | None] = [101.0, 201.0, 341.0, 481.0, 621.0, 761.0, 901.0]
    behind_it = {"a": [*times, 1000.0], "b": [*later, 1003.0]}
    slow = {(car, lap): {"track_status": "4"} for car in "ab" for lap in range(3, 9)}
    assert raced.height == 1
    assert run(behind_it, laps=slow).is_empty()


def test_circumstances_are_seen_from_the_car_behind() -> None:
    """A's car is 0.4 % slower, its tyres three laps older: both help b, his team-mate."""
    found = run(
        {"a": [100.0, 200.0, 300.0], "b": [101.0, 201.0, 301.0]},
        cars={"a": 0.1, "b": -0.3},
        laps={("a", 3): {"tyre_life_laps": 13}, ("b", 3): {"tyre_life_laps": 10}},
        entries={"a": {"team_id": "red"}, "b": {"team_id": "red"}},
    ).row(0, named=True)
    assert found["car_difference_pct"] == pytest.approx(0.4)
    assert found["tyre_age_difference_laps"] == 3
    assert found["is_team_mate"]
    assert found["has_overtaking_aid"]


def test_what_is_not_known_makes_no_difference() -> None:
    """A car without a level counts as equal; before 2011 there was no aid."""
    found = run(
        {"a": [100.0, 200.0, 300.0], "b": [101.0, 201.0, 301.0]}, cars={"a": 5.0}, season=2010
    ).row(0, named=True)
    assert found["car_difference_pct"] == 0.0
    assert not found["has_overtaking_aid"]
    assert not found["is_team_mate"]


def counts(*rows: tuple[int, str, int, int]) -> pl.LazyFrame:
    """Season, circuit, laps at risk, passes."""
    return pl.LazyFrame(rows, schema=PASS_COUNTS_SCHEMA, orient="row")


def test_a_circuit_is_judged_by_the_eight_seasons_before() -> None:
    """Here 60 passes on 600 laps, everywhere 90 on 1800: ln((60 + 300 · 0.05) / 900 / 0.05).

    The season itself and the ninth before it would change both.
    """
    sessions = frame("sessions", [{"season": 2025, "circuit_id": "here"}])
    known = counts(
        (2016, "here", 9000, 9000),
        (2017, "here", 200, 20),
        (2024, "here", 400, 40),
        (2024, "there", 1200, 30),
        (2025, "here", 9000, 9000),
    )
    found = circuit_terms(known, sessions.lazy()).collect()
    assert found["circuit_term"].to_list() == pytest.approx([log(75 / 900 / 0.05)])


@pytest.mark.parametrize(
    "known",
    [
        counts(),
        counts((2024, "there", 500, 50)),
        counts((2024, "here", 500, 0), (2024, "there", 500, 0)),
        counts((2025, "here", 500, 50)),
    ],
)
def test_a_circuit_that_nothing_is_known_of_is_an_average_one(known: pl.LazyFrame) -> None:
    """No season before, no race there, no pass anywhere, or only the season itself."""
    sessions = frame("sessions", [{"season": 2025, "circuit_id": "here"}])
    assert circuit_terms(known, sessions.lazy()).collect()["circuit_term"].to_list() == [0.0]


def test_passes_are_counted_by_season_and_circuit() -> None:
    """Two laps at risk, one pass."""
    found = run({"a": [100.0, 200.0, 300.0, 400.0], "b": [104.0, 201.0, 300.5, 399.0]})
    sessions = frame("sessions", [{"season": 2025, "circuit_id": "here"}])
    counted = pass_counts(found.lazy(), sessions.lazy()).collect()
    assert counted.schema == PASS_COUNTS_SCHEMA
    assert list(counted.iter_rows()) == [(2025, "here", 2, 1)]


def test_the_expectation_is_the_logit_of_its_terms() -> None:
    """By hand: every feature of one lap at risk, times its coefficient."""
    found = run(
        {"a": [100.0, 200.0, 300.0], "b": [101.0, 200.85, 301.0]},
        cars={"a": 0.5, "b": 0.0},
        laps={("a", 3): {"tyre_life_laps": 8}, ("b", 3): {"tyre_life_laps": 3}},
    )
    terms = pl.DataFrame({"session_id": ["2025-1"], "circuit_term": [0.25]})
    event = pass_events(found, terms, LOGIT)
    assert event.schema == PASS_EVENTS_SCHEMA
    logit = (
        -4.0 + 1.2 * 0.5 + 0.5 * 0.5 + 0.8 * 0.25 + 1.2 - 0.2 - 0.1 * 2 / 3 - 0.4 * exp(-2 / 3)
    )  # the gap is 0.85 s, so that ln(gap + 0.15) is 0
    assert event["expectation"].to_list() == pytest.approx([1 / (1 + exp(-logit))])
