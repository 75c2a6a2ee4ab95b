"""What `calibrate fit` computes, where the right answer is known."""

from __future__ import annotations

from functools import cache
from math import exp, log

import numpy as np
import polars as pl
import pytest

from engine.errors import ProfileError
from engine.v2.calibration import QUANTILES, PassConstants
from engine.v2.fitting import (
    Training,
    fit,
    fit_normalization,
    fit_passes,
    fit_quantiles,
    fit_start,
    logit,
)
from engine.v2.passes import PASS_EVENTS_SCHEMA, expectation
from tests.frames import frame
from tests.profiles_v2 import V2_PROFILE

TRUTH = PassConstants(
    intercept=-2.0,
    log_gap=-1.5,
    car_difference=1.0,
    log_gap_car_difference=0.4,
    tyre_age_difference=0.6,
    circuit=0.8,
    aid=0.7,
    aid_in_range=-0.5,
    race_share=-0.6,
    team_mate=0.5,
    early=-1.0,
)


def test_the_logit_of_two_groups_is_that_of_their_rates() -> None:
    """2 of 10 and 6 of 10: the coefficients are the logits; one that never changes gets nought."""
    groups = np.repeat([0.0, 1.0], 10)
    outcome = np.array([1.0] * 2 + [0.0] * 8 + [1.0] * 6 + [0.0] * 4)
    found = logit(np.column_stack([np.ones(20), groups, np.full(20, 3.0)]), outcome)
    assert found.tolist() == pytest.approx([log(0.25), log(1.5) - log(0.25), 0.0], abs=1e-10)


def test_an_outcome_that_a_feature_tells_for_certain_cannot_be_fitted() -> None:
    """The coefficient would be infinite."""
    groups = np.repeat([0.0, 1.0], 10)
    with pytest.raises(ProfileError, match="does not settle"):
        logit(np.column_stack([np.ones(20), groups]), groups)


@cache
def at_risk(count: int, seed: int = 7) -> pl.DataFrame:
    """Laps at risk whose passes happen as `TRUTH` lets expect, with the terms in the frame."""
    draw = np.random.default_rng(seed)
    season, rounds = draw.integers(2005, 2015, count), draw.integers(1, 18, count)
    made = pl.DataFrame(
        {
            "session_id": [f"{year}-{round_}" for year, round_ in zip(season, rounds, strict=True)],
            "driver_id": [f"d{number}" for number in draw.integers(0, 20, count)],
            "lap_number": draw.integers(3, 60, count).astype(np.int16),
            "opponent_id": [f"d{number}" for number in draw.integers(0, 20, count)],
            "gap_s": draw.uniform(0.0, 2.5, count),
            "car_difference_pct": draw.normal(0.0, 0.7, count),
            "tyre_age_difference_laps": draw.integers(-20, 21, count).astype(np.int16),
            "circuit_term": draw.normal(0.0, 0.5, count),
            "has_overtaking_aid": season >= 2011,
            "race_share": draw.uniform(0.0, 1.0, count),
            "is_team_mate": draw.uniform(0.0, 1.0, count) < 0.1,
        }
    )
    chance = pl.Series("chance", draw.uniform(0.0, 1.0, count))
    return made.with_columns(expectation=expectation(TRUTH), chance=chance).select(
        *(name for name in PASS_EVENTS_SCHEMA if name != "is_passed"),
        is_passed=pl.col("chance") < pl.col("expectation"),
    )


def test_the_expectation_is_recovered_from_passes_that_followed_it() -> None:
    """40,000 laps at risk: every coefficient within 0.25, the mean expectation exact."""
    laps = at_risk(40_000)
    found = fit_passes(laps)
    for name, value in TRUTH.model_dump().items():
        assert getattr(found, name) == pytest.approx(value, abs=0.25), name
    again = laps.with_columns(expectation=expectation(found))
    assert again["expectation"].mean() == pytest.approx(laps["is_passed"].mean(), abs=1e-9)


def test_too_few_passes_cannot_be_fitted() -> None:
    """The message says how many there were."""
    with pytest.raises(ProfileError, match="passes on 300 laps at risk"):
        fit_passes(at_risk(300))


def drives(*slots: tuple[int, int, float]) -> pl.DataFrame:
    """Drives: grid slot, how many starts from it, and what each gained."""
    rows = [(slot, gain) for slot, starts, gain in slots for _ in range(starts)]
    return pl.DataFrame(
        {
            "session_id": [f"2010-{number}" for number in range(len(rows))],
            "driver_id": "a",
            "driven_laps": 50,
            "grid_position": pl.Series([slot for slot, _ in rows], dtype=pl.Int16),
            "has_racecraft_evidence": True,
            "start_gain_places": [gain for _, gain in rows],
        }
    )


def test_the_usual_start_ends_before_the_first_slot_that_is_rare() -> None:
    """Slot 3 has 19 starts: slot 4, though frequent, is not used."""
    found = fit_start(drives((1, 20, -1.0), (2, 25, -0.5), (3, 19, 0.5), (4, 30, 1.0)))
    assert found.usual_gain_places == (-1.0, -0.5)


def test_the_usual_start_needs_a_usual_pole() -> None:
    """Nothing can be said without it."""
    with pytest.raises(ProfileError, match="pole"):
        fit_start(drives((1, 19, -1.0), (2, 25, -0.5)))


def season(driver: str, year: int, car: float, raw: float) -> list[dict[str, object]]:
    """Six races of a driver in a team of his own, beside an average car and an average driver."""
    mine = {"driver_id": driver, "season": year, "team_id": driver, "car_pct": car, "raw": raw}
    field = {"driver_id": f"not {driver}", "season": year, "team_id": "field"}
    return [
        {"session_id": f"{year}-{number}-{driver}", **row}
        for number in range(6)
        for row in (mine, {**field, "car_pct": -car, "raw": 12.0 - raw})
    ]


LEVELS = pl.DataFrame(
    [("a", 2010, "a", 3.0), ("a", 2011, "a", 1.0), ("b", 2010, "b", 0.0), ("b", 2011, "b", 2.0)],
    schema={"driver_id": pl.String, "season": pl.Int64, "team_id": pl.String, "car": pl.Float64},
    orient="row",
)
"""Mates of a qualified better in 2010, those of b in 2011."""


def test_a_component_is_freed_of_the_car_within_drivers() -> None:
    """Each driver's seasons rise by 0.5 per % of car; a has 1 and b 11 at an average car.

    Freed of it, every driver-race has 1 or 11.
    """
    rows = [
        row
        for driver, own, cars in (("a", 1.0, (0.0, 2.0)), ("b", 11.0, (1.0, -1.0)))
        for year, car in zip((2010, 2011), cars, strict=True)
        for row in season(driver, year, car, own + 0.5 * car)
    ]
    found = fit_normalization(pl.DataFrame(rows), "raw", 0.5, LEVELS)
    assert found.car_share == pytest.approx(-0.5, abs=1e-9)
    assert found.mean == pytest.approx(6.0)
    assert found.sd == pytest.approx((48 * 25.0 / 47) ** 0.5)
    assert found.spread == 0.5


def test_what_moves_with_the_car_but_not_with_the_mates_is_the_drivers() -> None:
    """The mates say that the cars were alike: nothing is taken from anybody."""
    rows = [*season("a", 2010, 0.0, 1.0), *season("a", 2011, 2.0, 2.0)]
    alike = LEVELS.with_columns(car=pl.lit(1.0))
    assert fit_normalization(pl.DataFrame(rows), "raw", 1.0, alike).car_share == 0.0


def test_a_component_without_differences_cannot_be_normalised() -> None:
    """Its scale would be nought."""
    rows = [{**row, "raw": 2.0} for row in season("a", 2010, 1.0, 2.0)]
    with pytest.raises(ProfileError, match="all alike"):
        fit_normalization(pl.DataFrame(rows), "raw", 1.0, LEVELS)


def test_quantiles_lie_straight_between_neighbours() -> None:
    """Of 0, 1, … 1000 the 37 % quantile is 370."""
    found = fit_quantiles(pl.Series([float(value) for value in range(1001)]))
    assert len(found) == QUANTILES
    assert found[37] == pytest.approx(370.0)
    with pytest.raises(ProfileError, match="different totals"):
        fit_quantiles(pl.Series([1.0, 2.0] * 500))


def test_a_whole_profile_is_fitted_and_carries_the_rest() -> None:
    """Half of the training years' driver-races are below grade 50 of the profile they made."""
    laps = at_risk(40_000)
    sessions = frame(
        "sessions",
        [
            {"session_id": f"{season}-{number}", "season": season, "round": number}
            for season in range(2005, 2015)
            for number in range(1, 18)
        ],
    )
    draw = np.random.default_rng(3)
    field = pl.DataFrame(
        {"driver_id": [f"d{number}" for number in range(20)]}
        | {"team_id": [f"t{number // 2}" for number in range(20)]}
    )
    entries = sessions.select("session_id").join(field, how="cross")
    count = entries.height
    slot = pl.int_range(1, 21, dtype=pl.Int16, eager=True)
    drives = entries.with_columns(
        driven_laps=pl.lit(60),
        has_racecraft_evidence=pl.lit(value=True),
        grid_position=pl.concat([slot] * sessions.height),
        start_gain_places=pl.Series(draw.normal(0.0, 2.0, count)),
    )
    pace = entries.with_columns(
        pace_against_car_pct=pl.Series(draw.normal(0.2, 0.5, count)),
        car_pct=pl.Series(draw.normal(0.0, 1.0, count)),
    )
    penalties = entries.with_columns(penalties_raw=pl.Series(draw.exponential(0.5, count)))
    terms = sessions.select("session_id", circuit_term=pl.lit(0.0))
    risky = laps.select(
        name for name in PASS_EVENTS_SCHEMA if name not in {"circuit_term", "expectation"}
    )
    qualifying = entries.with_columns(position=pl.Series(draw.permutation(count) % 20 + 1))
    made = fit(
        Training(sessions, entries, qualifying, risky, terms, drives, pace, penalties),
        V2_PROFILE,
        name="mine",
        data="simulated",
        fitted_on="2026-01-02",
        command="calibrate fit",
    )
    assert (made.name, made.provenance.first_season, made.provenance.last_season) == (
        "mine",
        2005,
        2014,
    )
    assert (made.provenance.sessions, made.provenance.driver_races) == (170, count)
    assert made.consistency.mean == pytest.approx(0.2, abs=0.03)
    assert made.consistency.sd == pytest.approx(0.5, abs=0.02)
    assert made.weights == V2_PROFILE.weights
    assert made.mistakes == V2_PROFILE.mistakes
    assert len(made.start.usual_gain_places) == 20
    assert made.total_quantiles[50] == pytest.approx(0.45, abs=0.05)
    assert 1 / (1 + exp(-made.passes.intercept)) == pytest.approx(1 / (1 + exp(2.0)), abs=0.05)
