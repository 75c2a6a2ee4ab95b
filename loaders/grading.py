"""Grading: from normalized tables to events and published grades, of one race or of all.

The one way on which grades are made: an ingest goes it with one session, a regrade with the
lake. Events are collected first, in one plan, and graded in a second: one plan for both would
find the overtakes twice.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

import engine
from engine.calibration import profile_frame
from engine.contract import check
from engine.grade import grade, published
from engine.inputs import TRACK_DIFFICULTY_SCHEMA, derive
from engine.tables import DERIVED, ENTRY
from loaders.fingerprint import inputs_hashes
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.calibration import CalibrationProfile

TRACK_DIFFICULTY = RESOURCES / "data" / "calibration" / "track_difficulty.csv"
"""Table that says how hard it is to pass at each circuit."""


def track_difficulty() -> pl.LazyFrame:
    """Read how hard it is to pass at each circuit: `TRACK_DIFFICULTY_SCHEMA`."""
    return pl.scan_csv(TRACK_DIFFICULTY, schema=TRACK_DIFFICULTY_SCHEMA)


def grade_tables(
    tables: Mapping[str, pl.LazyFrame], profiles: Sequence[CalibrationProfile], source: str
) -> dict[str, pl.DataFrame]:
    """Derive the events of any number of sessions and grade them under any number of profiles.

    Args:
        tables: the frames of `engine.tables.NORMALIZED` by name.
        profiles: what to grade with, each under a name of its own.
        source: where the tables come from, for messages.

    Returns:
        The frames of `engine.tables.DERIVED` by name, each under contract, in no promised order.

    Raises:
        ContractError: what was computed breaks its contract, which a value in the tables caused.
        ProfileError: there is no profile, or two share a name.
    """
    derived = derive(tables, track_difficulty())
    frames = dict(zip(derived, pl.collect_all(derived.values(), engine="streaming"), strict=True))
    inputs = frames["driver_inputs"].lazy()
    graded = grade(inputs, frames["overtakes"].lazy(), profile_frame(profiles).lazy())
    frames["driver_metrics"] = (
        published(graded, inputs)
        .join(tables["sessions"].select("session_id", "data_source"), on="session_id")
        .collect(engine="streaming")
        .join(inputs_hashes(frames["driver_inputs"], frames["overtakes"]), on=ENTRY)
    )
    return {name: check(name, frames[name], source) for name in DERIVED}


def grade_session(
    tables: Mapping[str, pl.DataFrame], profile: CalibrationProfile, source: str
) -> dict[str, pl.DataFrame]:
    """Grade the tables of one session, or a few, under one profile: `grade_tables`."""
    return grade_tables({name: rows.lazy() for name, rows in tables.items()}, [profile], source)


def kept_grades(stored: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Choose the stored grades of other profiles and models that new ones do not outdate.

    Args:
        stored: `driver_metrics` of the same sessions.
        new: `driver_metrics` that were just computed.

    Returns:
        The rows of `stored` under another profile or model whose driver still has the inputs
        they were computed from.
    """
    inputs = new.select(*ENTRY, "inputs_hash").unique()
    gradings = new.select("profile_name", "model_version").unique()
    return stored.join(inputs, on=inputs.columns, how="semi").join(
        gradings, on=gradings.columns, how="anti"
    )


@cache
def engine_fingerprint() -> str:
    """Fingerprint what grades are computed by: SHA-256 of the engine's source and its tables."""
    digest = hashlib.sha256(TRACK_DIFFICULTY.read_bytes())
    for folder in engine.__path__:
        for path in sorted(Path(folder).glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
