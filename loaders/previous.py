"""What grading with model v2 goes on from: states of the ratings, and passes of earlier seasons.

Both are tables of the lake, so that a race graded alone has the grade that a regrade of all
history gives it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from engine.tables import SESSION, SessionKey, polars_schema
from engine.v2.calibration import MODEL_VERSION_V2
from engine.v2.passes import CIRCUIT_SEASONS, PASS_COUNTS_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from engine.v2.calibration import CalibrationProfileV2
    from loaders.lake import Snapshot


class Previous(NamedTuple):
    """What grading goes on from.

    Attributes:
        states: rows of `rating_states`, at most one per profile and kind of rating.
        counts: `profile_name` and `PASS_COUNTS_SCHEMA` of the seasons before.
    """

    states: pl.DataFrame
    counts: pl.DataFrame


NOTHING: Final = Previous(
    pl.DataFrame(schema=polars_schema("rating_states")),
    pl.DataFrame(schema={"profile_name": pl.String(), **PASS_COUNTS_SCHEMA}),
)
"""Before the first session of all."""


def previous(
    seen: Snapshot,
    first: SessionKey,
    profiles: Sequence[CalibrationProfileV2],
    held_on: date | None = None,
) -> Previous:
    """Read what a lake knows of the time before a session, under some profiles.

    A profile's state is that after the newest session before it that was graded with it, under
    its version; where there is none, the profile begins anew.

    Args:
        seen: the lake.
        first: the session.
        profiles: whose states and passes are wanted.
        held_on: its date: a session of its kind on the same day is itself, under the round that
            it had before it was renumbered.
    """
    seasons = range(first.season - CIRCUIT_SEASONS, first.season)
    named = [profile.name for profile in profiles]
    is_ours = pl.col("profile_name").is_in(named) & (pl.col("model_version") == MODEL_VERSION_V2)
    counted = (
        seen.scan("session_evidence", seasons)
        .filter(is_ours & (pl.col("at_risk_laps") > 0))
        .join(seen.scan("sessions", seasons).select(*SESSION, "season", "circuit_id"), on=SESSION)
        .drop_nulls("circuit_id")
        .select("profile_name", "season", "circuit_id", "at_risk_laps", "passes")
        .cast(PASS_COUNTS_SCHEMA)
    )
    itself = (pl.col("session_kind") == first.session_kind) & (
        pl.col("session_date") == pl.lit(held_on, pl.Date)
    )
    same = seen.scan("sessions", [first.season]).filter(itself).select(SESSION)
    ours = gradings(profiles)
    there = (
        seen.scan("rating_states")
        .join(ours.lazy(), on=ours.columns, how="semi")
        .join(same, on=SESSION, how="anti")
        .select("profile_name", *SESSION)
        .unique()
        .collect()
    )
    earlier = [(name, SessionKey.parse(session_id)) for name, session_id in there.iter_rows()]
    earlier = [(name, key) for name, key in earlier if _order(key) < _order(first)]
    newest = dict(sorted(earlier, key=lambda one: _order(one[1])))
    wanted = pl.LazyFrame(
        [(name, key.session_id) for name, key in newest.items()],
        schema={"profile_name": pl.String(), "session_id": pl.String()},
        orient="row",
    )
    states = (
        seen.scan("rating_states", sessions=set(newest.values()))
        .join(ours.lazy(), on=ours.columns, how="semi")
        .join(wanted, on=["profile_name", *SESSION], how="semi")
        .collect()
    )
    return Previous(states, counted.collect())


def in_order(sessions: Iterable[SessionKey]) -> list[SessionKey]:
    """Sort sessions by time: a sprint comes before its Grand Prix."""
    return sorted(sessions, key=_order)


def _order(key: SessionKey) -> tuple[int, int, bool]:
    """Place of a session in time."""
    return key.season, key.round, key.session_kind == "race"


def gradings(profiles: Sequence[CalibrationProfileV2]) -> pl.DataFrame:
    """Name profiles, their versions and their model: one row each."""
    return pl.DataFrame(
        [(profile.name, profile.version, MODEL_VERSION_V2) for profile in profiles],
        schema={
            "profile_name": pl.String(),
            "profile_version": pl.Int32(),
            "model_version": pl.String(),
        },
        orient="row",
    )
