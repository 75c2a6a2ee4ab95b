"""What is computed from a session: events, inputs of model v1, and the grades of all models."""

from __future__ import annotations

from copy import copy
from typing import Any

import dataframely as dy

from engine.tables.base import (
    COMPOUNDS,
    ID_PATTERN,
    OVERTAKE_KINDS,
    PENALTY_KINDS,
    SLUG_PATTERN,
    EntryTable,
    bounded,
    score,
    seconds,
)


class Overtakes(EntryTable):
    """One row per place gained from another running car, seen from the car that gained it.

    Scoring (model v1) reads `kind` and the columns from `is_success` on; what it takes for a
    null there is said in `engine.racecraft`.
    """

    overtake_number = dy.Int32(
        primary_key=True, min=1, description="order within the driver's session"
    )
    kind = dy.Enum(OVERTAKE_KINDS, description="only on_track counts for racecraft")
    lap_number = dy.Int16(nullable=True, min=1, max=250, description="lap of the exchange")
    opponent_id = dy.String(nullable=True, regex=ID_PATTERN, description="driver passed")
    is_success = dy.Bool(description="the place was gained")
    is_penalized = dy.Bool(nullable=True, description="the stewards punished the move")
    exposure_time_s = dy.Float64(nullable=True, min=0, max=1e5, description="time spent attacking")
    car_pace_difference_s = seconds("own car's base delta minus the opponent's", nullable=True)
    tyre_age_difference_laps = bounded(
        -1e3, 1e3, "opponent's tyre life minus the own; positive is an advantage"
    )
    compound_difference = bounded(
        -20, 20, "steps by which the own slick is softer; positive is an advantage"
    )
    ers_difference = bounded(-1e4, 1e4, "battery advantage")
    track_difficulty = bounded(-10, 10, "0 easy to pass, 1 near impossible")
    race_phase_pressure = bounded(-10, 10, "0 at the start, 1 at the flag")


class StrategyEvents(EntryTable):
    """One row per tyre change, against what the field did at that stop."""

    stop_number = dy.Int16(primary_key=True, min=1, max=100, description="1 is the first stop")
    actual_lap = dy.Int16(min=1, max=250, description="in-lap of the stop")
    optimal_lap = dy.Float64(
        nullable=True, min=1, max=250, description="field's median lap of this stop"
    )
    late_laps = dy.Float64(nullable=True, min=-250, max=250, description="actual minus optimal")
    compound_before = dy.Enum(COMPOUNDS, nullable=True, description="tyre taken off")
    compound_after = dy.Enum(COMPOUNDS, nullable=True, description="tyre fitted")
    tyre_life_laps = dy.Int16(nullable=True, min=0, max=250, description="age of the old set")
    is_under_red_flag = dy.Bool(description="free stop under a red flag, left out of the score")


class PenaltyEvents(EntryTable):
    """One row per penalty the stewards gave for driving, as announced by race control."""

    penalty_number = dy.Int16(
        primary_key=True, min=1, max=100, description="order within the driver's session"
    )
    kind = dy.Enum(PENALTY_KINDS, description="time, drive-through or stop-and-go")
    lap_number = dy.Int16(nullable=True, min=0, max=250, description="leader's lap when announced")
    time_loss_s = dy.Float64(min=0, max=1e4, description="what the penalty costs")
    message = dy.String(max_length=1000, description="the stewards' words")
    source = dy.String(regex=SLUG_PATTERN, description="table the penalty was read from")


class DriverInputs(EntryTable):
    """One row per driver and session: all that model v1 scores, besides the overtakes.

    Deltas are seconds against the field, negative is faster. Nulls and empty lists mean
    "no evidence"; what scoring does with them stands in the component's docstring.
    """

    car_base_delta_s = seconds("car's pace against the median car", nullable=True)
    car_track_adjustment_s = seconds("correction for the track, if any", nullable=True)
    form_consistency_score = bounded(0, 1, "1 when clean laps do not scatter")
    form_error_rate = bounded(0, 1, "share of clean laps lost to an error")
    form_start_precision_score = bounded(0, 1, "0.5 when places after lap 1 equal the grid")
    lap_deltas_s = dy.List(
        dy.Float64(min=-1e4, max=1e4), description="clean laps minus the field, in lap order"
    )
    optimal_pit_laps = dy.List(dy.Float64(min=0, max=1e4), description="the field's stops")
    actual_pit_laps = dy.List(dy.Float64(min=0, max=1e4), description="the driver's stops")
    degradation_penalty_score = bounded(-1e3, 1e3, "0 none; 1 and above costs half the score")
    penalty_time_losses_s = dy.List(
        dy.Float64(min=-1e4, max=1e4), description="stewards' penalties"
    )
    has_lap_clocks = dy.Bool(description="crossings of the line are known: a pass would show")
    has_race_control = dy.Bool(description="race control is known: a penalty would show")


class Grades(EntryTable):
    """One row per driver, session, profile and model version."""

    profile_name = dy.String(
        primary_key=True, regex=SLUG_PATTERN, description="calibration profile"
    )
    profile_version = dy.Int32(min=1, description="version of that profile")
    model_version = dy.String(primary_key=True, regex=SLUG_PATTERN, description="grading model")
    expected_delta_s = seconds("lap delta expected of the car and the driver's form")
    consistency_raw = score("consistency before normalisation")
    team_strategy_raw = score("team strategy before normalisation")
    racecraft_raw = score("racecraft before normalisation")
    penalties_raw = score("penalty burden before normalisation, 0 is none")
    consistency_score = score("how closely clean laps follow the expected delta")
    team_strategy_score = score("stops against the field; not part of the total")
    racecraft_score = score("passes on track, weighted by difficulty")
    penalty_score = score("penalty burden, 0 is none")
    on_track_events = dy.Int32(min=0, description="overtakes on track")
    pit_cycle_events = dy.Int32(min=0, description="places gained in any other way")
    total_grade = dy.Float64(min=-0.1, max=1.0, description="0.55 C + 0.45 R − 0.10 P")


def _or_null(name: str) -> Any:
    """Give a column of `Grades` as one that is null where it does not rest on evidence."""
    column = copy(Grades.columns()[name])
    column.nullable = True
    return column


class DriverMetrics(Grades):
    """A grade as it is published, with its provenance: same grain as `Grades`.

    A component without evidence is null; so is a total of model v1 without consistency or
    racecraft, and one of v2 without consistency. Model v2 leaves the raw values, counts and team
    strategy null: `GradeEvidence` has what its scores are made of.
    """

    expected_delta_s = _or_null("expected_delta_s")
    consistency_raw = _or_null("consistency_raw")
    team_strategy_raw = _or_null("team_strategy_raw")
    racecraft_raw = _or_null("racecraft_raw")
    penalties_raw = _or_null("penalties_raw")
    consistency_score = _or_null("consistency_score")
    team_strategy_score = _or_null("team_strategy_score")
    racecraft_score = _or_null("racecraft_score")
    penalty_score = _or_null("penalty_score")
    on_track_events = _or_null("on_track_events")
    pit_cycle_events = _or_null("pit_cycle_events")
    total_grade = bounded(-1, 1, "weighted sum of the scores; v1: 0.55 C + 0.45 R − 0.10 P")
    total_grade_low = bounded(-1, 1, "lower end of its 90 % interval; null under v1")
    total_grade_high = bounded(-1, 1, "upper end of its 90 % interval; null under v1")
    grade = bounded(0, 100, "per cent of the training driver-races below; null under v1")
    grade_low = bounded(0, 100, "lower end of its 90 % interval; null under v1")
    grade_high = bounded(0, 100, "upper end of its 90 % interval; null under v1")
    has_consistency_evidence = dy.Bool(description="the driver has clean laps")
    has_team_strategy_evidence = dy.Bool(description="the driver stopped, and a field did")
    has_racecraft_evidence = dy.Bool(description="passes of the driver would be known")
    has_penalty_evidence = dy.Bool(description="penalties of the driver would be known")
    data_source = dy.String(regex=SLUG_PATTERN, description="provider of the graded session")
    inputs_hash = dy.String(
        regex=r"^[0-9a-f]{64}$", description="SHA-256 of the driver's inputs and overtakes"
    )
