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
from engine.v1.calibration import MODEL_VERSION
from engine.v2.clean_laps import clean_laps, is_clean
from engine.validity.gates import examine_gates
from engine.validity.proof import FIRST_SEASON, Metric, baseline_metrics, history, prove
from engine.validity.stability import stability
from loaders import lake, postgres
from loaders.connection import run_file, transaction
from loaders.grading import grade_session
from loaders.profiles import read_v1_profile
from loaders.validity_files import read_metric, read_ranking, read_votes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from engine.v1.calibration import CalibrationProfile
    from engine.validity.estimates import Estimate
    from engine.validity.proof import History
    from loaders.lake import Snapshot
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
        with_stability: grade the tested races of model v1 once more, with a lap missing.
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

    The newest model of the lake and the metrics of files are the candidates: their gain over all
    others is told, and they are held against the gates.

    Raises:
        ValidityError: the lake has no laps of the tested seasons, or a model, profile or metric
            that is asked for is not there.
        ContractError: a file breaks a rule.
        LakeError: the lake cannot be read.
        WarehouseError: PostgreSQL refused to give a ranking.
    """
    seen = lake.snapshot(settings.lake)
    known = _history(seen, wanted)
    graded = _model_metrics(seen, wanted)
    files = [Metric(name, read_metric(path)) for name, path in wanted.grades.items()]
    states = [
        Metric(name, read_metric(path), is_state=True) for name, path in wanted.states.items()
    ]
    metrics = _chosen([*baseline_metrics(known), *graded.values(), *files, *states], wanted)
    newest = max((model for model, _ in graded), default=None)
    candidates = [metric for (model, _), metric in graded.items() if model == newest]
    candidates = [metric for metric in [*candidates, *files, *states] if metric in metrics]
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
    """Read what metrics are examined on, up to the last tested season."""
    seasons = range(FIRST_SEASON, wanted.seasons.stop)
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


def _model_metrics(seen: Snapshot, wanted: Examination) -> dict[tuple[str, str], Metric]:
    """Read the total grades by model version and profile, oldest model first."""
    seasons = range(FIRST_SEASON, wanted.seasons.stop)
    columns = ("model_version", "profile_name")
    grades = lake.collect(
        seen.scan("driver_metrics", seasons).select(*columns, *ENTRY, value="total_grade"),
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
    """Grade the tested races again with a lap missing, under each profile of model v1."""
    tables = {name: lake.collect(seen.scan(name, wanted.seasons), seen.lake) for name in NORMALIZED}
    return {
        metric.name: stability(partial(_v1_grades, read_v1_profile(profile)), tables)
        for (model, profile), metric in graded.items()
        if model == MODEL_VERSION
    }


def _v1_grades(profile: CalibrationProfile, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Grade tables with model v1, as a metric."""
    graded = grade_session(tables, profile, "the lake")
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
