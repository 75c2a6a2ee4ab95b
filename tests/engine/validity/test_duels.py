"""Duels of team-mates and what was known before them, worked by hand."""

from __future__ import annotations

import math

import polars as pl
import pytest

from engine.validity.duels import (
    both_ways,
    differences,
    duels,
    grands_prix,
    lap_gaps,
    qualifying_gaps,
    recent_mean,
    team_mates,
)
from tests.duels import entries, metric, qualifying, sessions

ROUNDS = (1, 2, 3, 4)
RACES = grands_prix(sessions(ROUNDS))
ENTRIES = entries(ROUNDS, {"ann": "red", "ben": "red", "cid": "blue", "dan": "blue"})
PAIRS = team_mates(ENTRIES, RACES)
IN_ROUND_4 = PAIRS.filter(pl.col("round") == 4)


def clean(driver_id: str, times_ms: list[int], first_lap: int = 2) -> pl.DataFrame:
    """Write a driver's clean laps of round 4."""
    return pl.DataFrame(
        {
            "session_id": "2020-4",
            "driver_id": driver_id,
            "lap_number": range(first_lap, first_lap + len(times_ms)),
            "lap_time_ms": times_ms,
        },
        schema={
            "session_id": pl.String,
            "driver_id": pl.String,
            "lap_number": pl.Int16,
            "lap_time_ms": pl.Int32,
        },
    )


def outcomes(
    gaps: pl.DataFrame | None = None,
    classified: pl.DataFrame = ENTRIES,
    placed: pl.DataFrame | None = None,
) -> dict[tuple[str, str], bool]:
    """Decide the duels of round 4: (driver, outcome) → won."""
    found = duels(
        IN_ROUND_4,
        classified,
        qualifying({}) if placed is None else placed,
        lap_gaps(IN_ROUND_4, clean("ann", [])) if gaps is None else gaps,
    )
    return {(row["driver_id"], row["outcome"]): row["is_won"] for row in found.to_dicts()}


def test_races_are_numbered_over_seasons_and_sprints_are_left_out() -> None:
    """Round 10 comes after round 9, and a season after the one before."""
    listed = pl.concat(
        [sessions((1,), 2021), sessions((10, 9), 2020), sessions((9,), 2020, "sprint")]
    )
    assert grands_prix(listed).select("session_id", "race_number").rows() == [
        ("2020-9", 1),
        ("2020-10", 2),
        ("2021-1", 3),
    ]


def test_a_pair_counts_once_and_from_the_fourth_race_of_both() -> None:
    """Two teams, four races; who joins late makes a pair that does not count yet."""
    assert PAIRS.height == 8
    assert PAIRS.filter("is_eligible").select("round", "driver_id", "mate_id").rows() == [
        (4, "ann", "ben"),
        (4, "cid", "dan"),
    ]
    late = ENTRIES.filter((pl.col("driver_id") != "dan") | (pl.col("session_id") != "2020-1"))
    assert team_mates(late, RACES).filter("is_eligible")["driver_id"].to_list() == ["ann"]


def test_a_gap_is_the_median_over_laps_that_both_have() -> None:
    """Laps 4 to 6 are common: 1 %, 2 % and 10 % slower, so 2 %."""
    laps = pl.concat(
        [
            clean("ann", [50_000, 50_000, 101_000, 102_000, 110_000]),
            clean("ben", [100_000, 100_000, 100_000, 90_000], first_lap=4),
        ]
    )
    gaps = lap_gaps(IN_ROUND_4, laps)
    assert gaps.select("driver_id", "common_laps").rows() == [("ann", 3)]
    assert gaps["lap_gap_pct"].item() == pytest.approx(100 * math.log(1.02))


@pytest.mark.parametrize(("laps", "decided"), [(10, True), (9, False)])
def test_pace_needs_ten_common_laps(laps: int, *, decided: bool) -> None:
    """Ann is a tenth faster on all of them."""
    gaps = lap_gaps(
        IN_ROUND_4, pl.concat([clean("ann", [89_900] * laps), clean("ben", [90_000] * laps)])
    )
    assert (("ann", "pace") in outcomes(gaps)) is decided
    assert outcomes(gaps).get(("ann", "pace"), True)


def test_equal_pace_decides_nothing() -> None:
    """Same median, no winner."""
    laps = pl.concat([clean("ann", [90_000] * 12), clean("ben", [90_000] * 12)])
    assert ("ann", "pace") not in outcomes(lap_gaps(IN_ROUND_4, laps))


def test_a_finish_needs_both_classified() -> None:
    """Ann finished ahead of Ben; Cid stopped, so Dan has beaten nobody."""
    classified = ENTRIES.with_columns(is_classified=pl.col("driver_id") != "cid")
    assert outcomes(classified=classified) == {("ann", "finish"): True}


def test_qualifying_needs_both_times_and_both_starts() -> None:
    """Ben is placed better; of Cid no time is known; a car that did not start decides nothing."""
    placed = qualifying(
        {"ann": (9, 80_000), "ben": (3, 79_000), "cid": (1, None), "dan": (2, 78_000)}
    )
    assert outcomes(placed=placed)["ann", "qualifying"] is False
    assert ("cid", "qualifying") not in outcomes(placed=placed)
    absent = ENTRIES.with_columns(
        status=pl.when(pl.col("driver_id") == "ben")
        .then(pl.lit("did_not_start"))
        .otherwise(pl.lit("finished"))
    )
    assert ("ann", "qualifying") not in outcomes(classified=absent, placed=placed)


def test_qualifying_is_compared_in_the_last_part_that_both_drove() -> None:
    """Ben was faster in part 3, but Ann had gone out in part 2, which she lost by 1 %."""
    placed = pl.DataFrame(
        {
            "session_id": "2020-4",
            "driver_id": ["ann", "ben"],
            "q1_ms": [80_000, 81_000],
            "q2_ms": [80_800, 80_000],
            "q3_ms": [None, 70_000],
        }
    )
    gap = qualifying_gaps(IN_ROUND_4, placed)["qualifying_gap_pct"].item()
    assert gap == pytest.approx(100 * math.log(1.01))


def test_a_recent_mean_knows_nothing_of_its_own_race() -> None:
    """Grades 1, 2, 3, then 40: before round 4 the mean is 2, whatever round 4 brings."""
    values = metric("ann", [1.0, 2.0, 3.0, 40.0])
    known = recent_mean(values, ENTRIES, RACES, 10).filter(pl.col("driver_id") == "ann")
    assert known.sort("session_id")["value"].to_list() == [None, None, None, 2.0]


def test_a_recent_mean_takes_the_last_grades_there_are() -> None:
    """Of 1, –, 3, 5, 7 the last three before round 6 are 3, 5 and 7; an empty round is skipped."""
    rounds = (1, 2, 3, 4, 5, 6)
    entered = entries(rounds, {"ann": "red"})
    races = grands_prix(sessions(rounds))
    values = metric("ann", [1.0, None, 3.0, 5.0, 7.0, None])
    known = recent_mean(values, entered, races, 3).sort("session_id")["value"].to_list()
    assert known == [None, None, None, None, 3.0, 5.0]


def test_order_of_rows_does_not_matter() -> None:
    """Shuffled entries, laps and grades give the same pairs and means."""
    shuffled = ENTRIES.sample(fraction=1.0, shuffle=True, seed=1)
    assert team_mates(shuffled, RACES).equals(PAIRS)
    values = metric("ann", [1.0, 2.0, 3.0, 40.0])
    one = recent_mean(values, ENTRIES, RACES, 10).sort("session_id", "driver_id")
    other = recent_mean(values.reverse(), shuffled, RACES, 10).sort("session_id", "driver_id")
    assert one.equals(other)


def test_a_gap_is_good_for_one_and_bad_for_the_other() -> None:
    """Ann is 0.5 % behind Ben: −0.5 for her, +0.5 for him; the difference is −1."""
    gaps = IN_ROUND_4.filter(pl.col("driver_id") == "ann").with_columns(gap=pl.lit(0.5))
    values = both_ways(gaps, pl.col("gap"))
    assert values.select("driver_id", "value").rows() == [("ann", -0.5), ("ben", 0.5)]
    found = differences(IN_ROUND_4, values).select("driver_id", "difference").rows()
    assert found == [("ann", -1.0), ("cid", None)]
