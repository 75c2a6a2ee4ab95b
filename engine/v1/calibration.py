"""Calibration profiles: the numbers a person may tune, checked when they are read.

A profile is one JSON file or one row of `config.calibration_profiles`; `profile_frame` makes any
number of them one frame, which grading joins, so that a thousand profiles cost one plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from engine.errors import ProfileError
from engine.tables import SLUG_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterable

MODEL_VERSION: Final = "v1"
"""Version of the scoring formulas; stored with every grade."""

Divisor = Annotated[float, Field(gt=0, le=1e6)]
Amount = Annotated[float, Field(ge=0, le=1e6)]


class CalibrationProfile(BaseModel):
    """Constants of model v1.

    Attributes:
        name: what the profile is called.
        version: counts changes of a profile of that name, 1 is the first.
        consistency_tolerance: mean deviation, in s, at which consistency is used up (τ).
        pace_advantage_scale: advantage over the field, in s, that would double the score (ps).
        pace_boost_cap: largest share the pace boost may add (pc).
        pace_min_advantage: advantage, in s, below which there is no boost (pm).
        stint_target_laps: average stint length above which there is a boost; 0 is never (t).
        stint_boost_cap: largest share the stint boost may add (sc).
        strategy_lap_tolerance: mean distance from the field's stops, in laps, worth 0 (sl).
        penalty_normalizer: seconds of penalties that make the full burden (pn).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: Annotated[str, Field(pattern=SLUG_PATTERN)]
    version: Annotated[int, Field(ge=1)] = 1
    consistency_tolerance: Divisor
    pace_advantage_scale: Divisor
    pace_boost_cap: Amount
    pace_min_advantage: Amount
    stint_target_laps: Amount
    stint_boost_cap: Amount
    strategy_lap_tolerance: Divisor
    penalty_normalizer: Divisor


PROFILE_KEY: Final = ("profile_name", "profile_version")

PROFILE_SCHEMA: Final = pl.Schema(
    {"profile_name": pl.String(), "profile_version": pl.Int32()}
    | {
        name: pl.Float64()
        for name in CalibrationProfile.model_fields
        if name not in {"name", "version"}
    }
)
"""Columns of the profile frame: its key, then one column per constant."""


def profile_frame(profiles: Iterable[CalibrationProfile]) -> pl.DataFrame:
    """Make profiles a frame that grading can join.

    Returns:
        One row per profile, columns of `PROFILE_SCHEMA`.

    Raises:
        ProfileError: no profile was given, or two share a name.
    """
    rows = [
        {"profile_name": p.name, "profile_version": p.version, **p.model_dump()} for p in profiles
    ]
    if not rows:
        raise ProfileError("no calibration profile given: name at least one")
    names = [str(row["profile_name"]) for row in rows]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ProfileError(f"profiles share a name: {', '.join(repeated)}; rename all but one")
    return pl.DataFrame(rows).select(pl.col(n).cast(t) for n, t in PROFILE_SCHEMA.items())
