"""The proof on the lake: what is graded there, measured against baselines, printed and kept.

The lake gives sessions, entries, laps and the grades of every model; files may add metrics of any
origin, the votes for the Driver of the Day, and rankings that were imported into PostgreSQL.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from engine.errors import DriveGradeError
from engine.tables import ENTRY, LAP, NORMALIZED
from engine.v2.calibration import CalibrationProfileV2
from engine.v2.clean_laps import clean_laps, is_clean
from engine.validity.gates import examine_gates
from engine.validity.proof import (
    FIRST_SEASON,
    LATER_VOTES,
    Metric,
    baseline_metrics,
    history,
    prove,
)
from engine.validity.stability import stability
from loaders import lake, postgres
from loaders.connection import run_file, transaction
from loaders.grading import grade_session
from loaders.previous import NOTHING, in_order, previous
from loaders.profiles import read_profile
from loaders.validity_files import read_metric, read_ranking, read_votes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from engine.validity.estimates import Estimate
    from engine.validity.proof import History
    from loaders.lake import Snapshot
    from loaders.previous import Previous
    from loaders.profiles import Profile
    from loaders.settings import Settings


class ValidityError(DriveGradeError):
    """There is nothing to examine; the text says what is missing and where it comes from."""


@dataclass(frozen=True)
class Examination:
    """What is to be examined.

    Attributes:
        seasons: tested ones.
        models: versions of the grading model; all of the lake if empty.
        profiles: names of calibration profiles; all of the lake if empty.
        metrics: names of metrics to be shown; all if empty.
        grades: name → file of a metric that says how a race was driven.
        states: name → file of a metric that says what was known before the race.
        votes: file of the votes for the Driver of the Day.
        rankings: names of imported rankings.
        with_stability: grade the tested races once more, with a lap missing.
    """

    seasons: range
    models: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    grades: Mapping[str, Path] = field(default_factory=dict)
    states: Mapping[str, Path] = field(default_factory=dict)
    votes: Path | None = None
    rankings: tuple[str, ...] = ()
    with_stability: bool = False

    @property
    def known(self) -> range:
        """Seasons that are read: up to the last tested one or, for votes, the last voted one."""
        stop = self.seasons.stop if self.votes is None else LATER_VOTES.stop
        return range(FIRST_SEASON, max(stop, self.seasons.stop))


@dataclass(frozen=True)
class ValidityReport:
    """What an examination found.

    Attributes:
        proof: `engine.validity.proof.PROOF_SCHEMA`.
        gates: what `engine.validity.gates.examine_gates` gave for each candidate.
    """

    proof: pl.DataFrame
    gates: list[dict[str, object]]


def examine(settings: Settings, wanted: Examination) -> ValidityReport:
    """Examine the metrics of the lake, of files, and the baselines.

    The newest model of the lake (its grade, and its rating if it has one) and the metrics of files
    are the candidates: their gain over all others is told, and they are held against the gates.

    Raises:
        ValidityError: the lake has no laps of the tested seasons, or a model, profile or metric
            that is asked for is not there.
        ContractError: a file breaks a rule.
        LakeError: the lake cannot be read.
        ProfileError: a profile whose stability is asked for is not a bundled one.
        WarehouseError: PostgreSQL refused to give a ranking.
    """
    seen = lake.snapshot(settings.lake)
    known = _history(seen, wanted)
    graded = _model_grades(seen, wanted)
    rated = _model_ratings(seen, wanted, graded)
    files = [Metric(name, read_metric(path)) for name, path in wanted.grades.items()]
    states = [
        Metric(name, read_metric(path), is_state=True) for name, path in wanted.states.items()
    ]
    of_models = [*graded.values(), *rated.values()]
    metrics = _chosen([*baseline_metrics(known), *of_models, *files, *states], wanted)
    newest = max((model for model, _ in graded), default=None)
    of_newest = [
        metric for one in (graded, rated) for (model, _), metric in one.items() if model == newest
    ]
    candidates = [metric for metric in [*of_newest, *files, *states] if metric in metrics]
    votes = None if wanted.votes is None else read_votes(wanted.votes, known.entries)
    proof = prove(
        metrics,
        known,
        wanted.seasons,
        candidates=[metric.name for metric in candidates],
        votes=votes,
        rankings=read_rankings(settings, wanted.rankings) if wanted.rankings else {},
        stabilities=_stabilities(seen, wanted, graded) if wanted.with_stability else {},
    )
    gates = [
        gate
        for metric in candidates
        for gate in examine_gates(
            proof,
            None if metric.is_state else metric.name,
            metric.name if metric.is_state else None,
        )
    ]
    return ValidityReport(proof, gates)


def _history(seen: Snapshot, wanted: Examination) -> History:
    """Read what metrics are examined on."""
    seasons = wanted.known
    laps = clean_laps(seen.scan("laps", seasons)).filter(is_clean())
    plans = {
        "sessions": seen.scan("sessions", seasons),
        "entries": seen.scan("entries", seasons),
        "qualifying": seen.scan("qualifying", seasons),
        "laps": laps.select(*LAP, "lap_time_ms"),
    }
    tables = {name: lake.collect(plan, seen.lake) for name, plan in plans.items()}
    known = history(tables["sessions"], tables["entries"], tables["qualifying"], tables["laps"])
    tested = known.duels.filter(pl.col("season") >= wanted.seasons.start)
    if tested.is_empty():
        first, last = wanted.seasons.start, wanted.seasons.stop - 1
        raise ValidityError(
            f"lake {seen.lake}: no duel of team-mates in {first}-{last}. Bring the seasons in "
            "with: drivegrade history import PATH"
        )
    return known


def _model_grades(seen: Snapshot, wanted: Examination) -> dict[tuple[str, str], Metric]:
    """Read the total grades by model version and profile, oldest model first."""
    columns = ("model_version", "profile_name")
    grades = lake.collect(
        seen.scan("driver_metrics", wanted.known).select(*columns, *ENTRY, value="total_grade"),
        seen.lake,
    )
    there = grades.select(columns).unique().sort(columns).rows()
    for what, names, found in (
        ("model", wanted.models, {model for model, _ in there}),
        ("profile", wanted.profiles, {profile for _, profile in there}),
    ):
        if unknown := sorted(set(names) - found):
            raise ValidityError(
                f"lake {seen.lake}: no grades of {what} {', '.join(unknown)}; there are "
                f"{', '.join(sorted(found)) or 'none'}. Make them with: drivegrade regrade --all"
            )
    return {
        (model, profile): Metric(
            f"{model} {profile}",
            grades.filter(model_version=model, profile_name=profile).drop(columns),
        )
        for model, profile in there
        if model in (wanted.models or (model,)) and profile in (wanted.profiles or (profile,))
    }


def _model_ratings(
    seen: Snapshot, wanted: Examination, graded: Mapping[tuple[str, str], Metric]
) -> dict[tuple[str, str], Metric]:
    """Read what rated models knew of the drivers before each weekend."""
    columns = ("model_version", "profile_name")
    known = (
        seen.scan("grade_evidence", wanted.known)
        .select(*columns, *ENTRY, value="rating_before_pct")
        .drop_nulls("value")
    )
    rated = lake.collect(known, seen.lake).partition_by(columns, as_dict=True)
    return {
        (model, profile): Metric(
            f"{model} {profile} rating", rated[model, profile].drop(columns), is_state=True
        )
        for model, profile in graded
        if (model, profile) in rated
    }


def _chosen(metrics: Sequence[Metric], wanted: Examination) -> list[Metric]:
    """Keep the metrics asked for."""
    names = [metric.name for metric in metrics]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValidityError(
            f"two metrics are called {', '.join(repeated)}: name the file otherwise"
        )
    if unknown := sorted(set(wanted.metrics) - set(names)):
        raise ValidityError(f"no metric {', '.join(unknown)}; there are {', '.join(names)}")
    return [metric for metric in metrics if metric.name in (wanted.metrics or names)]


def _stabilities(
    seen: Snapshot, wanted: Examination, graded: Mapping[tuple[str, str], Metric]
) -> dict[str, dict[str, Estimate]]:
    """Grade the tested races again with a lap missing, under each profile that is bundled."""
    tables = {name: lake.collect(seen.scan(name, wanted.seasons), seen.lake) for name in NORMALIZED}
    first = in_order(seen.sessions(wanted.seasons))[0]
    found = {}
    for (_, name), metric in graded.items():
        profile = read_profile(name)
        before = NOTHING
        if isinstance(profile, CalibrationProfileV2):
            before = previous(seen, first, [profile])
        found[metric.name] = stability(partial(_grades, profile, before), tables)
    return found


def _grades(profile: Profile, before: Previous, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Grade tables, as a metric."""
    graded = grade_session(tables, profile, "the lake", before)
    return graded["driver_metrics"].select(*ENTRY, value="total_grade")


def store(settings: Settings, proof: pl.DataFrame) -> int:
    """Keep a proof in `validation.validation_metrics`: how many rows it has.

    Raises:
        WarehouseError: the server refused; nothing was stored.
    """
    with postgres.connect(settings) as connection, transaction(connection, "storing a proof"):
        stored = run_file(connection, "statements/insert_validation", _as_json(proof))
    return stored.height


def import_ranking(settings: Settings, path: Path, source: str) -> int:
    """Replace a source's ranking in `validation.external_rankings`: how many rows it has now.

    Raises:
        ContractError: the file is no ranking.
        WarehouseError: the server refused; nothing was changed.
    """
    rows = _as_json(read_ranking(path))
    with postgres.connect(settings) as connection, transaction(connection, f"importing {path}"):
        run_file(connection, "statements/delete_ranking", source)
        return run_file(connection, "statements/insert_ranking", source, rows).height


def read_rankings(settings: Settings, sources: Collection[str]) -> dict[str, pl.DataFrame]:
    """Read imported rankings: source → `season`, `driver_id`, `rank`.

    Raises:
        ValidityError: nothing was imported from a source.
    """
    with postgres.connect(settings) as connection:
        stored = postgres.read(connection, "external_rankings")
    known = sorted(stored["ranking_source"].unique())
    if unknown := sorted(set(sources) - set(known)):
        raise ValidityError(
            f"no ranking from {', '.join(unknown)} is stored; there are "
            f"{', '.join(known) or 'none'}. Import one with: drivegrade validity import-ranking "
            "FILE --source NAME"
        )
    return {
        source: stored.filter(ranking_source=source).drop("ranking_source") for source in sources
    }


def _as_json(rows: pl.DataFrame) -> str:
    return json.dumps(rows.to_dicts(), allow_nan=False)
