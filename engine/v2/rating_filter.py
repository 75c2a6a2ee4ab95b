"""Filter of the rating: what a session does to the state (formulas in `engine.v2.rating`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from engine.v2.rating_state import Member

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.tables import SessionKey
    from engine.v2.rating_state import Floats, Integers, RatingState, Retired

DIFFUSE_VARIANCE: Final = 100.0
"""Variance of a session's level, in %²: as good as not known."""

DOUBTFUL_SDS: Final = 2.0
"""Standard deviations from which an observation counts less."""


@dataclass(frozen=True)
class RatingConstants:
    """Constants of the filter; variances are of percentages of the lap time.

    Attributes:
        car_carry_over: share of a car's state that outlives the winter.
        car_season_sd: what a winter adds to a car.
        driver_season_sd: what a winter adds to a driver.
        driver_mean: state of a new driver.
        driver_sd: its standard deviation.
        team_mean: state of a new team's car.
        team_sd: its standard deviation.
        driver_round_sd: what a round adds to a driver.
        car_round_sd: what a round adds to a car.
        team_day_sd: what car and team have on one day.
        pace_sd: error of a pace from any number of laps.
        pace_lap_sd: error of the pace of one effective lap.
        qualifying_laps: effective laps that a qualifying counts for.
        min_effective_laps: below which a pace is not looked at.
        min_drivers: below which a session is not.
        memory_seasons: whole seasons without an entry after which a member retires.
    """

    car_carry_over: float = 0.7
    car_season_sd: float = 0.4
    driver_season_sd: float = 0.067
    driver_mean: float = 0.0
    driver_sd: float = 0.225
    team_mean: float = 0.8
    team_sd: float = 1.4
    driver_round_sd: float = 0.015
    car_round_sd: float = 0.08
    team_day_sd: float = 0.2
    pace_sd: float = 0.188
    pace_lap_sd: float = 1.6
    qualifying_laps: float = 40.0
    min_effective_laps: float = 3.0
    min_drivers: int = 6
    memory_seasons: int = 1


class Field(NamedTuple):
    """A session with its entries, place by place; an observation that is missing is NaN."""

    session: SessionKey
    driver_ids: list[str]
    team_ids: list[str]
    pace_pct: Floats
    effective_laps: Floats
    qualifying_pct: Floats


class Step(NamedTuple):
    """What a session gave its entries, place by place: columns of `rating.RATING_SCHEMA`."""

    rating_pct: Floats
    rating_variance: Floats
    rating_before_pct: Floats
    car_pct: Floats
    car_variance: Floats
    car_before_pct: Floats
    pace_against_car_pct: Floats


def has_pace(field: Field, used: RatingConstants) -> bool:
    """Whether the pace of enough of the field is known: the first such session begins it all."""
    return len(_seen(field.pace_pct, field.effective_laps, used)) > 0


def nothing(field: Field) -> Step:
    """Give every entry of a session before the first known pace nothing."""
    unknown = np.full(len(field.driver_ids), np.nan)
    return Step(*[unknown] * len(Step._fields))


def advance(state: RatingState, field: Field, used: RatingConstants) -> Step:
    """Take the state through a session, in place.

    Returns:
        What the session gave each entry.
    """
    season = field.session.season
    entered = [Member(is_driver=True, member_id=name) for name in field.driver_ids]
    entered += [Member(is_driver=False, member_id=name) for name in field.team_ids]
    is_new_round = state.session is None or state.session[:2] != field.session[:2]
    _pass_winters(state, season, used)
    _enter(state, list(dict.fromkeys(entered)), season, used, is_new_round=is_new_round)
    state.session = field.session
    places = {member: place for place, member in enumerate(state.members)}
    drivers, teams = np.array([places[member] for member in entered]).reshape(2, -1)
    before = state.mean.copy()
    qualifying_laps = np.full(len(drivers), used.qualifying_laps)
    _observe(state, drivers, teams, field.qualifying_pct, qualifying_laps, used=used)
    level, day, car_variance = _observe(
        state, drivers, teams, field.pace_pct, field.effective_laps, used=used
    )
    car = state.mean[teams] + day[teams]
    against_car = np.full(len(drivers), np.nan)
    seen = _seen(field.pace_pct, field.effective_laps, used)
    against_car[seen] = (level + car - field.pace_pct)[seen]
    return Step(
        rating_pct=0.0 - state.mean[drivers],
        rating_variance=state.covariance[drivers, drivers],
        rating_before_pct=0.0 - before[drivers],
        car_pct=car,
        car_variance=car_variance[teams],
        car_before_pct=before[teams],
        pace_against_car_pct=against_car,
    )


def _seen(value: Floats, laps: Floats, used: RatingConstants) -> Integers:
    """Places of the entries whose observation counts; none if they are too few."""
    places = np.flatnonzero(np.isfinite(value) & (laps >= used.min_effective_laps))
    return places if len(places) >= used.min_drivers else places[:0]


def _pass_winters(state: RatingState, season: int, used: RatingConstants) -> None:
    """Let the winters since the last session pass, and retire who was away too long."""
    if state.session is None:
        state.first_season = season
        return
    is_driver = state.is_driver()
    for _ in range(state.session.season, season):
        carried = np.where(is_driver, 1.0, used.car_carry_over)
        state.mean *= carried
        state.covariance *= np.outer(carried, carried)
        _add_variance(state, is_driver, used.driver_season_sd)
        _add_variance(state, ~is_driver, used.car_season_sd)
    state.retire(season - state.last_season <= used.memory_seasons, season)


def _enter(
    state: RatingState,
    members: list[Member],
    season: int,
    used: RatingConstants,
    *,
    is_new_round: bool,
) -> None:
    """Make everyone entered active, and let a new round move them."""
    active = set(state.members)
    for member in members:
        if member in active:
            continue
        retired = state.retired.pop(member, None)
        mean, variance = (
            _newcomer(member, used, is_first=season == state.first_season)
            if retired is None
            else _returned(member, retired, season, used)
        )
        state.add(member, season, mean, variance)
    wanted = set(members)
    is_entered = np.array([member in wanted for member in state.members])
    state.last_season[is_entered] = season
    if is_new_round:
        is_driver = state.is_driver()
        _add_variance(state, is_entered & is_driver, used.driver_round_sd)
        _add_variance(state, is_entered & ~is_driver, used.car_round_sd)


def _newcomer(member: Member, used: RatingConstants, *, is_first: bool) -> tuple[float, float]:
    """Mean and variance of a member never seen; in the first season all are equal."""
    mean, sd = (
        (used.driver_mean, used.driver_sd) if member.is_driver else (used.team_mean, used.team_sd)
    )
    return (0.0 if is_first else mean), sd**2


def _returned(
    member: Member, retired: Retired, season: int, used: RatingConstants
) -> tuple[float, float]:
    """Mean and variance of a retired member after the winters since."""
    mean, variance, since = retired
    carried = 1.0 if member.is_driver else used.car_carry_over
    added = used.driver_season_sd if member.is_driver else used.car_season_sd
    for _ in range(since, season):
        mean, variance = mean * carried, variance * carried**2 + added**2
    return mean, variance


def _median(values: Floats) -> float:
    """Median of a few numbers; that of NumPy takes five times as long."""
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2.0


def _add_variance(state: RatingState, which: NDArray[np.bool_], sd: float) -> None:
    places = np.flatnonzero(which)
    state.covariance[places, places] += sd**2


def _observe(
    state: RatingState,
    drivers: Integers,
    teams: Integers,
    value: Floats,
    laps: Floats,
    *,
    used: RatingConstants,
) -> tuple[float, Floats, Floats]:
    """Bring the states up to one observation of the field.

    Args:
        state: changed in place, if enough of the field was seen.
        drivers: place of each entry's driver in the state.
        teams: place of each entry's team.
        value: what was observed of each entry, in %; NaN if nothing was.
        laps: effective laps it rests on.
        used: constants.

    Returns:
        The level μ of the field; what each member of the state had that day (u of a team, else
        0); variance of each member's state with that.
    """
    day = np.zeros(len(state.members))
    seen = _seen(value, laps, used)
    if not len(seen):
        return np.nan, day, np.diag(state.covariance).copy()
    drivers, teams = drivers[seen], teams[seen]
    shared = (teams[:, None] == teams) * used.team_day_sd**2
    error = used.pace_sd**2 + used.pace_lap_sd**2 / laps[seen]
    with_states = state.covariance[:, drivers] + state.covariance[:, teams]
    expected = with_states[drivers] + with_states[teams]
    left = value[seen] - state.mean[drivers] - state.mean[teams]

    sds = np.sqrt(np.diag(expected + shared) + error)
    doubt = np.maximum(1.0, np.abs(left - _median(left)) / (DOUBTFUL_SDS * sds)) ** 2
    known = expected + shared * np.sqrt(np.outer(doubt, doubt)) + np.diag(error * doubt)
    of_level = np.linalg.solve(known, np.ones(len(seen)))
    level = float(of_level @ left / of_level.sum())
    inverse = np.linalg.inv(known + DIFFUSE_VARIANCE)

    with_day = with_states.copy()
    with_day[teams] += shared
    variance = np.diag(state.covariance).copy()
    variance[teams] += used.team_day_sd**2
    variance -= np.einsum("ij,jk,ik->i", with_day, inverse, with_day)
    day[teams] = shared @ np.linalg.solve(known, left - level)
    state.mean += with_states @ inverse @ (left - level)
    state.covariance -= with_states @ inverse @ with_states.T
    state.covariance = (state.covariance + state.covariance.T) / 2.0
    return level, day, variance
