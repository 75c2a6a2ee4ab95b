"""Grading: from normalized tables to events and published grades, of one race or of all.

The one way on which grades are made: an ingest goes it with one session, a regrade with the
lake. Events are collected first, in one plan, and graded afterwards: one plan for both would
find the overtakes twice.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

import engine
from engine.contract import check
from engine.tables import DERIVED, ENTRY, EVIDENCE, SESSION, empty, polars_schema
from engine.v1.calibration import CalibrationProfile, profile_frame
from engine.v1.grade import grade, published
from engine.v1.inputs import TRACK_DIFFICULTY_SCHEMA, derive
from engine.v2.calibration import CalibrationProfileV2
from loaders.fingerprint import inputs_hashes
from loaders.grading_v2 import GRADING, grade_tables_v2
from loaders.previous import NOTHING, Previous
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loaders.profiles import Profile

TRACK_DIFFICULTY = RESOURCES / "data" / "calibration" / "track_difficulty.csv"
"""Table that says how hard it is to pass at each circuit."""

BY_PROFILE: Final = ("driver_metrics", *EVIDENCE)
"""Tables whose rows are of a profile and a model."""


def track_difficulty() -> pl.LazyFrame:
    """Read how hard it is to pass at each circuit: `TRACK_DIFFICULTY_SCHEMA`."""
    return pl.scan_csv(TRACK_DIFFICULTY, schema=TRACK_DIFFICULTY_SCHEMA)


def grade_tables(
    tables: Mapping[str, pl.LazyFrame],
    profiles: Sequence[Profile],
    source: str,
    before: Previous = NOTHING,
) -> dict[str, pl.DataFrame]:
    """Derive the events of any number of sessions and grade them under any number of profiles.

    Args:
        tables: the frames of `engine.tables.NORMALIZED` by name.
        profiles: what to grade with, of any model, each under a name of its own.
        source: where the tables come from, for messages.
        before: what profiles of model v2 go on from; the sessions must follow one another then.

    Returns:
        The frames of `engine.tables.DERIVED` by name, each under contract, in no promised order.

    Raises:
        ContractError: what was computed breaks its contract, which a value in the tables caused;
            or a session is not later than the state gone on from.
        ProfileError: there is no profile, or two share a name.
    """
    derived = derive(tables, track_difficulty())
    frames = dict(zip(derived, pl.collect_all(derived.values(), engine="streaming"), strict=True))
    first = [profile for profile in profiles if isinstance(profile, CalibrationProfile)]
    second = [profile for profile in profiles if isinstance(profile, CalibrationProfileV2)]
    grades = []
    if first or not second:
        inputs = frames["driver_inputs"].lazy()
        graded = grade(inputs, frames["overtakes"].lazy(), profile_frame(first).lazy())
        grades.append(published(graded, inputs).collect(engine="streaming"))
    if second:
        events = {name: frames[name].lazy() for name in ("strategy_events", "penalty_events")}
        evidence = grade_tables_v2({**tables, **events}, second, before)
        grades.append(evidence.pop("grades"))
        frames |= evidence
    else:
        frames |= {name: empty(name) for name in EVIDENCE}
    hashes = inputs_hashes(frames["driver_inputs"], frames["overtakes"])
    sources = tables["sessions"].select(*SESSION, "data_source").collect()
    frames["driver_metrics"] = pl.concat(
        _complete(part.join(sources, on=SESSION).join(hashes, on=ENTRY)) for part in grades
    )
    return {name: check(name, frames[name], source) for name in DERIVED}


def _complete(grades: pl.DataFrame) -> pl.DataFrame:
    """Give grades all columns of `driver_metrics`: null, or no evidence, where a model has none."""
    lacking = {
        name: pl.lit(value=False) if name.startswith("has_") else pl.lit(None, dtype)
        for name, dtype in polars_schema("driver_metrics").items()
        if name not in grades.columns
    }
    whole = grades.with_columns(**lacking)
    return whole.select(
        pl.col(name).cast(dtype) for name, dtype in polars_schema("driver_metrics").items()
    )


def grade_session(
    tables: Mapping[str, pl.DataFrame],
    profile: Profile,
    source: str,
    before: Previous = NOTHING,
) -> dict[str, pl.DataFrame]:
    """Grade the tables of one session, or a few, under one profile: `grade_tables`."""
    lazy = {name: rows.lazy() for name, rows in tables.items()}
    return grade_tables(lazy, [profile], source, before)


def with_kept(
    new: Mapping[str, pl.DataFrame], stored: Mapping[str, pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """Add the stored grades of other profiles that new ones do not outdate, and their evidence.

    A grade of model v1 stays while its driver has the inputs it was computed from; one of model
    v2, which rests on the whole field, while all drivers of the session have.

    Args:
        new: the frames of `engine.tables.DERIVED` by name, just computed.
        stored: the frames of `BY_PROFILE` of the same sessions.

    Returns:
        `new`, with the rows that stay added to the frames of `BY_PROFILE`.
    """
    metrics = stored["driver_metrics"].join(
        new["driver_metrics"].select(GRADING).unique(), on=GRADING, how="anti"
    )
    inputs = new["driver_metrics"].select(*ENTRY, "inputs_hash").unique()
    is_same = pl.col("is_same").fill_null(value=False)
    of_field = pl.when(pl.col("model_version") == "v1").then(is_same)
    kept = (
        metrics.join(inputs.with_columns(is_same=pl.lit(value=True)), on=inputs.columns, how="left")
        .filter(of_field.otherwise(is_same.all().over(*SESSION, *GRADING)))
        .drop("is_same")
    )
    gradings = kept.select(*SESSION, *GRADING).unique()
    rows = {name: stored[name].join(gradings, on=gradings.columns, how="semi") for name in EVIDENCE}
    rows["driver_metrics"] = kept
    return {**new, **{name: pl.concat([new[name], rows[name]]) for name in BY_PROFILE}}


@cache
def engine_fingerprint() -> str:
    """Fingerprint what grades are computed by: SHA-256 of the engine's source and its tables."""
    digest = hashlib.sha256(TRACK_DIFFICULTY.read_bytes())
    for folder in engine.__path__:
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()
