"""The measures of validity, worked by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from engine.validity.agreement import ranking_agreement, vote_agreement
from engine.validity.baselines import elo, mate_gaps, results
from engine.validity.duels import OUTCOMES, grands_prix, lap_gaps, team_mates
from engine.validity.estimates import DRAWS, estimate, mean, ratio
from engine.validity.gates import GATES, Gate, examine_gates
from engine.validity.prediction import (
    FITTED_THROUGH,
    accuracy,
    fit_slope,
    log_loss,
    log_loss_gain,
    predict,
)
from engine.validity.proof import (
    PROOF_SCHEMA,
    History,
    Metric,
    baseline_metrics,
    history,
    prove,
)
from engine.validity.repeatability import (
    against_field,
    car_elasticity,
    car_leak,
    car_levels,
    hiring,
    reliability,
)
from engine.validity.stability import change, stability, without_a_lap
from tests.duels import entries, metric, qualifying, sessions
from tests.frames import frame, laps

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS = tuple(range(1, 9))
TEAMS = {"ann": "red", "ben": "red", "cid": "blue", "dan": "blue"}
RACES = grands_prix(sessions(ROUNDS))
ENTRIES = entries(ROUNDS, TEAMS)
PAIRS = team_mates(ENTRIES, RACES)


def values(**of: Sequence[float | None]) -> pl.DataFrame:
    """Write a metric: driver → a value in each round of 2020."""
    return pl.concat(metric(driver, grades) for driver, grades in of.items())


# Estimates


def test_the_interval_of_a_mean_is_its_standard_error() -> None:
    """400 draws of ±1: mean 0, standard error 0.05, so ± 0.098 within a tenth of it."""
    found = mean(np.tile([1.0, -1.0], 200))
    assert found.value == 0.0
    assert found.cases == 400
    assert found.low == pytest.approx(-0.098, abs=0.01)
    assert found.high == pytest.approx(0.098, abs=0.01)


def test_a_cluster_is_drawn_whole() -> None:
    """Ten clusters of forty equal values are ten cases, not four hundred: a wider interval."""
    clusters = np.array([[40.0, 40.0 * (-1) ** number] for number in range(10)])
    found = estimate(clusters, ratio, cases=400)
    assert found.low is not None
    assert found.low < -0.4


def test_equal_inputs_have_equal_intervals() -> None:
    """The draws are seeded."""
    grades = np.random.default_rng(3).normal(size=50)
    assert mean(grades) == mean(grades)
    assert DRAWS >= 1000


def test_nothing_has_no_figure() -> None:
    """No cluster, or none that can be divided by."""
    assert mean(np.empty(0)) == (None, None, None, 0)
    assert estimate(np.array([[0.0, 1.0]]), ratio, cases=1) == (None, None, None, 1)


# Prediction


def test_a_slope_is_the_log_odds_that_were_seen() -> None:
    """A lead of 1 won three of four: b = ln 3; without any lead there is nothing to learn."""
    assert fit_slope(np.ones(4), np.array([1.0, 1.0, 1.0, 0.0])) == pytest.approx(math.log(3))
    assert fit_slope(1000 * np.ones(4), np.array([1.0, 1.0, 1.0, 0.0])) == pytest.approx(
        math.log(3) / 1000
    )
    assert fit_slope(np.zeros(4), np.ones(4)) == 0.0
    assert fit_slope(np.empty(0), np.empty(0)) == 0.0


def contests(*seasons: tuple[int, float | None, bool]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write duels of Ann and Ben, one a season: season, her lead, whether she won."""
    rows = [(f"{season}-1", lead, won) for season, lead, won in seasons]
    duels = pl.DataFrame(
        {
            "session_id": [row[0] for row in rows],
            "season": [season for season, _, _ in seasons],
            "driver_id": "ann",
            "mate_id": "ben",
            "is_won": [row[2] for row in rows],
        }
    )
    known = pl.concat(
        pl.DataFrame(
            {"session_id": row[0], "driver_id": driver, "value": value},
            schema_overrides={"value": pl.Float64},
        )
        for row in rows
        for driver, value in (("ann", row[1]), ("ben", 0.0))
    )
    return duels, known


PAST = ((2011, 1.0, True), (2012, 1.0, True), (2013, 1.0, True), (FITTED_THROUGH, 1.0, False))
"""A lead of 1 wins three of four."""


def test_the_loss_of_a_duel_is_minus_the_log_of_its_probability() -> None:
    """Ann leads by 1 and wins: P = 3/4. She is unknown and wins: P = 1/2, half a hit."""
    duels, known = contests(*PAST, (2015, 1.0, True), (2016, None, True))
    found = predict(duels, known, range(2015, 2017))
    assert found.slope == pytest.approx(math.log(3))
    assert found.duels["probability"].to_list() == pytest.approx([0.75, 0.5])
    assert accuracy(found)[0] == pytest.approx(0.75)
    assert log_loss(found)[0] == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_tested_seasons_teach_nothing() -> None:
    """What happens from 2015 on moves no slope."""
    one = predict(*contests(*PAST, (2015, 1.0, True)), range(2015, 2016))
    other = predict(*contests(*PAST, (2015, 9.0, False)), range(2015, 2016))
    assert one.slope == other.slope


def test_the_name_that_comes_first_does_not_matter() -> None:
    """Ben's view of the same duels has the same slope and losses."""
    duels, known = contests(*PAST, (2015, 1.0, True), (2016, -2.0, True))
    swapped = duels.with_columns(
        driver_id=pl.lit("ben"), mate_id=pl.lit("ann"), is_won=~pl.col("is_won")
    )
    one, other = (predict(rows, known, range(2015, 2017)) for rows in (duels, swapped))
    assert one.slope == pytest.approx(other.slope)
    assert one.duels["loss"].to_list() == pytest.approx(other.duels["loss"].to_list())


def test_a_gain_is_what_the_other_loses_more() -> None:
    """A lead that won loses ln 4/3, a metric that says nothing ln 2, as a coin does."""
    duels, known = contests(*PAST, (2015, 1.0, True))
    tested = range(2015, 2016)
    silent = known.with_columns(value=pl.lit(None, dtype=pl.Float64))
    gain = log_loss_gain(predict(duels, known, tested), predict(duels, silent, tested))
    assert gain.value == pytest.approx(math.log(2) - math.log(4 / 3))


# Repeating, and the car


def test_a_lasting_difference_is_reliable_and_noise_is_not() -> None:
    """Red +2 in odd and +1 in even rounds, blue −1 and −2: r = (2+2)/5, stepped up 8/9."""
    red = [2.0, 1.0] * 4
    blue = [-1.0, -2.0] * 4
    found = reliability(PAIRS, values(ann=red, ben=[0.0] * 8, cid=blue, dan=[0.0] * 8))
    assert found.value == pytest.approx(8 / 9)
    assert found.cases == 2


def test_reliability_needs_six_races() -> None:
    """Five are too few."""
    five: list[float | None] = [1.0, 1.0, 1.0, 1.0, 1.0, None, None, None]
    assert reliability(PAIRS, values(ann=five, ben=[0.0] * 8)).cases == 0


def test_what_belongs_to_the_team_is_a_leak() -> None:
    """Team-mates are equal and teams differ: all of it; teams equal and drivers differ: nothing."""
    noise = [0.1, -0.1] * 4
    up, down = [1.0 + x for x in noise], [-1.0 + x for x in noise]
    by_team = against_field(values(ann=up, ben=up, cid=down, dan=down), ENTRIES, RACES)
    by_driver = against_field(values(ann=up, ben=down, cid=up, dan=down), ENTRIES, RACES)
    assert car_leak(by_team).value == pytest.approx(1.0)
    assert car_leak(by_driver).value == 0.0


def test_the_field_of_a_race_is_taken_off() -> None:
    """A race in which everybody does well by 10 more changes nothing."""
    grades = values(ann=[1.0, 11.0], ben=[0.0, 10.0], cid=[2.0, 12.0])
    centred = against_field(grades, ENTRIES, RACES).filter(pl.col("driver_id") == "cid")
    assert centred["value"].to_list() == [1.0, 1.0]


def two_seasons() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Write two seasons in which Ann and Cid change cars; red always qualifies first and second."""
    moved = {"cid": "red", "ben": "red", "ann": "blue", "dan": "blue"}
    listed = pl.concat([sessions(ROUNDS, 2020), sessions(ROUNDS, 2021)])
    entered = pl.concat([ENTRIES, entries(ROUNDS, moved, 2021)])
    placed = pl.concat(
        qualifying(
            {driver: (place, 80_000) for place, driver in enumerate(teams, start=1)},
            f"{season}-{number}",
        )
        for season, teams in ((2020, TEAMS), (2021, moved))
        for number in ROUNDS
    )
    return grands_prix(listed), entered, placed


def test_a_car_is_judged_by_the_team_mate() -> None:
    """Ann's car of 2020 is Ben's second place, half a place better than the middle of four."""
    races, entered, placed = two_seasons()
    cars = car_levels(entered, races, placed)
    found = {row[:-1]: row[-1] for row in cars.rows()}
    assert found[2020, "red", "ann"] == 0.5
    assert found[2020, "red", "ben"] == 1.5
    assert found[2020, "blue", "cid"] == -1.5


def test_a_grade_that_moves_with_the_car_is_elastic() -> None:
    """Grades equal to the car move a deviation for a deviation; those of the driver do not."""
    races, entered, placed = two_seasons()
    cars = car_levels(entered, races, placed)
    drives = entered.join(races, on="session_id").join(cars, on=["season", "team_id", "driver_id"])
    of_car = drives.select("session_id", "driver_id", value="car")
    skill = {"ann": 1.0, "ben": 0.0, "cid": 2.0, "dan": -1.0}
    of_driver = entered.select(
        "session_id", "driver_id", value=pl.col("driver_id").replace_strict(skill)
    )
    assert car_elasticity(against_field(of_car, entered, races), cars).value == pytest.approx(1.0)
    assert car_elasticity(against_field(of_driver, entered, races), cars).value == pytest.approx(
        0.0, abs=1e-12
    )


def test_the_better_of_two_was_kept() -> None:
    """Ann outdid Ben and drives on alone; of Cid and Dan both leave, which tells nothing."""
    races = grands_prix(pl.concat([sessions(ROUNDS, 2020), sessions(ROUNDS, 2021)]))
    entered = pl.concat([ENTRIES, entries(ROUNDS, {"ann": "red"}, 2021)])
    pairs = team_mates(entered, races)
    better = values(ann=[1.0] * 8, ben=[0.0] * 8, cid=[1.0] * 8, dan=[0.0] * 8)
    worse = better.with_columns(value=-pl.col("value"))
    assert hiring(pairs, better, entered, races)[::3] == (1.0, 1)
    assert hiring(pairs, worse, entered, races).value == 0.0


def test_of_the_last_season_nobody_knows_who_was_kept() -> None:
    """The season after it is not among the races."""
    entered = pl.concat([ENTRIES, entries(ROUNDS, {"ann": "red"}, 2021)])
    better = values(ann=[1.0] * 8, ben=[0.0] * 8)
    assert hiring(PAIRS, better, entered, RACES).cases == 0


# People


def test_the_winner_of_the_vote_outdid_two_of_three() -> None:
    """Ann is second of four: 2/3; shares fall as grades do but for the first two: 0.8."""
    grades = values(ann=[3.0], ben=[4.0], cid=[2.0], dan=[1.0])
    votes = pl.DataFrame(
        {
            "session_id": "2020-1",
            "driver_id": ["ann", "ben", "cid"],
            "is_winner": [True, False, False],
            "vote_share_pct": [50.0, 30.0, 20.0],
        }
    )
    found = vote_agreement(grades, votes)
    assert found["vote percentile"].value == pytest.approx(2 / 3)
    assert found["vote top 3"].value == 1.0
    assert found["vote correlation"].value == pytest.approx(0.8)


def test_a_ranking_is_compared_season_by_season() -> None:
    """Theirs: Ann, Cid, Ben. Ours: Ann, Ben, Cid: 1 − 6·2/(3·8) = 0.5; Dan is not ranked."""
    grades = values(ann=[3.0, 3.0], ben=[2.0, 2.0], cid=[1.0, 1.0], dan=[9.0, 9.0])
    centred = against_field(grades, ENTRIES, RACES)
    ranking = pl.DataFrame(
        {"season": [2020] * 3, "driver_id": ["ann", "cid", "ben"], "rank": [1.0, 2.0, 3.0]},
        schema_overrides={"season": pl.Int16},
    )
    found = ranking_agreement(centred, ranking)
    assert list(found) == [2020]
    assert found[2020].value == pytest.approx(0.5)
    assert found[2020].cases == 3


# Stability


def test_one_time_of_every_driver_goes_missing() -> None:
    """Of four laps of which one has no time, two times are left; the rows stay."""
    before = frame("laps", [*laps("ann", [90.0, None, 91.0, 92.0]), *laps("ben", [90.0, 91.0])])
    after = without_a_lap(before)
    assert after.height == before.height
    assert after.group_by("driver_id").agg(pl.col("lap_time_ms").count()).sort(
        "driver_id"
    ).rows() == [
        ("ann", 2),
        ("ben", 1),
    ]
    assert without_a_lap(before.reverse()).equals(after)


def test_a_change_is_measured_in_the_spread_of_the_race() -> None:
    """Grades 0, 1, 2 become 0, 2, 1: squares 2 and 2, rms 1; correlation 0.5; one place."""
    before = values(ann=[0.0], ben=[1.0], cid=[2.0])
    after = values(ann=[0.0], ben=[2.0], cid=[1.0])
    found = change(before, after)
    assert found["missing lap rms"].value == pytest.approx(1.0)
    assert found["missing lap correlation"].value == pytest.approx(0.5)
    assert found["missing lap rank shift"].value == 1.0


def test_a_grade_that_ignores_laps_is_stable() -> None:
    """Nothing moves."""
    table = frame("laps", [*laps("ann", [90.0] * 5), *laps("ben", [91.0] * 5)])
    found = stability(lambda _: values(ann=[1.0], ben=[2.0]), {"laps": table})
    assert found["missing lap rms"].value == 0.0
    assert found["missing lap correlation"].value == pytest.approx(1.0)


# Baselines


def test_results_are_grades() -> None:
    """Third place: −3 and 15 points; from the pit lane behind all four on the grid."""
    entered = ENTRIES.with_columns(
        grid_position=pl.when(pl.col("driver_id") != "cid").then("grid_position")
    )
    found = {
        name: grades.filter(session_id="2020-1", driver_id="cid")["value"].item()
        for name, grades in results(entered).items()
        if name != "random"
    }
    assert found == {"finishing position": -3.0, "points": 15.0, "grid": -4.0}


def test_a_gap_of_few_laps_is_no_grade() -> None:
    """Four common laps are too few, five are enough; qualifying counts 2 % at most."""
    for count, graded in ((4, 0), (5, 2)):
        clean = frame(
            "laps", [*laps("ann", [90.0] * count), *laps("ben", [91.0] * count)]
        ).with_columns(session_id=pl.lit("2020-1"))
        placed = qualifying({"ann": (1, 80_000), "ben": (2, 90_000)}, "2020-1")
        found = mate_gaps(PAIRS, placed, lap_gaps(PAIRS, clean))
        assert found["team-mate lap gap"].height == graded
        assert found["team-mate qualifying gap"].sort("driver_id")["value"].to_list() == [2.0, -2.0]


def test_elo_moves_by_the_surprise_after_the_race() -> None:
    """Ann wins three: +K/2, then K less what was expected; before the first race all are 0."""
    duels = PAIRS.filter(pl.col("driver_id") == "ann").with_columns(is_won=pl.lit(value=True))
    found = elo(duels, ENTRIES, RACES, 0.2).filter(pl.col("driver_id") == "ann")["value"]
    second = 0.1
    third = second + 0.2 * (1 - 1 / (1 + math.exp(-2 * second)))
    assert found.head(3).to_list() == pytest.approx([0.0, second, third])


# The proof


def past(*seasons: int) -> History:
    """Seasons of four drivers, Ann and Cid always ahead of their mates."""
    return history(
        pl.concat(sessions(ROUNDS[:6], season) for season in seasons),
        pl.concat(entries(ROUNDS[:6], TEAMS, season) for season in seasons),
        qualifying({}),
        frame("laps", laps("ann", [])),
    )


@pytest.fixture(scope="module")
def proof() -> pl.DataFrame:
    """Prove a grade and a state that are the same for all, on 2015 after 2014."""
    known = past(FITTED_THROUGH, FITTED_THROUGH + 1)
    same = pl.concat(
        metric(driver, [1.0] * 6, season) for driver in TEAMS for season in (2014, 2015)
    )
    mine = [Metric("mine", same), Metric("state", same, is_state=True)]
    named = {each.name: each for each in baseline_metrics(known)}
    baselines = [named["finishing position"], named["Elo finish"]]
    return prove([*mine, *baselines], known, range(2015, 2016), candidates=["mine"])


def test_a_proof_has_every_measure_of_every_metric(proof: pl.DataFrame) -> None:
    """A grade is averaged over ten and five races, a state is not and is asked nothing else."""
    assert proof.schema == PROOF_SCHEMA
    mine = proof.filter(pl.col("against").is_null(), metric="mine")
    assert set(mine["measure"]) >= {"accuracy", "log loss", "reliability", "car leak", "hiring"}
    assert set(mine.filter(measure="log loss")["window_races"]) == {10, 5}
    state = proof.filter(metric="state")
    assert set(state["measure"]) == {"accuracy", "log loss"}
    assert state["window_races"].null_count() == state.height == 2 * len(OUTCOMES)
    gains = proof.filter(measure="log loss gain", outcome="finish")
    assert gains["against"].to_list() == ["state", "finishing position", "Elo finish"]


def test_a_perfect_baseline_is_seen_and_a_flat_metric_is_a_coin(proof: pl.DataFrame) -> None:
    """The finishing order never changes: all finishes are foretold; equal grades tell nothing."""
    found = {
        (row["metric"], row["measure"]): row["value"]
        for row in proof.filter(outcome="finish", window_races=10).to_dicts()
    }
    assert found["finishing position", "accuracy"] == 1.0
    assert found["mine", "accuracy"] == 0.5
    assert found["mine", "log loss"] == pytest.approx(math.log(2))


def test_what_comes_later_is_not_looked_at_but_for_the_later_vote() -> None:
    """Seasons after the tested one change no figure; the vote of 2022 goes to the third of four."""
    one, other = past(2014, 2015), past(2014, 2015, 2017, 2022)
    votes = pl.DataFrame(
        {"session_id": ["2022-1"], "driver_id": ["cid"], "is_winner": [True]}
    ).with_columns(vote_share_pct=pl.lit(None, pl.Float64))
    proofs = [
        prove(
            [Metric("place", results(known.entries)["finishing position"])],
            known,
            range(2015, 2016),
            votes=votes,
        )
        for known in (one, other)
    ]
    is_later = pl.col("measure") == "later vote percentile"
    before, after = (rows.filter(~is_later) for rows in proofs)
    assert before.equals(after)
    early, late = (rows.filter(is_later).row(0, named=True) for rows in proofs)
    assert (early["value"], early["cases"]) == (None, 0)
    assert (late["value"], late["cases"]) == (pytest.approx(1 / 3), 1)
    assert (late["first_season"], late["last_season"]) == (2022, 2026)


# Gates


@pytest.mark.parametrize(
    ("gate", "value", "met"),
    [
        (Gate("accuracy", 0.6, is_floor=True), 0.6, True),
        (Gate("accuracy", 0.6, is_floor=True), 0.599, False),
        (Gate("car elasticity", 0.1, is_floor=False), -0.2, False),
        (Gate("car elasticity", 0.1, is_floor=False), -0.1, True),
        (Gate("log loss", 0.6, is_floor=False), None, False),
    ],
)
def test_a_gate_is_met_at_its_bound(gate: Gate, value: float | None, *, met: bool) -> None:
    """An elasticity counts by size; what is unknown passes nothing."""
    assert gate.is_met(value) is met


def test_gates_read_their_own_row() -> None:
    """Pace at ten races passes, that at five does not count; the rest was not measured."""
    row = {
        "metric": "mine",
        "measure": "log loss",
        "outcome": "pace",
        "scope": "tested",
        "value": 0.64,
    }
    rows = [{**row, "window_races": 10}, {**row, "window_races": 5, "value": 0.9}]
    proof = pl.DataFrame(
        [{**dict.fromkeys(PROOF_SCHEMA), **row} for row in rows], schema=PROOF_SCHEMA, orient="row"
    )
    found = examine_gates(proof, "mine", None)
    assert len(found) == sum(not gate.is_state for gate in GATES)
    assert [gate["value"] for gate in found if gate["state"] == "met"] == [0.64]
    assert {gate["state"] for gate in found} == {"met", "not measured"}
