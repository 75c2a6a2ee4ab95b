"""Prediction: how well a metric tells beforehand who wins a duel of team-mates.

    P(i beats j) = 1 / (1 + exp(−b (x_i − x_j)))

x is what the metric said before the race; b is fitted by maximum likelihood on seasons that are
not tested (`FITTED_THROUGH`), for each metric and outcome. A driver of whom the metric says
nothing has P = 0.5, so that silence costs what it is worth. There is no intercept: naming the
pair the other way round changes nothing.

    accuracy = share of duels whose winner had P > 0.5; P = 0.5 counts as half
    log loss = mean of −ln P(what happened); a coin has 0.693
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from engine.validity.duels import PAIR_SEASON, differences
from engine.validity.estimates import Estimate, estimate, ratio

if TYPE_CHECKING:
    from engine.validity.estimates import Floats

FITTED_THROUGH: Final = 2014
"""Last season that slopes, and the constants of the grades, are fitted on."""

NEWTON_STEPS: Final = 50
"""Most steps of a fit; six are usual."""

LARGEST_LOGIT: Final = 12.0
"""Log-odds beyond which no prediction goes: one in 160 000."""


class Prediction(NamedTuple):
    """Duels with what a metric foretold: `PAIR_SEASON`, `probability`, `hit` and `loss`."""

    duels: pl.DataFrame
    slope: float


def predict(duels: pl.DataFrame, known: pl.DataFrame, seasons: range) -> Prediction:
    """Foretell the duels of one outcome.

    Args:
        duels: rows of one outcome of `engine.validity.duels.duels`, of tested and other seasons.
        known: what was known of each driver before each race: the key and `value`.
        seasons: tested ones.

    Returns:
        One row per duel of the tested seasons, in the order given, and the slope.
    """
    contests = differences(duels, known)
    past = contests.filter(
        (pl.col("season") <= FITTED_THROUGH) & pl.col("difference").is_not_null()
    )
    slope = fit_slope(past["difference"].to_numpy(), past["is_won"].to_numpy().astype(np.float64))
    logit = (slope * pl.col("difference").fill_null(0.0)).clip(-LARGEST_LOGIT, LARGEST_LOGIT)
    probability = 1.0 / (1.0 + (-logit).exp())
    of_outcome = pl.when("is_won").then("probability").otherwise(1.0 - pl.col("probability"))
    tested = (
        contests.filter(pl.col("season").is_between(seasons.start, seasons.stop - 1))
        .with_columns(probability=probability)
        .with_columns(of_outcome=of_outcome)
        .select(
            *PAIR_SEASON,
            "session_id",
            "probability",
            hit=0.5 + 0.5 * (pl.col("of_outcome") - 0.5).sign(),
            loss=-pl.col("of_outcome").log(),
        )
    )
    return Prediction(tested, slope)


def fit_slope(differences: Floats, won: Floats) -> float:
    """Fit b by Newton's method; 0 where the differences say nothing.

    Args:
        differences: x_i − x_j.
        won: 1 if i won, else 0.
    """
    scale = float(np.sqrt(np.mean(differences**2))) if len(differences) else 0.0
    if scale == 0.0:
        return 0.0
    unit, slope = differences / scale, 0.0
    for _ in range(NEWTON_STEPS):
        probability = 1.0 / (1.0 + np.exp(-np.clip(slope * unit, -LARGEST_LOGIT, LARGEST_LOGIT)))
        step = float(unit @ (won - probability)) / float(
            unit**2 @ (probability * (1.0 - probability))
        )
        slope = float(np.clip(slope + np.clip(step, -1.0, 1.0), -LARGEST_LOGIT, LARGEST_LOGIT))
        if abs(step) < 1e-10:
            break
    return slope / scale


def accuracy(prediction: Prediction) -> Estimate:
    """Give the share of duels foretold, with its interval over pair-seasons."""
    return _mean(prediction.duels.rename({"hit": "figure"}))


def log_loss(prediction: Prediction) -> Estimate:
    """Give the mean loss, with its interval over pair-seasons."""
    return _mean(prediction.duels.rename({"loss": "figure"}))


def log_loss_gain(prediction: Prediction, against: Prediction) -> Estimate:
    """Give by how much a metric loses less than another on the same duels; positive is better."""
    figure = against.duels["loss"] - prediction.duels["loss"]
    return _mean(prediction.duels.with_columns(figure=figure))


def _mean(rows: pl.DataFrame) -> Estimate:
    """Mean of `figure`, its interval over pair-seasons."""
    sums = rows.group_by(PAIR_SEASON).agg(pl.len(), pl.col("figure").sum()).sort(PAIR_SEASON)
    return estimate(
        sums.select("len", "figure").cast(pl.Float64).to_numpy(), ratio, cases=rows.height
    )
