"""Rating: how fast a driver is whatever he drives, and how fast a car whoever drives it.

A filter goes through the sessions in the order in which they were held. Of driver i in team t

    pace = μ + s_i + c_t + u_t + ε,   ε ~ N(0, σ₀² + σ₁² / n),   u ~ N(0, σ_u²)

s is the driver's state, c the car's, μ the session's level (not known beforehand), u what car and
team had that day, the same for both cars, n the effective laps. Qualifying is a second
observation of the same states, just before the race, of its own μ and u.

1. Between seasons c shrinks and both s and c gain variance; from round to round those entered
   gain a little. New drivers and teams come in with a mean and variance of their own; in the
   first season of all, with mean 0.
2. An observation that lies e away from what was expected, with standard deviation σ_e, counts with
   max(1, |e| / 2 σ_e)² times its variance: one odd race moves no state far.
3. Pace against the car = −(pace − μ − c_t − u_t), c and u as known after the session.

Percentages of the lap time: a state of 1 is 1 % slower. Nothing looks ahead: what stands at a
session uses that and earlier ones. The formulas are those of the Kalman filter with one diffuse
mean per session.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from engine.errors import ContractError
from engine.tables import ENTRY, SESSION, SessionKey
from engine.v2.clean_laps import MS_PER_S
from engine.v2.rating_filter import Field, RatingConstants, Step, advance, has_pace, nothing
from engine.v2.rating_state import STATE_SCHEMA, RatingState, read_state, state_row, states_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RATING_SCHEMA", "STATE_SCHEMA", "Rating", "RatingConstants", "rate"]

SEGMENTS: Final = ("q1_ms", "q2_ms", "q3_ms")
"""Best times of the segments of qualifying; the first alone where there was one."""

RATING_SCHEMA: Final = pl.Schema(
    {
        "session_id": pl.String(),
        "driver_id": pl.String(),
        "rating_pct": pl.Float64(),
        "rating_variance": pl.Float64(),
        "rating_before_pct": pl.Float64(),
        "car_pct": pl.Float64(),
        "car_variance": pl.Float64(),
        "car_before_pct": pl.Float64(),
        "pace_against_car_pct": pl.Float64(),
    }
)
"""One row per entry; see `rate`."""


DEFAULTS: Final = RatingConstants()


class Rating(NamedTuple):
    """Ratings by entry (`RATING_SCHEMA`) and states by session (`STATE_SCHEMA`)."""

    entries: pl.DataFrame
    states: pl.DataFrame


def rate(
    pace: pl.DataFrame,
    entries: pl.DataFrame,
    sessions: pl.DataFrame,
    qualifying: pl.DataFrame,
    *,
    state: pl.DataFrame | None = None,
    constants: RatingConstants = DEFAULTS,
) -> Rating:
    """Rate drivers and cars after every session.

    Args:
        pace: `engine.v2.pace.entry_pace`, any order.
        entries: `session_id`, `driver_id` and `team_id` of everyone entered.
        sessions: `engine.tables.Sessions` of what is to be rated.
        qualifying: one row per driver and Grand Prix, `q1_ms`, `q2_ms` and `q3_ms` in ms or null.
        state: a row of `STATE_SCHEMA` to go on from; None begins anew. All sessions must be
            later than it. Going on from any session gives what a run through all would.
        constants: of the filter.

    Returns:
        `entries`: one row per entry, sorted by key. `rating_pct` is the driver's state after the
        session with its sign turned: positive is better; `rating_variance` its variance, in %²;
        `rating_before_pct` the rating before the session and its qualifying. `car_pct` is by how
        much the car was slower that day (c + u, negative is faster), `car_variance` its variance;
        `car_before_pct` the c expected before. `pace_against_car_pct` is positive where the
        driver was faster than his car, null without a pace. All are null before the first
        session in which a pace is known.

        `states`: one row per session from that one on.

    Raises:
        ContractError: a session is not later than the state.
    """
    current = RatingState() if state is None else read_state(state)
    rows = _observations(pace, entries, _later(sessions, current), qualifying)
    steps, states = [], []
    for field in _fields(rows):
        if current.session is None and not has_pace(field, constants):
            steps.append(nothing(field))
            continue
        steps.append(advance(current, field, constants))
        states.append(state_row(current))
    values = [np.concatenate(column) for column in zip(*steps, strict=True)]
    rated = rows.select(*ENTRY).with_columns(
        pl.Series(name, column) for name, column in zip(Step._fields, values, strict=False)
    )
    named = rated.select(RATING_SCHEMA.names()) if steps else pl.DataFrame(schema=RATING_SCHEMA)
    return Rating(named.fill_nan(None).sort(ENTRY), states_frame(states))


def qualifying_pace(qualifying: pl.DataFrame) -> pl.DataFrame:
    """Measure every driver's qualifying by his best time in any segment.

    The track improves from segment to segment, and who is out cannot use that: from a segment's
    times is taken by how much those who drove both were faster than in the one before, in the
    median. A segment nobody shares with the one before stands as it is.

    Returns:
        One row per driver and Grand Prix with a time: `qualifying_pct`, 100 ln(s).
    """
    q1, q2, q3 = (100.0 * (pl.col(q) * (1.0 / MS_PER_S)).log() for q in SEGMENTS)
    gain2, gain3 = (
        (later - earlier).median().over(SESSION).fill_null(0.0)
        for earlier, later in ((q1, q2), (q2, q3))
    )
    best = pl.min_horizontal(q1, q2 - gain2, q3 - gain2 - gain3)
    return qualifying.select(*ENTRY, qualifying_pct=best).drop_nulls()


def _later(sessions: pl.DataFrame, state: RatingState) -> pl.DataFrame:
    """Order the sessions as they were held; refuse those not later than the state."""
    ordered = sessions.select(
        *SESSION, "season", "round", is_race=pl.col("session_kind") == "race"
    ).sort("season", "round", "is_race")
    if state.session is not None:
        season, number, kind = state.session
        is_past_kind = ~pl.col("is_race") if kind == "sprint" else pl.lit(value=True)
        is_round_past = (pl.col("round") < number) | ((pl.col("round") == number) & is_past_kind)
        is_past = (pl.col("season") < season) | ((pl.col("season") == season) & is_round_past)
        early = ordered.filter(is_past)["session_id"]
        if len(early):
            raise ContractError(
                f"rating: {len(early)} of {ordered.height} sessions are not later than the state "
                f"after {state.session.session_id}: {', '.join(early.head(3))}\n"
                "Nothing was rated. Go on from the state before the first of them."
            )
    return ordered


def _observations(
    pace: pl.DataFrame, entries: pl.DataFrame, sessions: pl.DataFrame, qualifying: pl.DataFrame
) -> pl.DataFrame:
    """Bring entries and what was seen of them together, in the order of the sessions."""
    return (
        entries.select(*ENTRY, "team_id")
        .join(sessions.with_row_index("place"), on=SESSION)
        .join(pace.select(*ENTRY, "pace_pct", "effective_laps"), on=ENTRY, how="left")
        .join(qualifying_pace(qualifying), on=ENTRY, how="left")
        .with_columns(qualifying_pct=pl.when("is_race").then("qualifying_pct"))
        .sort("place", "driver_id")
    )


def _fields(rows: pl.DataFrame) -> Iterator[Field]:
    """Cut the rows of `_observations` into sessions."""
    names = (rows[name].to_list() for name in ("session_id", "driver_id", "team_id"))
    session_ids, driver_ids, team_ids = names
    seen = [
        rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in ("pace_pct", "effective_laps", "qualifying_pct")
    ]
    places = rows["place"].to_numpy()
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    for start, end in pairwise([*starts.tolist(), rows.height]):
        yield Field(
            SessionKey.parse(session_ids[start]),
            driver_ids[start:end],
            team_ids[start:end],
            *(values[start:end] for values in seen),
        )
