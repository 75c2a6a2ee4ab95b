"""The grade: components under every profile at once, and the total.

    C, S, R, P = N(C_raw), N(S_raw), N(R_raw), N(P_raw)
    total = 0.55 C + 0.45 R − 0.10 P,  from −0.10 to 1.00

Team strategy is scored and stored and is not part of the total: it is the pit wall's work.
Source: `MODEL_VERSION` v1, the compatibility model.

Scoring gives a number for everything, also for what nothing is known of. What is published is
told apart (`published`): a component that does not rest on evidence is null, and so is a total
without consistency or racecraft. A penalty that nobody could know of takes nothing off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import ENTRY, polars_schema
from engine.v1.calibration import MODEL_VERSION, PROFILE_SCHEMA
from engine.v1.component import Component, normalized
from engine.v1.consistency import CONSISTENCY
from engine.v1.penalties import PENALTIES
from engine.v1.racecraft import RACECRAFT
from engine.v1.strategy import TEAM_STRATEGY

if TYPE_CHECKING:
    from collections.abc import Collection

COMPONENTS: Final[tuple[Component, ...]] = (CONSISTENCY, TEAM_STRATEGY, RACECRAFT, PENALTIES)

TOTAL_WEIGHTS: Final = {"consistency_score": 0.55, "racecraft_score": 0.45, "penalty_score": -0.10}
"""What each score adds to the total."""


MASKED: Final = {
    "consistency_score": ("expected_delta_s",),
    "racecraft_score": ("on_track_events", "pit_cycle_events"),
}
"""Other columns that mean nothing where the component has no evidence."""

NEEDED: Final = ("has_consistency_evidence", "has_racecraft_evidence")
"""What a total must rest on."""


def total_grade() -> pl.Expr:
    """Weighted sum of the scores, −0.10..1.00."""
    return pl.sum_horizontal(weight * pl.col(name) for name, weight in TOTAL_WEIGHTS.items())


def grade(
    driver_inputs: pl.LazyFrame, overtakes: pl.LazyFrame, profiles: pl.LazyFrame
) -> pl.LazyFrame:
    """Grade all drivers of all sessions under all profiles.

    Args:
        driver_inputs: `engine.tables.DriverInputs`.
        overtakes: `engine.tables.Overtakes`; events of drivers without inputs are ignored.
        profiles: rows of `engine.v1.calibration.PROFILE_SCHEMA`.

    Returns:
        `engine.tables.Grades`: one row per driver, session and profile, unordered.
    """
    evidence = driver_inputs
    for component in COMPONENTS:
        evidence = component.evidence(evidence, overtakes)
    scalars = [name for component in COMPONENTS for name in component.outputs]
    of_profile = [c for c in COMPONENTS if set(c.raw().meta.root_names()) & set(PROFILE_SCHEMA)]
    return (
        evidence.select(*ENTRY, *scalars)
        .pipe(_scored, [c for c in COMPONENTS if c not in of_profile])
        .join(profiles, how="cross")
        .pipe(_scored, of_profile)
        .with_columns(total_grade=total_grade(), model_version=pl.lit(MODEL_VERSION))
        .select(polars_schema("grades").names())
    )


def _scored(evidence: pl.LazyFrame, components: Collection[Component]) -> pl.LazyFrame:
    """Add raw numbers and scores of components."""
    return evidence.with_columns(c.raw().alias(c.raw_name) for c in components).with_columns(
        normalized(pl.col(c.raw_name)).alias(c.score_name) for c in components
    )


def published(grades: pl.LazyFrame, driver_inputs: pl.LazyFrame) -> pl.LazyFrame:
    """Tell what rests on evidence, and leave out what does not.

    Args:
        grades: what `grade` gave.
        driver_inputs: what it was given.

    Returns:
        One row per row of `grades`: its columns, null where nothing supports them, and
        `has_…_evidence` of each component.
    """
    flags = driver_inputs.select(*ENTRY, **{c.flag_name: c.has_evidence() for c in COMPONENTS})
    masked = {
        name: pl.when(component.flag_name).then(name)
        for component in COMPONENTS
        for name in (
            component.raw_name,
            component.score_name,
            *MASKED.get(component.score_name, ()),
        )
    }
    return grades.join(flags, on=ENTRY).with_columns(
        **masked, total_grade=pl.when(pl.all_horizontal(NEEDED)).then("total_grade")
    )
