"""Pit cycles: the seconds a stop cost, against what a stop cost the field (model v2).

    cost_s   = in-lap + out-lap − (field on those two lap numbers + own pace on them)
    lost_s   = cost_s − median cost of the race's stops in the same state of the track

The field is the median time of the cars on that lap number that neither enter nor leave the pit
lane; it holds fuel, rain and safety car alike. The own pace, ``pace_pct`` of that median a lap,
counts only on laps that are not neutralized. A lap number is neutralized if half the field's laps
were refused as that or as of a slow field, a stop if either of its laps is: stops under a safety
car are compared with one another, so that nobody is credited with a stop that came cheap because
the safety car came in time. The field is taken lap by lap, not by place on the road: a stop that
lets a car out into traffic costs more.

Source: the study of model v2, section 3, strategy: a property of teams, of drivers hardly. It is
published by stop, driver and team and enters no total.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import ENTRY, LAP, SESSION
from engine.v2.exact_sums import exact_sum

PIT_LANE: Final = ("in_lap", "out_lap")
NEUTRAL: Final = ("neutralized", "slow_field")
"""Reasons of `engine.v2.clean_laps` that a lap is no field's, and that the field is not racing."""

MOST_CARS: Final = 0.5
"""Share of the field whose laps are neutral that makes the lap number so."""

MIN_FIELD_CARS: Final = 3
"""Cars on a lap number, out of the pit lane, that make a field."""

MIN_STOPS: Final = 3
"""Stops in one state of the track that make a median; one or two are their own."""

COST_RANGE_S: Final = (0.0, 90.0)
"""Cost, in s, outside which a stop is compared with nothing: a repair or a stoppage takes longer;
no stop gains time, but a car may lap the field's lap numbers at other times than the field, as
when it makes up a lap behind the safety car."""

PIT_CYCLES_SCHEMA: Final = pl.Schema(
    {
        "session_id": pl.String(),
        "driver_id": pl.String(),
        "stop_number": pl.Int16(),
        "lap_number": pl.Int16(),
        "is_neutralized": pl.Boolean(),
        "cost_s": pl.Float64(),
        "field_cost_s": pl.Float64(),
        "lost_s": pl.Float64(),
    }
)
"""One row per stop whose cost is known; `lap_number` is the in-lap.

`field_cost_s` and `lost_s` (positive: slower than the field's stops) are null for a stop that
nothing compares with.
"""


def pit_cycles(
    strategy_events: pl.LazyFrame, lap_fit: pl.LazyFrame, entry_fit: pl.LazyFrame
) -> pl.LazyFrame:
    """Measure every stop against the field's.

    Args:
        strategy_events: `engine.tables.StrategyEvents`, any number of sessions; free stops under
            a red flag are left out.
        lap_fit: `engine.v2.pace.pace_fit` of the same sessions: `lap_time_ms`, `refused_for`.
        entry_fit: `engine.v2.pace.entry_pace` of them: `pace_pct`.

    Returns:
        `PIT_CYCLES_SCHEMA`. A stop has no row if the time of its in- or out-lap, the field on
        either, or the driver's pace is not known.
    """
    timed = _extra_times(lap_fit, entry_fit)
    stops = strategy_events.filter(~pl.col("is_under_red_flag")).select(
        *ENTRY, "stop_number", lap_number="actual_lap"
    )
    after = timed.with_columns(pl.col("lap_number") - 1)
    state = [*SESSION, "is_neutralized"]
    comparable = pl.when(pl.col("cost_s").is_between(*COST_RANGE_S)).then("cost_s")
    field_cost_s = pl.when(comparable.count().over(state) >= MIN_STOPS).then(
        comparable.median().over(state)
    )
    return (
        stops.join(timed, on=LAP)
        .join(after, on=LAP, suffix="_out")
        .with_columns(
            is_neutralized=pl.col("is_neutral") | pl.col("is_neutral_out"),
            cost_s=pl.col("extra_s") + pl.col("extra_s_out"),
        )
        .with_columns(field_cost_s=pl.when(comparable.is_not_null()).then(field_cost_s))
        .with_columns(lost_s=pl.col("cost_s") - pl.col("field_cost_s"))
        .select(PIT_CYCLES_SCHEMA.names())
    )


def _extra_times(lap_fit: pl.LazyFrame, entry_fit: pl.LazyFrame) -> pl.LazyFrame:
    """Give each lap its time beyond the field's and the own pace: `LAP`, `is_neutral`, `extra_s`.

    Laps of drivers whose pace is not known, and lap numbers without a field, have no row.
    """
    refused_for = pl.col("refused_for").cast(pl.String)
    field = (
        lap_fit.filter(~refused_for.is_in(PIT_LANE).fill_null(value=False))
        .group_by(*SESSION, "lap_number")
        .agg(
            field_ms=pl.col("lap_time_ms").median(),
            cars=pl.col("lap_time_ms").count(),
            is_neutral=refused_for.is_in(NEUTRAL).fill_null(value=False).mean() >= MOST_CARS,
        )
        .filter(pl.col("cars") >= MIN_FIELD_CARS)
    )
    own = pl.when(~pl.col("is_neutral")).then((pl.col("pace_pct") * 0.01).exp()).otherwise(1.0)
    return (
        lap_fit.select(*LAP, "lap_time_ms")
        .drop_nulls("lap_time_ms")
        .join(field, on=[*SESSION, "lap_number"])
        .join(entry_fit.select(*ENTRY, "pace_pct").drop_nulls("pace_pct"), on=ENTRY)
        .select(
            *LAP,
            "is_neutral",
            extra_s=(pl.col("lap_time_ms") - pl.col("field_ms") * own) * 1e-3,
        )
    )


def team_pit_cycles(cycles: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Sum up stops by team and session.

    Args:
        cycles: `PIT_CYCLES_SCHEMA`.
        entries: `engine.tables.Entries` of the same sessions.

    Returns:
        One row per team that entered: session, `team_id`, `stops` that something compares with,
        `pit_cycle_lost_s` (Σ, positive is slower than the field; null without such stops) and
        `lost_per_stop_s`.
    """
    compared = entries.select(*ENTRY, "team_id").join(
        cycles.select(*ENTRY, "lost_s"), on=ENTRY, how="left"
    )
    return compared.group_by(*SESSION, "team_id").agg(_sums())


def driver_pit_cycles(cycles: pl.LazyFrame) -> pl.LazyFrame:
    """Sum up stops by driver and session: as `team_pit_cycles`, one row per driver who stopped."""
    return cycles.group_by(ENTRY).agg(_sums())


def _sums() -> list[pl.Expr]:
    """Count and sum of the seconds lost, null without a stop that something compares with."""
    stops, lost_s = pl.col("lost_s").count(), exact_sum(pl.col("lost_s"))
    return [
        stops.cast(pl.Int32).alias("stops"),
        pl.when(stops > 0).then(lost_s).alias("pit_cycle_lost_s"),
        pl.when(stops > 0).then(lost_s / stops).alias("lost_per_stop_s"),
    ]
