"""Laps on which a car could pass the one ahead, and how likely that was (model v2).

A lap is *at risk* when a car crossed the line at most 2.5 s behind another car on the same lap and
both then drove the next lap without pit lane and without neutralization. The lap ends in a pass if
the car behind is ahead at the next line. Only the nearest car ahead counts. A car's last lap
before it retires is no lap at risk, so a retirement gives nobody a pass.

    logit p = b · (1, g, Δcar, g Δcar, Δage/10, circuit, aid, aid [gap < 1 s], share, mate, early)

g = ln(gap + 0.15 s); Δcar: the level of the car ahead minus the own (% of a lap time, positive is
an advantage); Δage: laps by which the tyres ahead are older; circuit: `circuit_terms`; aid: DRS or
its successor is in the rules; share: part of the race that is over; mate: the two are team-mates;
early = exp(−laps driven / 3). Source: the study of model v2, section 4.5.

A lap at risk adds nothing to either side on average, so a safety car, which only bunches cars up,
adds and removes no score by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import polars as pl

from engine.tables import ENTRY, LAP, SESSION
from engine.v1.overtakes import OPPONENT
from engine.v2.clean_laps import is_green

if TYPE_CHECKING:
    from engine.v2.calibration import PassConstants

AnyFrame = TypeVar("AnyFrame", pl.DataFrame, pl.LazyFrame)

MAX_GAP_S: Final = 2.5
"""Gap at the line, in s, beyond which a pass within the lap is no matter of racecraft."""

GAP_OFFSET_S: Final = 0.15
"""Keeps the logarithm of a gap of nothing finite."""

AID_GAP_S: Final = 1.0
"""Gap, in s, within which the rules allow the car behind its aid."""

FIRST_SEASON_WITH_AID: Final = 2011
"""DRS from this season; from 2026 its successor, overtake mode, is taken for the same."""

EARLY_LAPS: Final = 3.0
"""Laps over which the crowding of the start fades."""

MAX_CAR_DIFFERENCE_PCT: Final = 3.0
MAX_AGE_DIFFERENCE_LAPS: Final = 30

CIRCUIT_SEASONS: Final = 8
"""Seasons before the one in question that tell how easy passing is at a circuit."""

CIRCUIT_PRIOR_LAPS: Final = 300.0
"""Laps at risk, at the average rate, that a circuit's own are added to."""

PASS_EVENTS_SCHEMA: Final = pl.Schema(
    {
        "session_id": pl.String(),
        "driver_id": pl.String(),
        "lap_number": pl.Int16(),
        "opponent_id": pl.String(),
        "gap_s": pl.Float64(),
        "car_difference_pct": pl.Float64(),
        "tyre_age_difference_laps": pl.Int16(),
        "circuit_term": pl.Float64(),
        "has_overtaking_aid": pl.Boolean(),
        "race_share": pl.Float64(),
        "is_team_mate": pl.Boolean(),
        "expectation": pl.Float64(),
        "is_passed": pl.Boolean(),
    }
)
"""One row per lap at risk, keyed by session, driver behind and lap; no nulls.

`lap_number` is the lap on which the pass was possible; `gap_s` and `race_share` are taken at the
line that begins it; `expectation` is the probability of a pass.
"""

PASS_COUNTS_SCHEMA: Final = pl.Schema(
    {
        "season": pl.Int16(),
        "circuit_id": pl.String(),
        "at_risk_laps": pl.Int64(),
        "passes": pl.Int64(),
    }
)
"""One row per season and circuit."""


def laps_at_risk(
    laps: pl.LazyFrame,
    entries: pl.LazyFrame,
    sessions: pl.LazyFrame,
    lap_fit: pl.LazyFrame,
    cars: pl.LazyFrame,
) -> pl.LazyFrame:
    """Find the laps on which a car could pass the one ahead, and what surrounded them.

    Args:
        laps: `engine.tables.Laps`, any number of sessions.
        entries: `engine.tables.Entries` of the same sessions.
        sessions: `engine.tables.Sessions` of the same sessions.
        lap_fit: rows of `engine.v2.clean_laps.clean_laps` of them, or of `engine.v2.pace`: which
            laps were green, and `tyre_age_laps`; an age that is not known is no difference.
        cars: one row per entry from `engine.v2.rating`: `car_pct`, positive is slower; a car whose
            level is not known counts as equal.

    Returns:
        `PASS_EVENTS_SCHEMA` without `circuit_term` and `expectation`. A car without known
        crossings of the line (`lap_end_ms`) has no rows.
    """
    raced = _raced_laps(laps, entries, lap_fit)
    opponent = [*SESSION, "opponent_id", "lap_number"]
    team = entries.select(*ENTRY, "team_id").join(
        cars.select(*ENTRY, "car_pct"), on=ENTRY, how="left"
    )
    distance = laps.group_by(SESSION).agg(distance_laps=pl.col("lap_number").max())
    rules = sessions.select(*SESSION, has_overtaking_aid=pl.col("season") >= FIRST_SEASON_WITH_AID)
    return (
        _followers(laps)
        .join(raced, on=LAP)
        .join(raced.rename({"driver_id": "opponent_id"}), on=opponent, suffix=OPPONENT)
        .join(team, on=ENTRY, how="left")
        .join(
            team.rename({"driver_id": "opponent_id"}),
            on=[*SESSION, "opponent_id"],
            how="left",
            suffix=OPPONENT,
        )
        .join(distance, on=SESSION)
        .join(rules, on=SESSION)
        .select(
            *LAP,
            "opponent_id",
            "gap_s",
            car_difference_pct=_lead("car_pct", MAX_CAR_DIFFERENCE_PCT).fill_nan(0.0),
            tyre_age_difference_laps=_lead("tyre_age_laps", MAX_AGE_DIFFERENCE_LAPS).cast(pl.Int16),
            has_overtaking_aid="has_overtaking_aid",
            race_share=(pl.col("lap_number") - 1) / pl.col("distance_laps"),
            is_team_mate=pl.col("team_id").eq_missing(pl.col(f"team_id{OPPONENT}")),
            is_passed=pl.col("finish_ms") < pl.col(f"finish_ms{OPPONENT}"),
        )
    )


def _timed(laps: pl.LazyFrame) -> pl.LazyFrame:
    """Leave the laps whose end was measured; that of lap 1 is no racing line yet."""
    is_made_up = pl.col("is_generated").fill_null(value=False)
    return laps.filter(
        ~is_made_up & pl.col("lap_end_ms").is_not_null() & (pl.col("lap_number") > 1)
    )


def _followers(laps: pl.LazyFrame) -> pl.LazyFrame:
    """Name the nearest car ahead at the line that begins each lap, on the same lap, and the gap.

    Returns:
        One row per lap from lap 3 on: `LAP`, `opponent_id`, `gap_s` (0 to `MAX_GAP_S`).
    """
    group = [*SESSION, "lap_number"]
    follows = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in group)
    return (
        _timed(laps)
        .select(*LAP, "lap_end_ms", "position")
        .sort(*group, "lap_end_ms", "position", "driver_id")
        .select(
            *ENTRY,
            pl.col("lap_number") + 1,
            opponent_id=pl.when(follows).then(pl.col("driver_id").shift(1)),
            gap_s=pl.col("lap_end_ms").diff() * 1e-3,
        )
        .filter(pl.col("opponent_id").is_not_null() & (pl.col("gap_s") <= MAX_GAP_S))
    )


def _raced_laps(laps: pl.LazyFrame, entries: pl.LazyFrame, lap_fit: pl.LazyFrame) -> pl.LazyFrame:
    """Give the laps driven at racing speed from line to line: `LAP`, finish and tyre age.

    A retiree's last lap is none.
    """
    retired = entries.filter(pl.col("status") == "retired").select(ENTRY)
    last = (
        laps.filter(~pl.col("is_generated").fill_null(value=False))
        .join(retired, on=ENTRY, how="semi")
        .group_by(ENTRY)
        .agg(pl.col("lap_number").max())
    )
    green = lap_fit.filter(is_green()).select(*LAP, "tyre_age_laps")
    return (
        _timed(laps)
        .select(*LAP, finish_ms="lap_end_ms")
        .join(last, on=LAP, how="anti")
        .join(green, on=LAP)
    )


def _lead(column: str, limit: float) -> pl.Expr:
    """Opponent's value minus the own, within ±limit; 0 where either is not known."""
    lead = pl.col(f"{column}{OPPONENT}").cast(pl.Float64) - pl.col(column).cast(pl.Float64)
    return lead.clip(-limit, limit).fill_null(0.0)


def pass_counts(at_risk: pl.LazyFrame, sessions: pl.LazyFrame) -> pl.LazyFrame:
    """Count laps at risk and passes by season and circuit: `PASS_COUNTS_SCHEMA`.

    Sessions whose circuit is not known are left out.
    """
    return (
        at_risk.join(
            sessions.select(*SESSION, "season", "circuit_id").drop_nulls("circuit_id"), on=SESSION
        )
        .group_by("season", "circuit_id")
        .agg(
            at_risk_laps=pl.len().cast(pl.Int64),
            passes=pl.col("is_passed").sum().cast(pl.Int64),
        )
    )


def circuit_terms(counts: pl.LazyFrame, sessions: pl.LazyFrame) -> pl.LazyFrame:
    """Tell how easy passing is at a circuit, from the seasons before.

        circuit_term = ln((passes + 300 r) / (laps at risk + 300) / r)

    over the eight seasons before the session's own, r being the rate of all circuits in them.

    Args:
        counts: `PASS_COUNTS_SCHEMA`, of any seasons; later ones and the session's own are not
            looked at.
        sessions: `engine.tables.Sessions` to give a term to.

    Returns:
        One row per session: the key and `circuit_term`; 0 for a circuit that is not known or was
        not raced at in those seasons, and where those seasons saw no pass at all.
    """
    asked = sessions.select(*SESSION, "season", "circuit_id")
    seasons = asked.select("season").unique()
    age = pl.col("season") - pl.col("season_then")
    before = seasons.join(counts.rename({"season": "season_then"}), how="cross").filter(
        age.is_between(1, CIRCUIT_SEASONS)
    )
    sums = [pl.col("at_risk_laps").sum(), pl.col("passes").sum()]
    everywhere = before.group_by("season").agg(
        rate=pl.col("passes").sum() / pl.col("at_risk_laps").sum()
    )
    here = before.group_by("season", "circuit_id").agg(sums).join(everywhere, on="season")
    rate = pl.col("rate")
    shrunk = (pl.col("passes") + CIRCUIT_PRIOR_LAPS * rate) / (
        pl.col("at_risk_laps") + CIRCUIT_PRIOR_LAPS
    )
    terms = here.filter(rate > 0).select("season", "circuit_id", circuit_term=(shrunk / rate).log())
    return asked.join(terms, on=["season", "circuit_id"], how="left").select(
        *SESSION, pl.col("circuit_term").fill_null(0.0)
    )


def features() -> dict[str, pl.Expr]:
    """Give what the logit of a pass is linear in, by the name of its coefficient.

    Expressions over `PASS_EVENTS_SCHEMA`, without the constant.
    """
    log_gap = (pl.col("gap_s") + GAP_OFFSET_S).log()
    aid = pl.col("has_overtaking_aid").cast(pl.Float64)
    return {
        "log_gap": log_gap,
        "car_difference": pl.col("car_difference_pct"),
        "log_gap_car_difference": log_gap * pl.col("car_difference_pct"),
        "tyre_age_difference": pl.col("tyre_age_difference_laps") * 0.1,
        "circuit": pl.col("circuit_term"),
        "aid": aid,
        "aid_in_range": aid * (pl.col("gap_s") < AID_GAP_S),
        "race_share": pl.col("race_share"),
        "team_mate": pl.col("is_team_mate").cast(pl.Float64),
        "early": ((1.0 - pl.col("lap_number")) * (1.0 / EARLY_LAPS)).exp(),
    }


def expectation(constants: PassConstants) -> pl.Expr:
    """Probability that the lap at risk ends in a pass, 0..1."""
    logit = pl.lit(constants.intercept)
    for name, feature in features().items():
        logit = logit + getattr(constants, name) * feature  # in one order: no bit is left to chance
    return 1.0 / (1.0 + (-logit).exp())


def pass_events(at_risk: AnyFrame, terms: AnyFrame, constants: PassConstants) -> AnyFrame:
    """Add to laps at risk what was to be expected of them.

    Args:
        at_risk: what `laps_at_risk` gave.
        terms: what `circuit_terms` gave for their sessions.
        constants: the fitted logit.

    Returns:
        `PASS_EVENTS_SCHEMA`, in the order of `at_risk`.
    """
    return (
        at_risk.join(terms, on=SESSION, how="left", maintain_order="left")
        .with_columns(pl.col("circuit_term").fill_null(0.0))
        .with_columns(expectation=expectation(constants))
        .select(PASS_EVENTS_SCHEMA.names())
    )
