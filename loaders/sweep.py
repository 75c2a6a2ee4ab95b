"""A grid of calibration profiles over the lake: one Parquet file of what each of them does.

A grid file names a profile to start from and, for some of its constants, the values to try:

    {"base": "baseline", "grid": {"consistency_tolerance": [3.0, 4.1], "stint_boost_cap": [0, 0.3]}}

Every combination is a profile. Nothing is stored in PostgreSQL or the lake.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Annotated, Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import ProfileError
from engine.tables import NORMALIZED
from engine.v1.calibration import CalibrationProfile, profile_frame
from engine.v1.grade import grade, published
from engine.v1.inputs import derive
from engine.v1.sweep import sweep
from loaders import lake
from loaders.grading import track_difficulty
from loaders.profiles import faults, read_v1_profile

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

MAX_PROFILES: Final = 100_000
"""Combinations a grid may have; more are a mistake, or a job for another method."""

BLOCK_GRADES: Final = 2_000_000
"""Grades computed at once: driver-races times profiles; holds memory well below 2 GiB."""


class _Grid(BaseModel):
    """A grid file."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    base: str = "baseline"
    grid: dict[str, Annotated[list[int | float], Field(min_length=1)]] = Field(min_length=1)


def read_grid(path: Path) -> list[CalibrationProfile]:
    """Read a grid file: one profile per combination, named ``sweep-1``, ``sweep-2`` ….

    The last constant named changes fastest.

    Raises:
        ProfileError: the file cannot be read or is no grid, a constant is unknown or out of its
            bounds, or there are more than `MAX_PROFILES` combinations.
    """
    try:
        found = _Grid.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise ProfileError(f"{path}: {faults(error)}") from None
    base = read_v1_profile(found.base)
    constants = set(CalibrationProfile.model_fields) - {"name", "version"}
    if unknown := sorted(found.grid.keys() - constants):
        raise ProfileError(
            f"{path}: no constant {', '.join(unknown)}; there are {', '.join(sorted(constants))}"
        )
    count = 1
    for values in found.grid.values():
        count *= len(values)
    if count > MAX_PROFILES:
        raise ProfileError(f"{path}: {count} combinations; at most {MAX_PROFILES} are evaluated")
    profiles = []
    for number, combination in enumerate(product(*found.grid.values()), start=1):
        chosen = dict(zip(found.grid, map(float, combination), strict=True))
        body = {**base.model_dump(), **chosen, "name": f"sweep-{number}", "version": 1}
        try:
            profiles.append(CalibrationProfile.model_validate(body))
        except ValidationError as error:
            raise ProfileError(f"{path}: combination {chosen}: {faults(error)}") from None
    return profiles


def run_sweep(
    folder: Path, profiles: Sequence[CalibrationProfile], seasons: Collection[int] | None = None
) -> pl.DataFrame:
    """Evaluate profiles on the sessions of the lake.

    Args:
        folder: the lake.
        profiles: what to evaluate.
        seasons: only these; None for all.

    Returns:
        The constants of each profile beside the columns of `engine.v1.sweep.SWEEP_SCHEMA`: one row
        per profile and season, ordered by both.

    Raises:
        LakeError: a file is damaged.
    """
    seen = lake.snapshot(folder)
    tables = {name: lake.collect(seen.scan(name, seasons), folder).lazy() for name in NORMALIZED}
    derived = derive(tables, track_difficulty())
    inputs, overtakes = pl.collect_all(
        [derived["driver_inputs"], derived["overtakes"]], engine="streaming"
    )
    size = max(1, BLOCK_GRADES // max(1, inputs.height))
    rows = profile_frame(profiles)
    parts = []
    for start in range(0, rows.height, size):
        block = rows.slice(start, size).lazy()
        metrics = published(grade(inputs.lazy(), overtakes.lazy(), block), inputs.lazy())
        summary = sweep(metrics, tables["entries"], tables["sessions"])
        parts.append(summary.collect(engine="streaming"))
    order = rows.with_row_index("profile_row")
    return (
        order.join(pl.concat(parts), on="profile_name")
        .sort("profile_row", "season")
        .drop("profile_row")
    )
