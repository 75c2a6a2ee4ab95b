"""Slow laps, crashes and the stewards' seconds."""

from __future__ import annotations

from math import log

import polars as pl
import pytest

from engine.v2.calibration import MistakeConstants
from engine.v2.clean_laps import REFUSALS
from engine.v2.mistakes import SLOW_LAPS_SCHEMA, is_crash, penalty_burden, slow_laps
from tests.frames import frame

LIMITS = MistakeConstants(
    slow_spreads=4.0,
    slow_min_pct=1.2,
    slow_max_pct=12.0,
    clear_gap_s=1.5,
    crash_burden=1.5,
    max_penalty_s=30.0,
    seconds_per_burden=10.0,
)


def lap(**change: object) -> dict[str, object]:
    """A clear lap of car a, 3 % slower than expected, in a field of four."""
    return {
        "session_id": "2025-1",
        "driver_id": "a",
        "lap_number": 9,
        "shortfall_pct": 3.0,
        "spread_pct": 0.3,
        "field_cars": 4,
        "gap_ahead_s": 1.6,
        "refused_for": None,
        **change,
    }


LAP_FIT = pl.Schema(
    {
        "session_id": pl.String(),
        "driver_id": pl.String(),
        "lap_number": pl.Int16(),
        "shortfall_pct": pl.Float64(),
        "spread_pct": pl.Float64(),
        "field_cars": pl.Int64(),
        "gap_ahead_s": pl.Float64(),
        "refused_for": pl.Enum(REFUSALS),
    }
)


def slow(*rows: dict[str, object], retired: tuple[str, ...] = ()) -> pl.DataFrame:
    """Slow laps among the rows; all cars but some have finished."""
    drivers = {str(row["driver_id"]) for row in rows}
    entries = pl.LazyFrame(
        [
            {"session_id": "2025-1", "driver_id": driver, "status": status}
            for driver in drivers
            for status in ["retired" if driver in retired else "finished"]
        ]
    )
    found = slow_laps(pl.LazyFrame(list(rows), schema=LAP_FIT), entries, LIMITS).collect()
    assert found.schema == SLOW_LAPS_SCHEMA
    return found.sort("lap_number")


def test_a_lap_on_which_four_are_slow_is_nobodys_mistake() -> None:
    """Three may each make one; a fourth tells of a safety car, a flag or rain."""
    three = [lap(driver_id=driver) for driver in "abc"]
    assert slow(*three, lap(driver_id="d", lap_number=10)).height == 4
    assert slow(*three, lap(driver_id="d")).is_empty()
    assert slow(*three, lap(driver_id="d", shortfall_pct=1.0)).height == 3


def test_a_failing_car_makes_no_mistakes() -> None:
    """The last two laps before a retirement do not count; those of a finisher do."""
    laps = [lap(lap_number=number) for number in (8, 9, 10)]
    assert slow(*laps)["lap_number"].to_list() == [8, 9, 10]
    assert slow(*laps, retired=("a",))["lap_number"].to_list() == [8]
    normal = lap(lap_number=11, shortfall_pct=0.0)
    assert slow(*laps, normal, retired=("a",))["lap_number"].to_list() == [8, 9]


@pytest.mark.parametrize(
    "change",
    [
        {"shortfall_pct": 1.2},
        {"shortfall_pct": None},
        {"field_cars": 3},
        {"gap_ahead_s": 1.5},
        {"refused_for": "slow_field"},
        {"refused_for": "in_lap"},
        {"refused_for": "neutralized"},
        {"refused_for": "first_lap"},
    ],
)
def test_a_slow_lap_with_another_reason_is_no_mistake(change: dict[str, object]) -> None:
    """Within the limit, no expectation, no field, traffic, pit lane, safety car, start."""
    assert slow(lap()).height == 1
    assert slow(lap(**change)).is_empty()


def test_a_lap_far_off_the_pace_is_one_and_its_loss_is_capped() -> None:
    """A spin costs 20 %, of which 12 count; nobody ahead is no traffic."""
    found = slow(lap(shortfall_pct=20.0, refused_for="off_pace", gap_ahead_s=None))
    assert found["loss_pct"].to_list() == [12.0]
    assert found["shortfall_pct"].to_list() == [20.0]


def test_in_a_scattered_race_the_limit_is_wider() -> None:
    """Four spreads of 0.8 % are 3.2 %."""
    assert slow(lap(spread_pct=0.8)).is_empty()


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        ("retired", "Accident", True),
        ("retired", "Spun off", True),
        ("retired", "COLLISION DAMAGE", True),
        ("retired", "Engine", False),
        ("retired", "Retired", None),
        ("retired", None, None),
        ("unknown", "Collision", None),
        ("finished", "Finished", False),
        ("lapped", None, False),
        ("disqualified", "Collision", False),
    ],
)
def test_a_crash_is_told_by_the_reason_of_retirement(
    status: str, text: str | None, expected: bool | None
) -> None:
    """Who did not retire did not crash out; "Retired" says nothing."""
    entry = frame(
        "entries", [{"driver_id": "a", "team_id": "t", "status": status, "status_text": text}]
    )
    assert entry.select(is_crash=is_crash())["is_crash"].to_list() == [expected]


def burden(
    entries: list[dict[str, object]],
    *,
    clean_laps: dict[str, int] | None = None,
    losses: tuple[tuple[str, float], ...] = (),
    penalties: tuple[tuple[str, float], ...] = (),
    has_race_control: bool = False,
) -> dict[str, dict[str, object]]:
    """Penalty burden by driver."""
    table = frame("entries", [{"team_id": "t", "status_text": "Finished"} | row for row in entries])
    fit = table.select("session_id", "driver_id").with_columns(
        clean_laps=pl.col("driver_id").replace_strict(
            clean_laps or {}, default=40, return_dtype=pl.Int32
        )
    )
    slow_rows = [
        lap(driver_id=driver, lap_number=number + 2, shortfall_pct=loss) | {"loss_pct": loss}
        for number, (driver, loss) in enumerate(losses)
    ]
    penalty_rows = [
        {"driver_id": driver, "penalty_number": number + 1, "kind": "time", "time_loss_s": seconds}
        | {"message": "x", "source": "race_control"}
        for number, (driver, seconds) in enumerate(penalties)
    ]
    messages = [{"message_number": 1, "message": "x"}] if has_race_control else []
    found = penalty_burden(
        table.lazy(),
        fit.lazy(),
        pl.LazyFrame(
            [{k: row[k] for k in SLOW_LAPS_SCHEMA} for row in slow_rows], SLOW_LAPS_SCHEMA
        ),
        frame("penalty_events", penalty_rows).lazy(),
        frame("race_control", messages).lazy(),
        constants=LIMITS,
    ).collect()
    return {str(row["driver_id"]): row for row in found.to_dicts()}


FIELD: list[dict[str, object]] = [{"driver_id": driver} for driver in "abcde"]


def test_mistakes_count_against_the_races_median() -> None:
    """Losses 3 + 2, 1, 1, 1 and 0 %: the median is ln 2."""
    found = burden(FIELD, losses=(("a", 3.0), ("a", 2.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)))
    assert found["a"]["slow_laps"] == 2
    assert found["a"]["mistake_burden"] == pytest.approx(log(6) - log(2))
    assert found["b"]["mistake_burden"] == pytest.approx(0.0)
    assert found["e"]["penalties_raw"] == pytest.approx(-log(2))


def test_a_race_of_three_has_no_median() -> None:
    """The loss then counts in full."""
    found = burden(FIELD[:3], losses=(("a", 3.0), ("b", 3.0), ("c", 3.0)))
    assert found["a"]["mistake_burden"] == pytest.approx(log(4))


def test_crash_and_penalties_add_up_and_are_capped() -> None:
    """Collision 1.5; 5 + 10 s are 1.5; 20 + 30 s count as 30."""
    entries: list[dict[str, object]] = [
        {"driver_id": "a", "status": "retired", "status_text": "Collision"},
        *FIELD[1:],
    ]
    found = burden(
        entries,
        penalties=(("a", 5.0), ("a", 10.0), ("b", 20.0), ("b", 30.0)),
        has_race_control=True,
    )
    assert found["a"]["penalties_raw"] == pytest.approx(1.5 + 1.5)
    assert found["b"]["penalties_raw"] == pytest.approx(3.0)
    assert found["c"]["penalty_s"] == 0.0


def test_what_is_not_known_is_null_and_flagged_and_adds_nothing() -> None:
    """Two clean laps, no reason, no race control: nothing is known of a, some of b."""
    entries: list[dict[str, object]] = [
        {"driver_id": "a", "status": "retired", "status_text": "Retired"},
        {"driver_id": "b", "status": "retired", "status_text": "Engine"},
    ]
    found = burden(entries, clean_laps={"a": 2, "b": 2})
    a, b = found["a"], found["b"]
    assert [a[name] for name in ("mistake_burden", "is_crash", "penalty_s", "penalties_raw")] == [
        None
    ] * 4
    assert not a["has_penalty_evidence"]
    assert not a["has_race_control"]
    assert (b["has_retirement_reason"], b["has_mistake_evidence"]) == (True, False)
    assert b["penalties_raw"] == 0.0


def test_who_did_not_start_has_no_burden() -> None:
    """There is no drive to weigh."""
    assert burden([{"driver_id": "a", "status": "did_not_start"}, *FIELD[1:]]).keys() == set("bcde")
