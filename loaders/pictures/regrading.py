"""How grades move when a constant of the profile moves: graded again from stored evidence.

Weights, and what makes a raw value a score (`engine.v2.calibration.Normalization`), are moved one
at a time by a share up and down: a mean, which may be near zero, by that share of its standard
deviation. What raw values come from needs the laps again: ``drivegrade regrade --sweep``.

A fit would read totals on a scale of its own constants. So the scale is made anew for each, from
the evidence of the training years; where the lake lacks them, the profile's own scale stays, and a
weight then moves all grades together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from engine.tables import ENTRY
from engine.v2.calibration import NORMALIZED_PARTS, profile_frame_v2, quantile_frame
from engine.v2.fitting import fit_quantiles
from engine.v2.grade import COMPONENTS_V2_SCHEMA, for_people, grade_v2

if TYPE_CHECKING:
    from engine.v2.calibration import CalibrationProfileV2
    from loaders.pictures.frames import Graded

SHARE: Final = 0.2
"""By how much a constant is moved, of itself or of the standard deviation."""

MIN_TRAINING_SHARE: Final = 0.9
"""Part of the training driver-races that evidence must be there of to make a scale."""

UP, DOWN = "up", "down"

PART_NAMES: Final = {"consistency": "pace", "racecraft": "racecraft", "penalty": "penalty"}

CONSTANT_NAMES: Final = {
    "weight": "weight",
    "car_share": "car share",
    "mean": "mean",
    "sd": "spread of the raw value",
    "spread": "use of the scale",
}


class Moves(NamedTuple):
    """What moved.

    Attributes:
        drivers: one row per constant, direction and driver: `constant`, `direction` (up, down),
            `driver_id`, `before` and `after` (mean grade of the driver's graded drives), `change`,
            `rank_before`, `rank_after` (1 is the best).
        share: by how much constants were moved.
        has_own_scale: whether each was read on a scale of its own.
    """

    drivers: pl.DataFrame
    share: float
    has_own_scale: bool


def variants(
    profile: CalibrationProfileV2, share: float = SHARE
) -> dict[tuple[str, str], CalibrationProfileV2]:
    """Make a profile per constant and direction, by the constant's name and `up` or `down`."""
    made = {}
    for part in NORMALIZED_PARTS:
        normal = getattr(profile, part)
        values = {"weight": getattr(profile.weights, part), **normal.model_dump()}
        for constant, words in CONSTANT_NAMES.items():
            by = share * abs(normal.sd if constant == "mean" else values[constant])
            for direction, sign in ((UP, 1.0), (DOWN, -1.0)):
                moved = {constant: values[constant] + sign * by}
                if constant == "weight":
                    weights = profile.weights.model_copy(update={part: moved["weight"]})
                    changed = {"weights": weights}
                else:
                    changed = {part: normal.model_copy(update=moved)}
                name = f"{part}-{constant}-{direction}"
                made[f"{PART_NAMES[part]}: {words}", direction] = profile.model_copy(
                    update={**changed, "name": name}
                )
    return made


def moves(frames: Graded, training: pl.DataFrame, share: float = SHARE) -> Moves:
    """Grade the stored evidence of a race or season again, one constant moved at a time.

    Args:
        frames: with the evidence.
        training: `loaders.pictures.frames.training_evidence`, or no rows.
        share: by how much, above 0 and below 1.
    """
    trained = frames.profile.provenance.driver_races
    has_scale = training["pace_against_car_pct"].count() >= MIN_TRAINING_SHARE * trained
    made = variants(frames.profile, share)
    same = frames.profile.model_copy(update={"name": "unmoved"})
    profiles = [same, *made.values()]
    if has_scale:
        profiles = _rescaled(profiles, _components(training))
    graded = grade_v2(_components(frames.evidence).lazy(), profile_frame_v2(profiles).lazy())
    grades = for_people(graded, quantile_frame(profiles).lazy()).drop_nulls("grade")
    means = (
        grades.group_by("profile_name", "driver_id")
        .agg(grade=pl.col("grade").mean(), total=pl.col("total_grade").mean())
        .with_columns(
            rank=pl.col("total").rank("min", descending=True).over("profile_name").cast(pl.Int32)
        )
        .collect()
    )
    return Moves(_changes(means, made), share, has_scale)


def _components(evidence: pl.DataFrame) -> pl.DataFrame:
    """Give stored evidence as what is scored."""
    named = {"car_pct": "scored_car_pct"}
    return evidence.select(
        pl.col(named.get(name, name)).alias(name) for name in COMPONENTS_V2_SCHEMA.names()
    )


def _rescaled(
    profiles: list[CalibrationProfileV2], components: pl.DataFrame
) -> list[CalibrationProfileV2]:
    """Give each profile the quantiles that its totals have over the training years."""
    totals = (
        grade_v2(components.lazy(), profile_frame_v2(profiles).lazy())
        .select(*ENTRY, "profile_name", "total_grade")
        .drop_nulls()
        .collect()
        .partition_by("profile_name", as_dict=True)
    )
    return [
        profile.model_copy(
            update={"total_quantiles": fit_quantiles(totals[profile.name,]["total_grade"])}
        )
        for profile in profiles
    ]


def _changes(
    means: pl.DataFrame, made: dict[tuple[str, str], CalibrationProfileV2]
) -> pl.DataFrame:
    before = means.filter(profile_name="unmoved").select(
        "driver_id", before="grade", rank_before="rank"
    )
    named = pl.DataFrame(
        [(*key, profile.name) for key, profile in made.items()],
        schema=dict.fromkeys(("constant", "direction", "profile_name"), pl.String()),
        orient="row",
    )
    return (
        named.join(means, on="profile_name", maintain_order="left")
        .join(before, on="driver_id", maintain_order="left")
        .select(
            "constant",
            "direction",
            "driver_id",
            "before",
            "rank_before",
            after="grade",
            rank_after="rank",
            change=pl.col("grade") - pl.col("before"),
        )
        .sort("constant", "direction", "driver_id")
    )
