"""Agreement of a metric with people: the vote for the Driver of the Day, and ranked lists.

People see the result, and reward the car along with the driver; a metric that agrees with them
better than the finishing position does would be a table of results. So agreement is a guard
against nonsense, not an aim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from engine.tables import ENTRY, SESSION
from engine.validity.estimates import Estimate, estimate, mean

if TYPE_CHECKING:
    from engine.validity.estimates import Floats

BEST: Final = 3
"""Places that count as agreement with the vote."""


def vote_agreement(values: pl.DataFrame, votes: pl.DataFrame) -> dict[str, Estimate]:
    """Compare a metric with the Driver of the Day.

    Args:
        values: the metric: the key and `value`.
        votes: one row per driver that is named: the key, `is_winner`, and `vote_share_pct`, null
            where only the winner is known. Who is not named had no votes.

    Returns:
        `vote percentile` (share of the other graded drivers whom the winner outdid), `vote top 3`
        and `vote correlation` (mean over races of Spearman's, all graded drivers), each with its
        interval over races. A race whose winner has no grade is left out of the first two.
    """
    ranked = values.drop_nulls("value").select(
        *ENTRY,
        "value",
        rank=pl.col("value").rank(descending=True).over(*SESSION),
        graded=pl.len().over(*SESSION),
    )
    winners = (
        votes.filter("is_winner").join(ranked, on=ENTRY).filter(pl.col("graded") > 1).sort(ENTRY)
    )
    outdone = (pl.col("graded") - pl.col("rank")) / (pl.col("graded") - 1)
    shared = votes.filter(pl.col("vote_share_pct").is_not_null())
    agreed = (
        ranked.join(shared.select(SESSION).unique(), on=SESSION, how="semi")
        .join(shared.select(*ENTRY, "vote_share_pct"), on=ENTRY, how="left")
        .with_columns(pl.col("vote_share_pct").fill_null(0.0))
        .group_by(SESSION)
        .agg(correlation=pl.corr("value", "vote_share_pct", method="spearman"))
        .filter(pl.col("correlation").is_finite())
        .sort(SESSION)
    )
    return {
        "vote percentile": mean(winners.select(outdone).to_series().to_numpy()),
        "vote top 3": mean(
            winners.select((pl.col("rank") <= BEST).cast(pl.Float64)).to_series().to_numpy()
        ),
        "vote correlation": mean(agreed["correlation"].to_numpy()),
    }


def ranking_agreement(centred: pl.DataFrame, ranking: pl.DataFrame) -> dict[int, Estimate]:
    """Compare season means of a metric with somebody's ranking of a season's drivers.

    Args:
        centred: what `engine.validity.repeatability.against_field` gave.
        ranking: one row per season and driver: `season`, `driver_id`, `rank`, 1 is the best.

    Returns:
        Season → Spearman's correlation, 1 if the orders are equal, its interval over drivers (the
        ranks held fixed), and how many drivers have both; seasons without any are left out.
    """
    means = (
        centred.group_by("season", "driver_id")
        .agg(pl.col("value").mean())
        .join(ranking, on=["season", "driver_id"])
        .select(
            "season",
            "driver_id",
            own=pl.col("value").rank().over("season"),
            theirs=pl.col("rank").rank(descending=True).over("season"),
        )
        .sort("season", "driver_id")
    )
    found = {}
    for rows in means.partition_by("season", maintain_order=True):
        own, theirs = (rows[name].to_numpy() for name in ("own", "theirs"))
        products = [np.ones(len(own)), own, theirs, own**2, theirs**2, own * theirs]
        sums = np.stack(products, axis=1)
        found[int(rows["season"][0])] = estimate(sums, _correlation, cases=rows.height)
    return found


def _correlation(sums: Floats) -> Floats:
    """Pearson's correlation from count, sums, squares and products."""
    count, own, theirs, own_square, theirs_square, product = np.moveaxis(sums, -1, 0)
    spread = (own_square - own**2 / count) * (theirs_square - theirs**2 / count)
    correlation: Floats = (product - own * theirs / count) / np.sqrt(np.maximum(spread, 0.0))
    return correlation
