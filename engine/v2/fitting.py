"""Fitting the constants of model v2 on the races of the training years.

1. Usual start: mean of grid minus place after lap 1 by grid slot, up to the last slot with
   `MIN_STARTS` starts.
2. Expectation of a pass: maximum likelihood of the logit of `engine.v2.passes` over all laps at
   risk, by Newton's method; each season's circuit terms come from the seasons before it.
3. What is left of the car in a component: the share of the car's level with which a driver's season
   means of the score do not go with how his team-mates qualified, drivers held fixed, over seasons
   of `MIN_RACES` races with a team (`engine.validity.repeatability.car_levels`, which his own
   driving does not touch); by the secant method. Mean and standard deviation are those of all
   driver-races with it.
4. Quantiles of the total that all this gives.

What is set by hand (weights, spreads, limits of a mistake) and what other modules fit (pace,
rating) is carried over. Nothing here looks at results, points or opinions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from engine.errors import ProfileError
from engine.tables import ENTRY, SESSION
from engine.v2.calibration import (
    QUANTILES,
    CalibrationProfileV2,
    Normalization,
    PassConstants,
    Provenance,
    StartConstants,
    profile_frame_v2,
)
from engine.v2.exact_sums import exact_sum
from engine.v2.grade import SCORED, grade_v2, limited_score
from engine.v2.passes import features, pass_events
from engine.v2.racecraft import racecraft
from engine.validity.duels import grands_prix
from engine.validity.repeatability import DRIVE, MIN_RACES, car_levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_STARTS: Final = 20
"""Starts from a grid slot that make a mean."""

NEWTON_STEPS: Final = 25
"""Steps of Newton's method; the logit of a few features settles within ten."""

SETTLED: Final = 1e-10
"""Largest change of what is fitted in the last step."""

SECANT_STEPS: Final = 30
"""Steps of the secant method; it settles within eight."""

DECIMALS: Final = 9
"""Decimals of a fitted constant: the order in which rows are summed moves only later ones."""

MIN_PASSES: Final = 200
"""Passes, and laps at risk without one, below which no expectation is fitted."""


class Training(NamedTuple):
    """Frames of the Grands Prix of the training years.

    Attributes:
        sessions: `engine.tables.Sessions`.
        entries: `engine.tables.Entries`.
        qualifying: one row per driver and race: the key and `position`.
        at_risk: `engine.v2.passes.laps_at_risk`.
        circuit_terms: `engine.v2.passes.circuit_terms`, one row per session.
        drives: `engine.v2.racecraft.drives`.
        pace: `engine.v2.rating.Rating.entries` of a rating of the races alone: with qualifying, a
            car is half known by what its drivers did in it, and the grade leaks more of the car.
        penalties: one row per entry: `penalties_raw`, by the limits of the profile carried over.
    """

    sessions: pl.DataFrame
    entries: pl.DataFrame
    qualifying: pl.DataFrame
    at_risk: pl.DataFrame
    circuit_terms: pl.DataFrame
    drives: pl.DataFrame
    pace: pl.DataFrame
    penalties: pl.DataFrame


def fit(
    training: Training,
    carried: CalibrationProfileV2,
    *,
    name: str,
    data: str,
    fitted_on: str,
    command: str,
) -> CalibrationProfileV2:
    """Fit a profile.

    Args:
        training: what to fit on.
        carried: profile whose constants that are not fitted here are carried over.
        name: what the new profile is called; its version is 1.
        data: which data these are, for the provenance.
        fitted_on: day of the fit, ``YYYY-MM-DD``.
        command: command that asked for it.

    Raises:
        ProfileError: the training years do not hold enough to fit on.
    """
    start = fit_start(training.drives)
    passes = fit_passes(
        training.at_risk.join(training.circuit_terms, on=SESSION, how="left", maintain_order="left")
    )
    events = pass_events(training.at_risk, training.circuit_terms, passes)
    components = (
        training.sessions.select(*SESSION, "season")
        .join(training.entries.select(*ENTRY, "team_id"), on=SESSION)
        .join(training.pace.select(*ENTRY, "pace_against_car_pct", "car_pct"), on=ENTRY)
        .join(racecraft(training.drives, events, start), on=ENTRY, how="left")
        .join(training.penalties.select(*ENTRY, "penalties_raw"), on=ENTRY, how="left")
        .with_columns(pace_against_car_se_pct=pl.lit(None, dtype=pl.Float64))
        .sort(ENTRY)
    )
    levels = car_levels(training.entries, grands_prix(training.sessions), training.qualifying)
    fitted = carried.model_copy(
        update={
            "name": name,
            "version": 1,
            "passes": passes,
            "start": start,
            **{
                part: fit_normalization(components, raw, getattr(carried, part).spread, levels)
                for part, raw in SCORED.items()
            },
        }
    )
    totals = grade_v2(components, profile_frame_v2([fitted]))["total_grade"].drop_nulls()
    provenance = Provenance(
        first_season=training.sessions.select(pl.col("season").min()).item(),
        last_season=training.sessions.select(pl.col("season").max()).item(),
        sessions=training.sessions.height,
        driver_races=totals.len(),
        laps_at_risk=training.at_risk.height,
        data=data,
        fitted_on=fitted_on,
        command=command,
    )
    update = {"total_quantiles": fit_quantiles(totals), "provenance": provenance}
    whole = fitted.model_copy(update=update)
    return CalibrationProfileV2.model_validate_json(whole.model_dump_json())


def fit_start(drives: pl.DataFrame) -> StartConstants:
    """Fit the usual gain on lap 1.

    Args:
        drives: `engine.v2.racecraft.drives`.

    Raises:
        ProfileError: not even pole has `MIN_STARTS` starts.
    """
    by_slot = (
        drives.drop_nulls("start_gain_places")
        .group_by("grid_position")
        .agg(
            starts=pl.len(),
            gain=(exact_sum(pl.col("start_gain_places")) / pl.len()).round(DECIMALS),
        )
        .sort("grid_position")
        .with_columns(slot=pl.int_range(1, pl.len() + 1))
        .with_columns(
            is_usable=(
                (pl.col("grid_position") == pl.col("slot")) & (pl.col("starts") >= MIN_STARTS)
            )
            .cast(pl.Int8)
            .cum_min()
        )
        .filter(pl.col("is_usable") == 1)
    )
    if by_slot.is_empty():
        raise ProfileError(
            f"the usual start cannot be fitted: pole has fewer than {MIN_STARTS} known starts in "
            "the training years; train on more seasons"
        )
    return StartConstants(usual_gain_places=tuple(by_slot["gain"].to_list()))


def fit_passes(at_risk: pl.DataFrame) -> PassConstants:
    """Fit the expectation of a pass.

    Args:
        at_risk: laps at risk with their `circuit_term`.

    Raises:
        ProfileError: there are too few laps at risk with a pass, or without one, or the features
            do not tell them apart one by one.
    """
    passed = at_risk["is_passed"].cast(pl.Float64).to_numpy()
    passes = int(passed.sum())
    if min(passes, len(passed) - passes) < MIN_PASSES:
        raise ProfileError(
            f"the expectation of a pass cannot be fitted: {passes} passes on {len(passed)} laps at "
            f"risk, and at least {MIN_PASSES} with and without are needed; train on more seasons"
        )
    named = features()
    values = at_risk.select(pl.lit(1.0).alias("intercept"), **named).to_numpy()
    coefficients = logit(values.astype(np.float64), passed)
    names = ("intercept", *named)
    return PassConstants.model_validate(
        dict(zip(names, coefficients.round(DECIMALS).tolist(), strict=True))
    )


def logit(features: NDArray[np.float64], outcome: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maximum likelihood of P(outcome = 1) = 1 / (1 + exp(−features · b)), by Newton's method.

    A feature that is the same throughout, as the overtaking aid of late seasons, has the
    coefficient 0: the intercept holds it.

    Args:
        features: rows × features, the first of them the intercept's 1.
        outcome: 0 or 1 per row.

    Raises:
        ProfileError: it does not settle, as with outcomes that a feature tells apart for certain,
            or features that are sums of one another.
    """
    is_used = np.ptp(features, axis=0) > 0.0
    is_used[0] = True
    used = np.flatnonzero(is_used)
    x = features[:, used]
    b = np.zeros(len(used))
    for _ in range(NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-(x @ b)))
        information = x.T @ (x * (p * (1.0 - p))[:, None])
        try:
            step = np.linalg.solve(information, x.T @ (outcome - p))
        except np.linalg.LinAlgError:
            break
        b += step
        if np.abs(step).max() < SETTLED:
            whole = np.zeros(features.shape[1])
            whole[used] = b
            return whole
    raise ProfileError(
        f"the expectation of a pass cannot be fitted: Newton's method on {len(outcome)} laps at "
        "risk does not settle; train on more seasons"
    )


def fit_normalization(
    components: pl.DataFrame, raw: str, spread: float, levels: pl.DataFrame
) -> Normalization:
    """Fit what makes a component's raw value a score.

    Args:
        components: one row per driver-race: key, `season`, `team_id`, `car_pct`, the raw value.
        raw: its column.
        spread: is carried over.
        levels: `engine.validity.repeatability.car_levels`.

    Raises:
        ProfileError: the component is unknown or the same for all, or the car in it does not
            settle. Where nothing tells the cars apart, the share is 0.
    """
    known = components.drop_nulls([raw, "car_pct"]).sort(ENTRY)
    if known[raw].n_unique() < 2:
        raise ProfileError(
            f"{raw} cannot be normalised: {known.height} driver-races of the training years know "
            "it, all alike; train on more seasons"
        )
    before, last = _normalized(known, raw, spread, 0.0), _normalized(known, raw, spread, 1.0)
    moved_before, moved = (_moved_by_car(known, raw, each, levels) for each in (before, last))
    if moved == moved_before:
        return before
    for _ in range(SECANT_STEPS):
        step = -moved * (last.car_share - before.car_share) / (moved - moved_before)
        before, moved_before = last, moved
        last = _normalized(known, raw, spread, before.car_share + step)
        moved = _moved_by_car(known, raw, last, levels)
        if moved == moved_before or abs(step) < SETTLED:
            return _normalized(known, raw, spread, round(last.car_share, DECIMALS))
    raise ProfileError(
        f"{raw} cannot be freed of the car: the secant method on {known.height} driver-races of "
        "the training years does not settle; train on more seasons"
    )


def _normalized(known: pl.DataFrame, raw: str, spread: float, car_share: float) -> Normalization:
    """Take mean and standard deviation with a given share of the car."""
    neutral = (known[raw] + car_share * known["car_pct"]).to_numpy()
    return Normalization(
        car_share=car_share,
        mean=round(float(neutral.mean()), DECIMALS),
        sd=round(float(neutral.std(ddof=1)), DECIMALS),
        spread=spread,
    )


def _moved_by_car(
    known: pl.DataFrame, raw: str, used: Normalization, levels: pl.DataFrame
) -> float:
    """Tell how a driver's season means of the score, against the race, go with his mates' level.

    Returns:
        Σ score · level over driver-seasons with a team, both within drivers; 0 without any.
    """
    z = (pl.col(raw) + used.car_share * pl.col("car_pct") - used.mean) * (1.0 / used.sd)
    drives = (
        known.with_columns(score=limited_score(z, pl.lit(used.spread)))
        .with_columns(pl.col("score") - pl.col("score").mean().over(SESSION))
        .group_by(DRIVE)
        .agg(score=exact_sum(pl.col("score")) / pl.len(), races=pl.len())
        .filter(pl.col("races") >= MIN_RACES)
        .join(levels, on=DRIVE)
        .sort(DRIVE)
        .select(pl.col("score", "car") - pl.col("score", "car").mean().over("driver_id"))
    )
    return float(drives["score"].to_numpy() @ drives["car"].to_numpy())


def fit_quantiles(totals: pl.Series) -> tuple[float, ...]:
    """Give the totals' quantiles at 0 %, 1 %, … 100 %, straight between neighbours.

    Raises:
        ProfileError: there are too few different totals for them to rise.
    """
    if totals.n_unique() < 2 * QUANTILES:
        raise ProfileError(
            f"the scale of 0 to 100 cannot be fitted: the training years have {totals.n_unique()} "
            f"different totals, and {2 * QUANTILES} are needed; train on more seasons"
        )
    return tuple(
        np.quantile(totals.to_numpy(), np.linspace(0.0, 1.0, QUANTILES)).round(DECIMALS).tolist()
    )
