"""What the grades of model v2 rest on, under which profile, and the state they went on from."""

from __future__ import annotations

import dataframely as dy

from engine.tables.base import (
    ID_PATTERN,
    SESSION_ID_PATTERN,
    SLUG_PATTERN,
    EntryTable,
    SessionTable,
)


def _pct(description: str, limit: float = 1e3) -> dy.Float64:
    return dy.Float64(nullable=True, min=-limit, max=limit, description=description)


def _error(description: str) -> dy.Float64:
    return dy.Float64(nullable=True, min=0.0, max=1e4, description=description)


def _count(description: str, *, nullable: bool = True) -> dy.Int32:
    return dy.Int32(nullable=nullable, min=0, description=description)


def _profile_name() -> dy.String:
    return dy.String(
        primary_key=True, regex=SLUG_PATTERN, description="calibration profile of the constants"
    )


def _model_version() -> dy.String:
    return dy.String(primary_key=True, regex=SLUG_PATTERN, description="grading model")


class GradeEvidence(EntryTable):
    """One row per driver who took part, profile and model: what the grade was made of.

    Percentages are of the lap time, 100 · ln(time). Null where a source does not tell.
    """

    profile_name = _profile_name()
    model_version = _model_version()
    state_session_id = dy.String(
        nullable=True,
        regex=SESSION_ID_PATTERN,
        description="session after which the rating's state was gone on from; null at the first",
    )
    clean_laps = _count("laps that the pace is taken from", nullable=False)
    refused_laps = _count("laps that it is not taken from", nullable=False)
    pace_pct = _pct("pace against the mean driver of the race, negative is faster")
    pace_se_pct = _error("standard error of the pace, of this race's laps alone")
    effective_laps = _error("laps by what they weigh against those of other races")
    dispersion_pct = _error("robust standard deviation from one clean lap to the next")
    rating_pct = _pct("driver's rating after the session, positive is faster")
    rating_se_pct = _error("its standard error")
    rating_before_pct = _pct("driver's rating before the weekend")
    car_pct = _pct("car's level that day, qualifying included, negative is faster")
    car_se_pct = _error("its standard error")
    car_before_pct = _pct("car's level expected before the weekend")
    scored_car_pct = _pct("car's level that day by the races alone, which scoring uses")
    pace_against_car_pct = _pct("pace against that car, positive is faster")
    pace_against_car_se_pct = _error("its standard error")
    attack = _pct("passes made beyond expectation")
    defence = _pct("passes not suffered beyond expectation")
    attack_laps = _count("laps on which the driver could pass")
    defence_laps = _count("laps on which the driver could be passed")
    passes_made = _count("of the first, those that ended in a pass")
    passes_suffered = _count("of the second, those that ended in a pass")
    start_gain_places = _pct("grid minus place after lap 1")
    start_places = _pct("the same beyond what is usual from that slot")
    racecraft_raw = _pct("attack + defence + half the places of the start")
    racecraft_variance = _error("its variance, in passes squared")
    slow_laps = _count("isolated slow laps in clear air")
    mistake_loss_pct = _error("what they lost, capped lap by lap")
    mistake_burden = _pct("its logarithm against the race's median")
    is_crash = dy.Bool(nullable=True, description="retired by accident, collision or spin")
    penalty_s = dy.Float64(nullable=True, min=0, max=1e5, description="stewards' penalties")
    penalties_raw = _pct("mistakes + crash + stewards")
    compared_stops = _count("stops that were compared with the field's")
    pit_cycle_lost_s = _pct("lost on them, positive is slower than the field", 1e5)
    team_pit_cycle_lost_s = _pct("lost on all stops of the team", 1e5)


class PassEvents(EntryTable):
    """One row per lap at risk, from the car behind, under a profile: `engine.v2.passes`."""

    lap_number = dy.Int16(
        primary_key=True, min=1, max=250, description="lap on which the pass was possible"
    )
    profile_name = _profile_name()
    model_version = _model_version()
    opponent_id = dy.String(regex=ID_PATTERN, description="driver of the car ahead")
    gap_s = dy.Float64(min=0, max=10, description="gap at the line that begins the lap")
    car_difference_pct = dy.Float64(
        min=-10, max=10, description="by how much the own car is the faster one"
    )
    tyre_age_difference_laps = dy.Int16(
        min=-250, max=250, description="by how much the tyres ahead are older"
    )
    circuit_term = dy.Float64(min=-20, max=20, description="log of how easy passing is there")
    has_overtaking_aid = dy.Bool(description="DRS or its successor is in the rules")
    race_share = dy.Float64(min=0, max=1, description="part of the race that is over")
    is_team_mate = dy.Bool(description="the two are team-mates")
    expectation = dy.Float64(min=0, max=1, description="probability of a pass")
    is_passed = dy.Bool(description="the car behind is ahead at the next line")


class SlowLaps(EntryTable):
    """One row per isolated slow lap in clear air, under a profile: `engine.v2.mistakes`."""

    lap_number = dy.Int16(primary_key=True, min=1, max=250, description="which lap")
    profile_name = _profile_name()
    model_version = _model_version()
    shortfall_pct = dy.Float64(min=0, max=1e3, description="slower than expected by")
    loss_pct = dy.Float64(min=0, max=1e3, description="what of it counts")


class PitCycles(EntryTable):
    """One row per stop whose cost is known, under a profile: `engine.v2.pit_cycles`."""

    stop_number = dy.Int16(primary_key=True, min=1, max=100, description="1 is the first stop")
    profile_name = _profile_name()
    model_version = _model_version()
    lap_number = dy.Int16(min=1, max=250, description="in-lap")
    is_neutralized = dy.Bool(description="in- or out-lap under safety car or the like")
    cost_s = dy.Float64(
        min=-1e5, max=1e5, description="in- and out-lap beyond the field's and the own pace"
    )
    field_cost_s = dy.Float64(
        nullable=True, min=-1e5, max=1e5, description="median of the field's comparable stops"
    )
    lost_s = dy.Float64(
        nullable=True, min=-1e5, max=1e5, description="positive is slower than the field's stops"
    )


class SessionEvidence(SessionTable):
    """One row per session with laps and profile: what all drivers of a race have in common."""

    profile_name = _profile_name()
    model_version = _model_version()
    clean_laps = _count("laps of all cars that pace is taken from", nullable=False)
    spread_pct = _error("robust standard deviation of their residuals")
    tyre_slope_pct_per_lap = _pct("what a lap of tyre age costs")
    traffic_pct = _pct("what a lap in traffic costs")
    lap_correlation = _pct("correlation of successive residuals of a stint")
    at_risk_laps = _count("laps on which a car could pass", nullable=False)
    passes = _count("of them, those that ended in a pass", nullable=False)
    circuit_term = _pct("log of how easy passing is there, from the seasons before")


class RatingStates(SessionTable):
    """One row per session, profile and kind of rating: all that later ratings rest on.

    `engine.v2.rating_state` says what the columns mean.
    """

    profile_name = _profile_name()
    model_version = _model_version()
    has_qualifying = dy.Bool(
        primary_key=True, description="qualifying is part of it; else the races alone are"
    )
    profile_version = dy.Int32(min=1, description="version of the profile")
    first_season = dy.Int16(description="season of the first session that was observed")
    is_driver = dy.List(dy.Bool(), description="of each active member: a driver, else a team")
    member_id = dy.List(dy.String(), description="of each active member: its id")
    last_season = dy.List(dy.Int16(), description="season in which it was last entered")
    mean_pct = dy.List(dy.Float64(), description="state, positive is slower")
    covariance = dy.List(dy.Float64(), description="lower triangle over them, row after row")
    retired_is_driver = dy.List(dy.Bool(), description="the same of those not seen lately")
    retired_id = dy.List(dy.String(), description="their ids")
    retired_season = dy.List(dy.Int16(), description="season as of which they stand")
    retired_mean_pct = dy.List(dy.Float64(), description="their states")
    retired_variance = dy.List(dy.Float64(), description="their variances")
