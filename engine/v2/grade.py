"""The grade of model v2: three components, normalised on the training years, and the total.

    C = Φ(s (pace_against_car_pct + λ car − mean) / sd)     pace against the car
    R = Φ(s (racecraft_raw        + λ car − mean) / sd)     passes and start
    P = Φ(s (penalties_raw        + λ car − mean) / sd)     mistakes and penalties
    total = 0.55 C + 0.45 R − 0.10 P

Φ is the normal distribution function; mean, sd, λ (what is left of the car) and s (how much of the
scale a component may use) are the profile's, one set per component; the fraction is limited to ±4,
where Φ has 3e-5 left to give. 0.5 is the average of the training years' driver-races, and nothing
is cut off at 0 or 1.

A total rests on pace against the car: without it there is none. Racecraft or penalties that are
not known count as those years' average, R = P = 0.5, and their score is null: who cannot be judged
gains and loses nothing against the average driver-race.

``grade`` is for people: the percentage of the training years' driver-races whose total is lower,
0 to 100. Its 90 % interval moves C by ±1.645 standard errors and R by ±1.645 √variance, adds both
shifts of the total as the root of the sum of squares, upwards and downwards apart, and reads both
ends on the same scale. It says how well one race tells; most of it is race-to-race noise.

Source: the study of model v2, sections 4.7 and 4.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import polars as pl

from engine.tables import ENTRY
from engine.v2.calibration import MODEL_VERSION_V2

if TYPE_CHECKING:
    from engine.v2.rating_filter import RatingConstants

AnyFrame = TypeVar("AnyFrame", pl.DataFrame, pl.LazyFrame)

Z_LIMIT: Final = 4.0
"""Standard deviations at which a component's raw value is limited."""

UNKNOWN_SCORE: Final = 0.5
"""What the total takes for racecraft or penalties that are not known: the average."""

INTERVAL_Z: Final = 1.6448536269514722
"""Standard errors to either side of a 90 % interval."""

COMPONENTS_V2_SCHEMA: Final = pl.Schema(
    {
        "session_id": pl.String(),
        "driver_id": pl.String(),
        "pace_against_car_pct": pl.Float64(),
        "pace_against_car_se_pct": pl.Float64(),
        "car_pct": pl.Float64(),
        "racecraft_raw": pl.Float64(),
        "racecraft_variance": pl.Float64(),
        "penalties_raw": pl.Float64(),
    }
)
"""One row per driver and session: what is scored.

Pace against the car in % of a lap time, positive is faster, with its standard error; the car's
level in %, positive is slower; racecraft in passes with its variance; the burden of mistakes and
penalties. Null where not known; an unknown standard error or variance adds nothing to the interval,
an unknown car is an average one.
"""

SCORED: Final = {
    "consistency": "pace_against_car_pct",
    "racecraft": "racecraft_raw",
    "penalty": "penalties_raw",
}
"""Raw column of each component."""

ERRORS: Final = {
    "consistency": pl.col("pace_against_car_se_pct"),
    "racecraft": pl.col("racecraft_variance").sqrt(),
}
"""Standard error of a component's raw value, in its unit."""

NUMERATOR: Final = (
    3.52624965998911e-2,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)
DENOMINATOR: Final = (
    8.83883476483184e-2,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)
"""Hart's rational approximation 5666 of the normal tail (Computer Approximations, 1968), highest
power first; with it Φ is right to 1e-13."""


def normal_cdf(z: pl.Expr) -> pl.Expr:
    """Normal distribution function Φ(z), to 1e-13; null stays null.

    Polars has no error function. The tail is exp(−z²/2) times a rational function of abs(z).
    """
    distance = z.abs()
    density = (distance * distance * -0.5).exp()
    tail = density * _horner(NUMERATOR, distance) / _horner(DENOMINATOR, distance)
    return pl.when(z <= 0.0).then(tail).otherwise(1.0 - tail)


def _horner(coefficients: tuple[float, ...], x: pl.Expr) -> pl.Expr:
    """Value of a polynomial, highest power first."""
    first, second, *rest = coefficients
    value = x * first + second
    for coefficient in rest:
        value = value * x + coefficient
    return value


def components(
    rating: pl.LazyFrame,
    entry_fit: pl.LazyFrame,
    racecraft: pl.LazyFrame,
    burden: pl.LazyFrame,
    constants: RatingConstants,
) -> pl.LazyFrame:
    """Bring together what is scored.

        standard error of pace against the car = sqrt(σ₀² + σ₁² / effective laps)

    the error that the rating gives one race's pace: how it varies from race to race, and the
    laps. The car's own uncertainty, which both its drivers share, is published with the rating.

    Args:
        rating: `engine.v2.rating.Rating.entries`.
        entry_fit: `engine.v2.pace.entry_pace`.
        racecraft: `engine.v2.racecraft.racecraft`.
        burden: `engine.v2.mistakes.penalty_burden`.
        constants: those of the rating.

    Returns:
        `COMPONENTS_V2_SCHEMA`: one row per driver of `burden`, so that who did not start has none.
    """
    error = (constants.pace_sd**2 + constants.pace_lap_sd**2 / pl.col("effective_laps")).sqrt()
    return (
        burden.select(*ENTRY, "penalties_raw")
        .join(rating.select(*ENTRY, "car_pct", "pace_against_car_pct"), on=ENTRY, how="left")
        .join(entry_fit.select(*ENTRY, "effective_laps"), on=ENTRY, how="left")
        .join(racecraft.select(*ENTRY, "racecraft_raw", "racecraft_variance"), on=ENTRY, how="left")
        .with_columns(
            pace_against_car_se_pct=pl.when(pl.col("pace_against_car_pct").is_not_null()).then(
                error
            )
        )
        .select(COMPONENTS_V2_SCHEMA.names())
    )


def score(part: str, shift_errors: float = 0.0) -> pl.Expr:
    """Score of a component, 0..1, over components and profile columns.

    Args:
        part: a key of `SCORED`.
        shift_errors: standard errors by which the raw value is moved first.
    """
    raw = pl.col(SCORED[part])
    if shift_errors:
        raw = raw + shift_errors * ERRORS[part].fill_null(0.0)
    neutral = raw + pl.col(f"{part}_car_share") * pl.col("car_pct").fill_null(0.0)
    z = (neutral - pl.col(f"{part}_mean")) / pl.col(f"{part}_sd")
    return limited_score(z, pl.col(f"{part}_spread"))


def limited_score(z: pl.Expr, spread: pl.Expr) -> pl.Expr:
    """Score of a normalised value: Φ(spread · z), z limited to ±4."""
    return normal_cdf(z.clip(-Z_LIMIT, Z_LIMIT) * spread)


def total_grade_v2() -> pl.Expr:
    """Weighted sum of the scores, −0.10..1.00 with the usual weights; null without pace."""
    return (
        pl.col("consistency_weight") * pl.col("consistency_score")
        + pl.col("racecraft_weight") * pl.col("racecraft_score").fill_null(UNKNOWN_SCORE)
        - pl.col("penalty_weight") * pl.col("penalty_score").fill_null(UNKNOWN_SCORE)
    )


def _shift_of_total(direction: float) -> pl.Expr:
    """How far the total moves if pace and racecraft lie at one end of their intervals."""
    shifts = (
        pl.col(f"{part}_weight") * (score(part, direction * INTERVAL_Z) - pl.col(f"{part}_score"))
        for part in ERRORS
    )
    return direction * pl.sum_horizontal(shift.fill_null(0.0) ** 2 for shift in shifts).sqrt()


def grade_v2(components: AnyFrame, profiles: AnyFrame) -> AnyFrame:
    """Score all drivers of all sessions under all profiles.

    Args:
        components: `COMPONENTS_V2_SCHEMA`.
        profiles: rows of `engine.v2.calibration.PROFILE_V2_SCHEMA`.

    Returns:
        One row per driver, session and profile: the key, `profile_name`, `profile_version`,
        `model_version`, the raw values, `consistency_score`, `racecraft_score`, `penalty_score`
        (0..1, null where not known), `total_grade` with the ends of its 90 % interval,
        `total_grade_low` and `total_grade_high`, all three null without pace against the car;
        and `has_consistency_evidence`, `has_racecraft_evidence`, `has_penalty_evidence`.
    """
    total = pl.col("total_grade")
    return (
        components.join(profiles, how="cross")
        .with_columns(score(part).alias(f"{part}_score") for part in SCORED)
        .with_columns(total_grade=total_grade_v2())
        .select(
            *ENTRY,
            "profile_name",
            "profile_version",
            *SCORED.values(),
            *(f"{part}_score" for part in SCORED),
            "total_grade",
            model_version=pl.lit(MODEL_VERSION_V2),
            total_grade_low=total + _shift_of_total(-1.0),
            total_grade_high=total + _shift_of_total(1.0),
            **{f"has_{part}_evidence": pl.col(raw).is_not_null() for part, raw in SCORED.items()},
        )
    )


def for_people(grades: pl.LazyFrame, quantiles: pl.LazyFrame) -> pl.LazyFrame:
    """Put totals on the scale of 0 to 100.

    Args:
        grades: what `grade_v2` gave.
        quantiles: `engine.v2.calibration.quantile_frame` of its profiles.

    Returns:
        `grades`, unordered, with `grade`, `grade_low` and `grade_high`: percentage of the
        training driver-races below the total and below the ends of its interval, straight
        between the stored quantiles; null where the total is.
    """
    for suffix in ("", "_low", "_high"):
        grades = _percentage(grades, f"total_grade{suffix}", f"grade{suffix}", quantiles)
    return grades


def _percentage(
    grades: pl.LazyFrame, total: str, name: str, quantiles: pl.LazyFrame
) -> pl.LazyFrame:
    """Add one column's place among the profile's quantiles, 0..100."""
    scale = quantiles.rename({"grade": name}).sort("quantile_total")
    placed = grades.sort(total).join_asof(
        scale,
        left_on=total,
        right_on="quantile_total",
        by="profile_name",
        check_sortedness=False,
    )
    beyond = (pl.col(total) - pl.col("quantile_total")) * pl.col("grade_per_total")
    return placed.with_columns(
        pl.when(pl.col(total).is_not_null())
        .then((pl.col(name) + beyond).fill_null(0.0).clip(0.0, 100.0))
        .alias(name)
    ).drop("quantile_total", "grade_per_total")
