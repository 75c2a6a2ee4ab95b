"""Penalties: what the stewards took, read from race control; never slow laps.

An announcement names a penalty and a car ("5 SECOND TIME PENALTY FOR CAR 20 (MAG) - …"), in
capitals or not. Messages that a penalty was served, is investigated, was noted or withdrawn are
none, nor is a time penalty that names no seconds. Its cost:

    time penalty    the seconds announced
    drive-through   20 s, the time the FIA adds when it cannot be served
    stop-and-go     30 s likewise, or 20 s plus the seconds announced if they are more

Scoring: ``P_raw = clamp(Σ max(l, 0) / pn)``; 0 without a penalty.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import ENTRY, PENALTY_KINDS, SESSION
from engine.v1.component import Component, clamp

ANNOUNCEMENT: Final = (
    r"(?:(\d+) SECOND )?(TIME|DRIVE[ -]THROUGH|STOP(?:/| AND |-AND-| & )GO) PENALTY FOR CAR (\d+)"
)
"""Seconds (may be absent), kind and car number."""

NOT_A_PENALTY: Final = "SERVED|INVESTIGAT|NOTED|NO FURTHER|RESCINDED|CANCEL|WITHDRAWN|CORRECTION"
"""Words of messages that mention a penalty without giving one."""

STEWARDS: Final = r"^FIA STEWARDS: "
"""Opening that some messages carry and others leave out."""

DRIVE_THROUGH_S: Final = 20.0
STOP_AND_GO_S: Final = 30.0
"""Seconds the FIA adds to the race time when such a penalty cannot be served."""


def penalty_kind(word: pl.Expr) -> pl.Expr:
    """Kind of penalty from the word of the announcement."""
    return (
        pl.when(word == "TIME")
        .then(pl.lit("time"))
        .when(word.str.starts_with("DRIVE"))
        .then(pl.lit("drive_through"))
        .otherwise(pl.lit("stop_and_go"))
        .cast(pl.Enum(PENALTY_KINDS))
    )


def time_loss_s(seconds: pl.Expr) -> pl.Expr:
    """What the penalty of column `kind` costs, in s, given the seconds announced (or null)."""
    return (
        pl.when(pl.col("kind") == "time")
        .then(seconds)
        .when(pl.col("kind") == "drive_through")
        .then(DRIVE_THROUGH_S)
        .otherwise(
            pl.max_horizontal(pl.lit(STOP_AND_GO_S), DRIVE_THROUGH_S + seconds.fill_null(0.0))
        )
    )


def penalty_events(race_control: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Read the stewards' penalties out of the messages.

    Args:
        race_control: `engine.tables.RaceControl`.
        entries: `engine.tables.Entries`, to know whose car number it is.

    Returns:
        `engine.tables.PenaltyEvents`: one row per penalty; one announced twice in the same words
        on the same lap is one, the first. Penalties of cars that are not entered are left out.
    """
    words = pl.col("message").str.to_uppercase().str.replace(STEWARDS, "")
    first_announcement = pl.col("message_number").min().over(*SESSION, "words", "lap_number")
    announced = (
        race_control.with_columns(words=words)
        .filter(
            pl.col("words").str.contains(ANNOUNCEMENT)
            & ~pl.col("words").str.contains(NOT_A_PENALTY)
        )
        .filter(pl.col("message_number") == first_announcement)
        .with_columns(parts=pl.col("words").str.extract_groups(ANNOUNCEMENT))
        .with_columns(
            kind=penalty_kind(pl.col("parts").struct.field("2")),
            driver_number=pl.col("parts").struct.field("3").cast(pl.Int16, strict=False),
        )
        .with_columns(time_loss_s=time_loss_s(pl.col("parts").struct.field("1").cast(pl.Float64)))
        .filter(pl.col("time_loss_s").is_not_null())
    )
    drivers = entries.select(*ENTRY, "driver_number").drop_nulls("driver_number")
    return announced.join(drivers, on=[*SESSION, "driver_number"]).select(
        *ENTRY,
        penalty_number=pl.col("message_number").rank("ordinal").over(*ENTRY).cast(pl.Int16),
        kind="kind",
        lap_number="lap_number",
        time_loss_s="time_loss_s",
        message="message",
        source=pl.lit("race_control"),
    )


def time_losses(penalty_events: pl.LazyFrame) -> pl.LazyFrame:
    """Collect each driver's penalties: one row per penalized driver, `penalty_time_losses_s`."""
    return penalty_events.group_by(ENTRY).agg(
        penalty_time_losses_s=pl.col("time_loss_s").sort_by("penalty_number")
    )


def evidence(driver_inputs: pl.LazyFrame, _overtakes: pl.LazyFrame) -> pl.LazyFrame:
    """Sum each driver's penalties.

    Returns:
        The rows of `driver_inputs` with `penalty_time_s` (s), 0 without a penalty.
    """
    positive = pl.col("penalty_time_losses_s").list.eval(pl.element().clip(lower_bound=0.0))
    is_penalized = positive.list.len() > 0  # the sum of an empty list would be −0.0
    return driver_inputs.with_columns(
        penalty_time_s=pl.when(is_penalized).then(positive.list.sum()).otherwise(0.0)
    )


def raw() -> pl.Expr:
    """Penalty burden before normalisation, 0..1; 0 is none."""
    return clamp(pl.col("penalty_time_s") / pl.col("penalty_normalizer"))


def has_evidence() -> pl.Expr:
    """Whether the messages of race control are known, so that penalties would show."""
    return pl.col("has_race_control")


OUTPUTS: Final[dict[str, pl.DataType]] = {"penalty_time_s": pl.Float64()}

PENALTIES: Final = Component("penalties_raw", "penalty_score", evidence, OUTPUTS, raw, has_evidence)
