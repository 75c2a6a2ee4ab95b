"""Estimates with their intervals: a figure of sums over clusters, and a bootstrap of the clusters.

Races of one pair of team-mates in one season are not independent, nor are the drivers of one race.
What belongs together is a cluster; a cluster is drawn whole. A figure is a function of sums over
clusters, so that a bootstrap is one product of a matrix of drawn counts and a matrix of sums.

The draws are seeded: the same clusters in the same order give the same interval.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DRAWS: Final = 2000
"""Bootstrap samples; the ends of a 95 % interval then move by a fortieth of its width."""

SEED: Final = 20150315
"""Of the draws."""

CONFIDENCE: Final = 0.95
"""Share of the draws that an interval holds."""


class Estimate(NamedTuple):
    """A figure; all but `cases` are null where there is nothing to compute it from.

    Attributes:
        value: of all cases.
        low: lower end of the interval.
        high: upper end of the interval.
        cases: what was counted (duels, pair-seasons, races …).
    """

    value: float | None
    low: float | None
    high: float | None
    cases: int


def estimate(sums: Floats, figure: Callable[[Floats], Floats], cases: int) -> Estimate:
    """Compute a figure and its interval.

    Args:
        sums: one row per cluster, in an order that does not depend on chance; one column per sum.
        figure: sums in the last axis → the figure; not finite where it cannot be told.
        cases: to be reported.
    """
    if not len(sums):
        return Estimate(None, None, None, cases)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(figure(sums.sum(axis=0)))
        samples = figure(_drawn(len(sums)) @ sums)
    samples = samples[np.isfinite(samples)]
    if not np.isfinite(value) or not len(samples):
        return Estimate(None, None, None, cases)
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail])
    return Estimate(value, float(low), float(high), cases)


@lru_cache(maxsize=16)
def _drawn(clusters: int) -> Floats:
    """How often each cluster is drawn: one row per draw."""
    generator = np.random.default_rng(SEED)
    shares = np.full(clusters, 1.0 / clusters)
    return generator.multinomial(clusters, shares, size=DRAWS).astype(np.float64)


def ratio(sums: Floats) -> Floats:
    """Give the second sum over the first: a mean if the first counts."""
    quotient: Floats = sums[..., 1] / sums[..., 0]
    return quotient


def mean(values: Floats) -> Estimate:
    """Give the mean of values that are a cluster each."""
    return estimate(np.stack([np.ones(len(values)), values], axis=1), ratio, len(values))
