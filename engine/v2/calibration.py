"""Constants of model v2: everything that was fitted or set, each with how.

A profile is one JSON file, `data/calibration/v2.json` is the one that comes with the project.
`engine.v2.fitting` makes one from the races of the training years; what is said here to be set by
hand is carried over from the profile that a fit starts from.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Final, Literal

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from engine.errors import ProfileError
from engine.tables import SLUG_PATTERN
from engine.v2.clean_laps import CleanLapConstants
from engine.v2.pace import PaceConstants
from engine.v2.rating_filter import RatingConstants

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

MODEL_VERSION_V2: Final[Literal["v2"]] = "v2"
"""Version of the scoring formulas; stored with every grade."""

Coefficient = Annotated[float, Field(ge=-100, le=100)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Amount = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
Season = Annotated[int, Field(ge=1950, le=2100)]


def _whole(constants: type) -> BeforeValidator:
    """Refuse constants of another module of which one is missing: no default stands in for it."""
    names = {field.name for field in fields(constants)}

    def check(value: object) -> object:
        lacking = names - value.keys() if isinstance(value, dict) else set()
        if lacking:
            raise ValueError(f"missing: {', '.join(sorted(lacking))}")
        return value

    return BeforeValidator(check)


QUANTILES: Final = 101
"""Quantiles of the training years' totals that a profile holds: 0 %, 1 %, … 100 %."""


class Constants(BaseModel):
    """Base of every part of a profile: read strictly, never changed, nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Provenance(Constants):
    """Where the fitted constants come from."""

    first_season: Season = Field(description="first season of the training years")
    last_season: Season = Field(description="last season of the training years")
    sessions: int = Field(ge=1, description="Grands Prix that were fitted on")
    driver_races: int = Field(ge=1, description="driver-races with a total in them")
    laps_at_risk: int = Field(ge=1, description="laps at risk that the expectation was fitted on")
    data: str = Field(min_length=1, max_length=200, description="which data these were")
    fitted_on: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="day of the fit, UTC")
    command: str = Field(min_length=1, max_length=200, description="command that made the profile")


class PassConstants(Constants):
    """Coefficients of the logit of a pass: maximum likelihood over the training laps at risk."""

    intercept: Coefficient = Field(description="logit at gap 0.85 s and otherwise zero")
    log_gap: Coefficient = Field(description="per unit of ln(gap + 0.15 s)")
    car_difference: Coefficient = Field(description="per % that the car behind is faster")
    log_gap_car_difference: Coefficient = Field(description="product of the two before")
    tyre_age_difference: Coefficient = Field(description="per 10 laps that the tyres are newer")
    circuit: Coefficient = Field(description="per unit of the circuit's log pass-rate ratio")
    aid: Coefficient = Field(description="where the rules allow DRS or its successor")
    aid_in_range: Coefficient = Field(description="the same, if the gap is below 1 s")
    race_share: Coefficient = Field(description="from the start of the race to its end")
    team_mate: Coefficient = Field(description="if the two are team-mates")
    early: Coefficient = Field(description="per unit of exp(−laps driven / 3)")


class StartConstants(Constants):
    """What is usual on lap 1."""

    usual_gain_places: tuple[Annotated[float, Field(ge=-40, le=40)], ...] = Field(
        min_length=1,
        max_length=60,
        description="mean of grid minus place after lap 1, by grid slot from pole on, over the "
        "training years; up to the last slot with 20 starts",
    )


class MistakeConstants(Constants):
    """What counts as a mistake, and what it costs. Set by hand; no effect on prediction."""

    slow_spreads: Positive = Field(
        description="residual, in robust spreads of the race, of a slow lap"
    )
    slow_min_pct: Positive = Field(description="residual, in %, that a slow lap has at least")
    slow_max_pct: Positive = Field(description="residual, in %, at which a slow lap is capped")
    clear_gap_s: Amount = Field(description="gap ahead, in s, below which traffic is the reason")
    crash_burden: Amount = Field(description="burden of a retirement by crash, collision or spin")
    max_penalty_s: Amount = Field(description="stewards' seconds at which the burden is capped")
    seconds_per_burden: Positive = Field(description="stewards' seconds that weigh one")


class Normalization(Constants):
    """How a raw value becomes a score: Φ(spread · (raw + car_share · car − mean) / sd)."""

    car_share: Coefficient = Field(
        description="raw units per % of car level with which a driver's season means of the "
        "score do not go with how his team-mates qualify, drivers held fixed"
    )
    mean: float = Field(ge=-1e3, le=1e3, description="mean over the training driver-races")
    sd: Positive = Field(description="standard deviation over them")
    spread: Share = Field(
        description="set by hand: how much of the scale the component may use; 1 for all of it, "
        "0.5 for racecraft, most of which does not repeat"
    )


class Weights(Constants):
    """What each score adds to the total; set by hand, as in model v1."""

    consistency: Share = Field(description="pace against the car")
    racecraft: Share = Field(description="passes and starts against expectation")
    penalty: Share = Field(description="mistakes, crashes and stewards' seconds; taken off")


class CalibrationProfileV2(Constants):
    """All constants of model v2."""

    model_version: Literal["v2"] = Field(description="model that these are the constants of")
    name: Annotated[str, Field(pattern=SLUG_PATTERN)] = Field(description="what it is called")
    version: Annotated[int, Field(ge=1)] = Field(
        default=1, description="counts changes of a profile of that name"
    )
    provenance: Provenance = Field(description="training years and data")
    clean_laps: Annotated[CleanLapConstants, _whole(CleanLapConstants)] = Field(
        description="choice of clean laps, set by hand as the study did: engine.v2.clean_laps"
    )
    pace: Annotated[PaceConstants, _whole(PaceConstants)] = Field(
        description="pace fit, set by hand as the study did: engine.v2.pace"
    )
    rating: Annotated[RatingConstants, _whole(RatingConstants)] = Field(
        description="driver and car filter, fitted by the study on 1996-2014: `rating_filter`"
    )
    passes: PassConstants = Field(description="expectation of a pass")
    start: StartConstants = Field(description="expectation of the start")
    mistakes: MistakeConstants = Field(description="penalty burden")
    consistency: Normalization = Field(description="normalisation of pace against the car")
    racecraft: Normalization = Field(description="normalisation of racecraft")
    penalty: Normalization = Field(description="normalisation of the penalty burden")
    weights: Weights = Field(description="the total")
    total_quantiles: tuple[float, ...] = Field(
        min_length=QUANTILES,
        max_length=QUANTILES,
        description="total at 0 %, 1 %, … 100 % of the training driver-races",
    )

    @model_validator(mode="after")
    def _quantiles_rise(self) -> Self:
        """Refuse quantiles out of order: a better total would be a lower grade."""
        pairs = zip(self.total_quantiles, self.total_quantiles[1:], strict=False)
        if any(low >= high for low, high in pairs):
            raise ValueError("total_quantiles must rise strictly from 0 % to 100 %")
        return self


NORMALIZED_PARTS: Final = ("consistency", "racecraft", "penalty")
"""Components of the total."""

PROFILE_V2_SCHEMA: Final = pl.Schema(
    {"profile_name": pl.String(), "profile_version": pl.Int32()}
    | {
        f"{part}_{name}": pl.Float64()
        for part in NORMALIZED_PARTS
        for name in (*Normalization.model_fields, "weight")
    }
)
"""Columns that grading joins: the key, then what turns raw components into a total."""

QUANTILES_SCHEMA: Final = pl.Schema(
    {"profile_name": pl.String(), "quantile_total": pl.Float64(), "grade": pl.Float64(),
     "grade_per_total": pl.Float64()}
)  # fmt: skip
"""One row per profile and quantile: total, percentage, and slope to the next (0 at the last)."""


def profile_frame_v2(profiles: Iterable[CalibrationProfileV2]) -> pl.DataFrame:
    """Make profiles a frame that grading can join.

    Returns:
        One row per profile, columns of `PROFILE_V2_SCHEMA`.

    Raises:
        ProfileError: no profile was given, or two share a name.
    """
    listed = _distinct(profiles)
    rows = [
        {"profile_name": profile.name, "profile_version": profile.version}
        | {
            f"{part}_{name}": value
            for part in NORMALIZED_PARTS
            for name, value in {
                **getattr(profile, part).model_dump(),
                "weight": getattr(profile.weights, part),
            }.items()
        }
        for profile in listed
    ]
    return pl.DataFrame(rows, schema=PROFILE_V2_SCHEMA)


def quantile_frame(profiles: Iterable[CalibrationProfileV2]) -> pl.DataFrame:
    """Make the profiles' quantiles a frame: `QUANTILES_SCHEMA`, sorted by total.

    Raises:
        ProfileError: no profile was given, or two share a name.
    """
    rows = [
        {
            "profile_name": profile.name,
            "quantile_total": total,
            "grade": float(percent),
            "grade_per_total": 1.0 / (following - total) if following > total else 0.0,
        }
        for profile in _distinct(profiles)
        for percent, (total, following) in enumerate(
            zip(
                profile.total_quantiles,
                (*profile.total_quantiles[1:], profile.total_quantiles[-1]),
                strict=True,
            )
        )
    ]
    return pl.DataFrame(rows, schema=QUANTILES_SCHEMA).sort("quantile_total", "profile_name")


def _distinct(profiles: Iterable[CalibrationProfileV2]) -> list[CalibrationProfileV2]:
    """List the profiles.

    Raises:
        ProfileError: there is none, or two share a name.
    """
    listed = list(profiles)
    if not listed:
        raise ProfileError("no calibration profile given: name at least one")
    names = [profile.name for profile in listed]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ProfileError(f"profiles share a name: {', '.join(repeated)}; rename all but one")
    return listed
