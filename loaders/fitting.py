"""Fitting a profile of model v2 on the training years of a lake.

Raw values are computed as a grading computes them (`loaders.grading_v2`), under the profile that a
fit starts from and from the lake's first season on, so that the states of the ratings are those
that grades rest on. The Grands Prix of the training years then go to `engine.v2.fitting`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.errors import ProfileError
from engine.tables import NORMALIZED, SESSION
from engine.v1.inputs import derive
from engine.v2.calibration import MODEL_VERSION_V2, CalibrationProfileV2
from engine.v2.fitting import Training, fit
from engine.v2.racecraft import drives
from engine.validity.duels import grands_prix
from loaders import lake
from loaders.grading import track_difficulty
from loaders.grading_v2 import Chain
from loaders.previous import NOTHING
from loaders.profiles import OF_MODEL, read_profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from loaders.lake import Snapshot

EVENTS: Final = ("strategy_events", "penalty_events")
"""What is derived from the tables before the chain of model v2 starts."""

FINGERPRINT_DIGITS: Final = 12
"""Of the SHA-256 of what was fitted on; enough to tell two lakes apart."""


def bundled_profile() -> CalibrationProfileV2:
    """Read the profile of model v2 that comes with the project.

    Raises:
        ProfileError: its file is not there, or is of another model.
    """
    profile = read_profile(OF_MODEL[MODEL_VERSION_V2])
    if not isinstance(profile, CalibrationProfileV2):
        raise ProfileError(f"the bundled profile {profile.name} is not of model v2; reinstall")
    return profile


def fit_lake(
    folder: Path,
    seasons: range,
    carried: CalibrationProfileV2,
    *,
    name: str,
    fitted_on: str,
    command: str,
) -> CalibrationProfileV2:
    """Fit a profile on seasons of a lake.

    Args:
        folder: the lake.
        seasons: training years; Grands Prix with laps count.
        carried: profile whose constants that are not fitted are carried over; pace, ratings and
            the limits of a mistake are computed with it.
        name: what the new profile is called.
        fitted_on: day of the fit, ``YYYY-MM-DD``.
        command: command that asked for it.

    Raises:
        ProfileError: the lake has no laps of a training year, or too little to fit on.
        LakeError: a file is damaged.
    """
    seen = lake.snapshot(folder)
    there = seen.manifest.of("laps")
    if lacking := [str(season) for season in seasons if season not in there]:
        raise ProfileError(
            f"lake {folder}: no laps of {', '.join(lacking)}; {len(there)} seasons have some. "
            "Nothing was fitted. Bring them in with: drivegrade history import PATH"
        )
    training = read_training(seen, seasons, carried)
    return fit(
        training,
        carried,
        name=name,
        data=f"laps, results, pit stops and qualifying of a lake; {_fingerprint(seen, seasons)}",
        fitted_on=fitted_on,
        command=command,
    )


def read_training(seen: Snapshot, seasons: range, carried: CalibrationProfileV2) -> Training:
    """Compute what a fit needs from the normalized tables of a lake.

    Seasons before the training years are rated too; nothing of them but the states is used.
    """
    known = range(min(seen.manifest.of("laps")), seasons.stop)
    tables = {name: lake.collect(seen.scan(name, known), seen.lake).lazy() for name in NORMALIZED}
    derived = derive(tables, track_difficulty())
    chain = Chain({**tables, **{name: derived[name] for name in EVENTS}}, [carried], NOTHING)
    timed = tables["laps"].select(SESSION).unique().collect()
    wanted = (
        grands_prix(chain.sessions)
        .filter(pl.col("season") >= seasons.start)
        .join(timed, on=SESSION, how="semi")
    )
    frames = {
        "sessions": chain.sessions,
        "entries": chain.entries,
        "qualifying": tables["qualifying"].collect(),
        "at_risk": chain.at_risk,
        "circuit_terms": chain.terms,
        "drives": drives(tables["laps"], tables["entries"]).collect(),
        "pace": chain.races.entries,
        "penalties": chain.burden,
    }
    return Training(
        **{name: frame.join(wanted, on=SESSION, how="semi") for name, frame in frames.items()}
    )


def _fingerprint(seen: Snapshot, seasons: range) -> str:
    """Name the files that were fitted on by a digest."""
    digest = hashlib.sha256()
    for name in NORMALIZED:
        for season, file in sorted(seen.manifest.of(name).items()):
            if season in seasons:
                digest.update(f"{name} {season} {file.sha256}\n".encode())
    return f"SHA-256 of the files {digest.hexdigest()[:FINGERPRINT_DIGITS]}"


def changes(carried: CalibrationProfileV2, made: CalibrationProfileV2) -> list[dict[str, object]]:
    """Say which constants moved.

    Returns:
        One mapping per constant that differs: `constant`, `carried`, `fitted`; of a list of them
        that which moved most, with its place from 0 on. Sorted as in the file; name, version and
        provenance are left out.
    """
    told: list[dict[str, object]] = []
    mine, theirs = dict(_flat(made.model_dump(mode="json"))), _flat(carried.model_dump(mode="json"))
    for name, before in theirs:
        after = mine[name]
        if name.split(".")[0] in {"name", "version", "provenance"} or before == after:
            continue
        told.append(_moved_most(name, before, after))
    return told


def _flat(part: dict[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Name what is nested by its path."""
    for name, value in part.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _moved_most(name: str, before: object, after: object) -> dict[str, object]:
    if isinstance(before, list) and isinstance(after, list):
        return _moved_most_of(name, before, after)
    return {"constant": name, "carried": str(before), "fitted": str(after)}


def _moved_most_of(name: str, before: Sequence[float], after: Sequence[float]) -> dict[str, object]:
    pairs = list(zip(before, after, strict=False))
    place = max(range(len(pairs)), key=lambda at: abs(pairs[at][1] - pairs[at][0]))
    moved = f"{name}[{place}]"
    if len(before) != len(after):
        moved += f", {len(before)} → {len(after)} of them"
    return {"constant": moved, "carried": str(before[place]), "fitted": str(after[place])}
