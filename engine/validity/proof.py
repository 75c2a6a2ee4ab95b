"""The proof: every measure of validity for every metric, in one table.

A metric is any frame of a number per driver and race. A grade says how a race was driven and
predicts by the mean of the last ones (`WINDOWS_RACES`); a state, such as a rating, is what was
known before the race and predicts as it is. Only grades are asked whether they repeat, whether
they are free of the car, and what people think.

Predictions and votes are of the tested seasons. What needs many seasons is of all seasons since
`FIRST_SEASON` up to the last tested one (scope `all`). The votes of `LATER_VOTES` are a measure of
their own, `later vote percentile`, whichever seasons are tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.validity import baselines
from engine.validity.agreement import ranking_agreement, vote_agreement
from engine.validity.duels import OUTCOMES, duels, grands_prix, lap_gaps, recent_mean, team_mates
from engine.validity.prediction import accuracy, log_loss, log_loss_gain, predict
from engine.validity.repeatability import (
    against_field,
    car_elasticity,
    car_leak,
    car_levels,
    hiring,
    reliability,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from engine.validity.estimates import Estimate
    from engine.validity.prediction import Prediction

FIRST_SEASON: Final = 1996
"""First season whose laps are known."""

LATER_VOTES: Final = range(2022, 2027)
"""Seasons of a new kind of car, whose votes no choice of the model has seen: told apart."""

WINDOWS_RACES: Final = (10, 5)
"""Last grades that are averaged to predict."""

SCOPES: Final = ("tested", "all")

PROOF_SCHEMA: Final = pl.Schema(
    {
        "metric": pl.String(),
        "measure": pl.String(),
        "outcome": pl.String(),
        "window_races": pl.Int16(),
        "against": pl.String(),
        "scope": pl.Enum(SCOPES),
        "first_season": pl.Int16(),
        "last_season": pl.Int16(),
        "value": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "cases": pl.Int32(),
    }
)
"""One row per figure. `outcome` and `window_races` only of predictions (no window of a state),
`against` only of a gain over another metric or of somebody's ranking. `value`, `low` and `high`
(95 %) are null where there is nothing to compute them from."""


@dataclass(frozen=True)
class Metric:
    """What is examined.

    Attributes:
        name: how it is called in the table.
        values: `session_id`, `driver_id` and `value`, higher is better, null where unknown; of a
            state, what was known before the race.
        is_state: whether it predicts as it is, without averaging.
    """

    name: str
    values: pl.DataFrame
    is_state: bool = False


@dataclass(frozen=True)
class History:
    """What metrics are examined on: made by `history`, each frame as its function describes it."""

    races: pl.DataFrame
    entries: pl.DataFrame
    qualifying: pl.DataFrame
    pairs: pl.DataFrame
    gaps: pl.DataFrame
    duels: pl.DataFrame

    def through(self, season: int) -> History:
        """Forget what came after a season."""
        races = self.races.filter(pl.col("season") <= season)
        past = {
            name: getattr(self, name).join(races.select("session_id"), on="session_id", how="semi")
            for name in ("entries", "qualifying", "pairs", "gaps", "duels")
        }
        return History(races, **past)


def history(
    sessions: pl.DataFrame,
    entries: pl.DataFrame,
    qualifying: pl.DataFrame,
    clean_laps: pl.DataFrame,
) -> History:
    """Prepare what metrics are examined on.

    Args:
        sessions: `engine.tables.Sessions`; Grands Prix since `FIRST_SEASON` count.
        entries: `engine.tables.Entries`.
        qualifying: one row per driver and race: the key, `position`, `q1_ms`, `q2_ms`, `q3_ms`.
        clean_laps: laps at racing speed: the key and `lap_time_ms`.
    """
    races = grands_prix(sessions.filter(pl.col("season") >= FIRST_SEASON))
    known = entries.join(races.select("session_id"), on="session_id", how="semi")
    pairs = team_mates(known, races)
    gaps = lap_gaps(pairs, clean_laps)
    decided = duels(pairs, known, qualifying, gaps)
    return History(races, known, qualifying, pairs, gaps, decided)


def baseline_metrics(known: History) -> list[Metric]:
    """Make the baselines: grades by result and team-mate, a random one, and Elo states."""
    grades = {
        **baselines.results(known.entries),
        **baselines.mate_gaps(known.pairs, known.qualifying, known.gaps),
    }
    states = {
        f"Elo {outcome}": baselines.elo(
            known.duels.filter(pl.col("outcome") == outcome),
            known.entries,
            known.races,
            baselines.ELO_STEPS[outcome],
        )
        for outcome in OUTCOMES
    }
    return [
        *(Metric(name, values) for name, values in grades.items()),
        *(Metric(name, values, is_state=True) for name, values in states.items()),
    ]


def prove(
    metrics: Sequence[Metric],
    known: History,
    seasons: range,
    *,
    candidates: Collection[str] = (),
    votes: pl.DataFrame | None = None,
    rankings: Mapping[str, pl.DataFrame] | None = None,
    stabilities: Mapping[str, Mapping[str, Estimate]] | None = None,
) -> pl.DataFrame:
    """Examine metrics.

    Args:
        metrics: each under a name of its own.
        known: what they are examined on; of what came after the tested seasons only the races of
            `LATER_VOTES` are looked at, for the vote.
        seasons: tested ones.
        candidates: names of the metrics whose gain over every other is told, grade against grade
            at the first of `WINDOWS_RACES`, states as they are.
        votes: as in `engine.validity.agreement.vote_agreement`; None if there are none.
        rankings: name → as in `engine.validity.agreement.ranking_agreement`.
        stabilities: name of a metric → what `engine.validity.stability.stability` gave for it.

    Returns:
        `PROOF_SCHEMA`, in the order of the metrics.
    """
    past = known.through(seasons.stop - 1)
    predictions = {
        (metric.name, window, outcome): predict(
            past.duels.filter("is_eligible", pl.col("outcome") == outcome), before, seasons
        )
        for metric in metrics
        for window, before in _foretold(metric, past)
        for outcome in OUTCOMES
    }
    rows: list[dict[str, object]] = []
    for metric in metrics:
        rows += _predicted(metric, predictions, candidates)
        if not metric.is_state:
            rows += _lasting(metric, past, seasons)
            rows += _agreed(metric, past, seasons, rankings or {})
            if votes is not None:
                rows += _voted(metric, known.races, seasons, votes)
        for measure, found in (stabilities or {}).get(metric.name, {}).items():
            rows.append(_row(metric, measure, found))
    first, last = seasons.start, seasons.stop - 1
    spans = {
        "tested": {"first_season": first, "last_season": last},
        "all": {"first_season": FIRST_SEASON, "last_season": last},
    }
    empty = dict.fromkeys(PROOF_SCHEMA)
    return pl.DataFrame(
        [{**empty, **spans[str(row["scope"])], **row} for row in rows],
        schema=PROOF_SCHEMA,
        orient="row",
    )


def _foretold(metric: Metric, past: History) -> Iterator[tuple[int | None, pl.DataFrame]]:
    """Give what the metric said before each race, by window; a state has none."""
    if metric.is_state:
        yield None, metric.values
        return
    for window in WINDOWS_RACES:
        yield window, recent_mean(metric.values, past.entries, past.races, window)


def _predicted(
    metric: Metric,
    predictions: Mapping[tuple[str, int | None, str], Prediction],
    candidates: Collection[str],
) -> Iterator[dict[str, object]]:
    """Tell how a metric predicts and, of a candidate, by how much better than the others."""
    for (name, window, outcome), prediction in predictions.items():
        about = {"outcome": outcome, "window_races": window}
        if name == metric.name:
            yield _row(metric, "accuracy", accuracy(prediction), **about)
            yield _row(metric, "log loss", log_loss(prediction), **about)
        elif metric.name in candidates and window in (None, WINDOWS_RACES[0]):
            own = None if metric.is_state else WINDOWS_RACES[0]
            gain = log_loss_gain(predictions[metric.name, own, outcome], prediction)
            where = {"outcome": outcome, "window_races": own, "against": name}
            yield _row(metric, "log loss gain", gain, **where)


def _lasting(metric: Metric, past: History, seasons: range) -> Iterator[dict[str, object]]:
    """Tell whether a grade repeats and is free of the car."""
    tested = past.pairs.filter(pl.col("season") >= seasons.start)
    centred = against_field(metric.values, past.entries, past.races)
    cars = car_levels(past.entries, past.races, past.qualifying)
    kept = hiring(past.pairs, metric.values, past.entries, past.races)
    yield _row(metric, "reliability", reliability(tested, metric.values))
    yield _row(metric, "reliability", reliability(past.pairs, metric.values), scope="all")
    yield _row(metric, "car leak", car_leak(centred), scope="all")
    yield _row(metric, "car elasticity", car_elasticity(centred, cars), scope="all")
    yield _row(metric, "hiring", kept, scope="all")


def _agreed(
    metric: Metric,
    past: History,
    seasons: range,
    rankings: Mapping[str, pl.DataFrame],
) -> Iterator[dict[str, object]]:
    """Compare a grade with rankings."""
    tested = past.races.filter(pl.col("season") >= seasons.start)
    centred = against_field(metric.values, past.entries, tested)
    for source, ranking in rankings.items():
        for season, found in ranking_agreement(centred, ranking).items():
            span = {"first_season": season, "last_season": season, "against": source}
            yield _row(metric, "ranking correlation", found, **span)


def _voted(
    metric: Metric, races: pl.DataFrame, seasons: range, votes: pl.DataFrame
) -> Iterator[dict[str, object]]:
    """Compare a grade with the vote in the tested seasons, and in the later ones."""

    def agreement(span: range) -> dict[str, Estimate]:
        held = races.filter(pl.col("season").is_between(span.start, span.stop - 1))
        return vote_agreement(
            metric.values, votes.join(held.select("session_id"), on="session_id", how="semi")
        )

    for measure, found in agreement(seasons).items():
        yield _row(metric, measure, found)
    span = {"first_season": LATER_VOTES.start, "last_season": LATER_VOTES.stop - 1}
    later = agreement(LATER_VOTES)["vote percentile"]
    yield _row(metric, "later vote percentile", later, **span)


def _row(metric: Metric, measure: str, found: Estimate, **about: object) -> dict[str, object]:
    """Write a row of `PROOF_SCHEMA`, in the scope of the tested seasons unless told otherwise."""
    return {
        "scope": "tested",
        **about,
        "metric": metric.name,
        "measure": measure,
        **found._asdict(),
    }
