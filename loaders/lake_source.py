"""What of the lake goes into a warehouse: seasons read whole, hashed, and their grades examined."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from engine.contract import SHOWN_ROWS
from engine.errors import ProfileError
from engine.tables import ENTRY, SESSION, STORED, TABLES, SessionKey
from engine.v1.calibration import MODEL_VERSION, CalibrationProfile, profile_frame
from engine.v1.grade import COMPONENTS, grade, published
from engine.v2.calibration import (
    MODEL_VERSION_V2,
    CalibrationProfileV2,
    profile_frame_v2,
    quantile_frame,
)
from engine.v2.grade import COMPONENTS_V2_SCHEMA, SCORED, for_people, grade_v2
from loaders import lake
from loaders.arrow import STAGED, Grading
from loaders.fingerprint import hashed_tables, source_tables
from loaders.manifest import LakeError
from loaders.profiles import parse_profile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from loaders.lake import Snapshot
    from loaders.profiles import Profile

GRADE: Final = (*ENTRY, *Grading._fields)
"""Key of a grade, the version of its profile included."""

TOTALS: Final = ("total_grade", "total_grade_low", "total_grade_high")

SCORES: Final = {
    MODEL_VERSION: (*(component.score_name for component in COMPONENTS), TOTALS[0]),
    MODEL_VERSION_V2: (
        *(f"{part}_score" for part in SCORED),
        *TOTALS,
        *(total.removeprefix("total_") for total in TOTALS),
    ),
}
"""What each model publishes that follows from what is stored beside it."""

GRADE_TOLERANCE: Final = 1e-9
"""By how much a grade that is computed again may differ."""

SEASONS_SCHEMA: Final = pl.Schema(
    {
        "season": pl.Int16(),
        "loaded": pl.Int64(),
        "unchanged": pl.Int64(),
        "older": pl.Int64(),
        "changed_rows": pl.Int64(),
    }
)
"""One row per season: sessions by what became of them, and rows of theirs that were changed."""

ROWS_SCHEMA: Final = pl.Schema(
    {
        "season": pl.Int16(),
        "table_name": pl.String(),
        "lake_rows": pl.Int64(),
        "warehouse_rows": pl.Int64(),
    }
)
"""One row per season and table of which either has rows; of grades only those that the lake's
gradings name."""


@dataclass(frozen=True)
class LakeLoad:
    """What the load of a lake did.

    Attributes:
        seasons: `SEASONS_SCHEMA`, by season.
        rows: `ROWS_SCHEMA`, by season and table.
        older: session → stored revision, of the sessions that were left as they are because the
            lake has an earlier one.
    """

    seasons: pl.DataFrame
    rows: pl.DataFrame
    older: Mapping[str, int | None]

    @property
    def differing(self) -> pl.DataFrame:
        """The rows of `rows` where lake and warehouse differ."""
        return self.rows.filter(pl.col("lake_rows") != pl.col("warehouse_rows"))

    def by_season(self) -> list[dict[str, object]]:
        """Give a row a season: `SEASONS_SCHEMA`, and rows by table.

        A table's cell is a number where lake and warehouse have as many rows, else a text with
        both.
        """
        cells: dict[int, dict[str, object]] = {}
        for season, table, here, there in self.rows.rows():
            cell = here if here == there else f"{here} / {there}"
            cells.setdefault(season, {})[table] = cell
        tables = [name for name in STAGED if name in set(self.rows["table_name"])]
        return [
            row | {name: cells.get(row["season"], {}).get(name, 0) for name in tables}
            for row in self.seasons.to_dicts()
        ]


def rows_beside(seen: Snapshot, seasons: Collection[int], stored: pl.DataFrame) -> pl.DataFrame:
    """Put the lake's rows beside a warehouse's.

    Args:
        seen: the lake.
        seasons: which seasons.
        stored: what a warehouse has: `season`, `table_name`, `warehouse_rows`.

    Returns:
        `ROWS_SCHEMA`.
    """
    there = [
        (season, table, file.rows)
        for table in STAGED
        for season, file in seen.manifest.of(table).items()
        if season in seasons
    ]
    schema = {name: ROWS_SCHEMA[name] for name in ("season", "table_name", "lake_rows")}
    key = ["season", "table_name"]
    return (
        pl.DataFrame(there, schema=schema, orient="row")
        .join(stored.cast({"season": pl.Int16}), on=key, how="full", coalesce=True)
        .with_columns(pl.col("lake_rows", "warehouse_rows").fill_null(0))
        .filter((pl.col("lake_rows") > 0) | (pl.col("warehouse_rows") > 0))
        .sort(key)
        .select(pl.col(name).cast(dtype) for name, dtype in ROWS_SCHEMA.items())
    )


def wanted_seasons(seen: Snapshot, seasons: Collection[int] | None) -> list[int]:
    """Choose the seasons that the lake has among those wanted.

    Raises:
        LakeError: one of them is not there, or none is wanted and the lake is empty.
    """
    there = sorted(seen.manifest.of("sessions"))
    absent = sorted(set(seasons or ()) - set(there))
    if absent or not there:
        what = f"no session of {', '.join(map(str, absent))}" if absent else "no session"
        known = f"{there[0]} to {there[-1]}" if there else "none"
        raise LakeError(
            f"the lake {seen.lake} has {what}; seasons: {known}. Bring them in with: drivegrade "
            "ingest SEASON ROUND, or: drivegrade history import PATH"
        )
    return there if seasons is None else sorted(seasons)


def lake_gradings(seen: Snapshot) -> list[Grading]:
    """List what the lake's grades were computed with, over all its seasons, in order."""
    plan = seen.scan("driver_metrics").select(Grading._fields).unique()
    return sorted(Grading(*row) for row in lake.collect(plan, seen.lake).iter_rows())


def known_profiles(
    gradings: Iterable[Grading], bodies: Iterable[tuple[str, int, str]]
) -> list[Profile]:
    """Choose the stored profiles that gradings name, of any model.

    Args:
        gradings: what grades were computed with.
        bodies: name, version and JSON of each stored profile.

    Raises:
        ProfileError: one is not stored.
    """
    stored = {(name, version): body for name, version, body in bodies}
    wanted = sorted({grading[:2] for grading in gradings})
    if unknown := [
        f"{name} version {version}" for name, version in wanted if (name, version) not in stored
    ]:
        raise ProfileError(
            f"the lake has grades under {', '.join(unknown)}, which the warehouse does not know. "
            "Nothing was loaded; import the profile with: drivegrade profile import FILE, or "
            "regrade the lake under profiles that are stored"
        )
    return [parse_profile(stored[key]) for key in wanted]


def read_tables(
    seen: Snapshot, seasons: Collection[int], profiles: Sequence[Profile]
) -> dict[str, pl.DataFrame]:
    """Read all tables of seasons, and see that their grades are those of the stored profiles.

    Raises:
        LakeError: a file is damaged.
        ProfileError: grades were computed with other constants.
    """
    tables = {name: lake.collect(seen.scan(name, seasons), seen.lake) for name in STORED}
    refuse_other_constants(tables, profiles)
    return tables


def refuse_other_constants(tables: Mapping[str, pl.DataFrame], profiles: Sequence[Profile]) -> None:
    """See that grades are what the profiles give that they name.

    A grade names a profile and its version, not its constants. So it is computed once more under
    the profile as it is stored, by the model of this program: one of model v1 from the inputs
    beside it, one of v2 from its evidence, as far as that goes: scores, total and grade.

    Args:
        tables: `driver_metrics`, `driver_inputs`, `overtakes` and `grade_evidence` of the same
            sessions.
        profiles: the stored ones.

    Raises:
        ProfileError: some differ by more than `GRADE_TOLERANCE`.
    """
    inputs, overtakes = tables["driver_inputs"].lazy(), tables["overtakes"].lazy()
    for layer in _layers([one for one in profiles if isinstance(one, CalibrationProfile)]):
        graded = grade(inputs, overtakes, profile_frame(layer).lazy())
        _refuse_others(tables["driver_metrics"], MODEL_VERSION, published(graded, inputs))
    evidence = tables["grade_evidence"].lazy().drop("car_pct")
    parts = evidence.rename({"scored_car_pct": "car_pct"})
    for one in (one for one in profiles if isinstance(one, CalibrationProfileV2)):
        own = parts.filter(profile_name=one.name).select(COMPONENTS_V2_SCHEMA.names())
        scored = grade_v2(own, profile_frame_v2([one]).lazy())
        now = for_people(scored, quantile_frame([one]).lazy())
        _refuse_others(tables["driver_metrics"], MODEL_VERSION_V2, now)


def _refuse_others(metrics: pl.DataFrame, model: str, now: pl.LazyFrame) -> None:
    """Refuse grades of a model that differ from those that were computed again.

    Raises:
        ProfileError: there are such grades.
    """
    scores = SCORES[model]
    differs = pl.any_horizontal(
        (pl.col(name) - pl.col(f"{name}_now")).abs().fill_null(0) > GRADE_TOLERANCE
        for name in scores
    ) | pl.any_horizontal(
        pl.col(name).is_null() != pl.col(f"{name}_now").is_null() for name in scores
    )
    wrong = (
        metrics.lazy()
        .filter(model_version=model)
        .join(now.select(*GRADE, *scores), on=GRADE, suffix="_now")
        .filter(differs)
        .sort(GRADE)
        .collect(engine="streaming")
    )
    if not wrong.is_empty():
        _refuse(wrong)


def _layers(profiles: Sequence[CalibrationProfile]) -> Iterator[list[CalibrationProfile]]:
    """Divide profiles so that no two versions of a name are graded with together."""
    rest = list(profiles)
    while rest:
        layer = {profile.name: profile for profile in rest}
        yield list(layer.values())
        rest = [profile for profile in rest if profile not in layer.values()]


def _refuse(wrong: pl.DataFrame) -> None:
    """Refuse grades that the stored profiles do not give.

    Raises:
        ProfileError: always.
    """
    named = wrong.select("profile_name", "profile_version").unique().sort(pl.all()).rows()
    lines = [
        f"  {row['session_id']} {row['driver_id']} {row['profile_name']}: total_grade "
        f"{row['total_grade']}, now {row['total_grade_now']}"
        for row in wrong.head(SHOWN_ROWS).to_dicts()
    ]
    raise ProfileError(
        f"{wrong.height} grade(s) of the lake are not what the stored profile gives that they "
        f"name: {', '.join(f'{name} version {version}' for name, version in named)}\n"
        + "\n".join(lines)
        + "\nNothing was loaded. They were computed with other constants, or by an earlier "
        "program: regrade the lake with the stored profile, or import the one they were computed "
        "with as its next version and regrade with that."
    )


class Hashes(NamedTuple):
    """Fingerprints of a session: what `loaders.fingerprint` gives of it alone.

    Attributes:
        data_hash: of all its tables.
        source_hash: of what the provider delivered.
    """

    data_hash: str
    source_hash: str


def session_hashes(tables: Mapping[str, pl.DataFrame]) -> dict[SessionKey, Hashes]:
    """Fingerprint every session.

    Args:
        tables: all tables of `STORED`, of any number of sessions.

    Returns:
        Session → hashes, of the rows of `sessions`.
    """
    from_provider = set(source_tables(tables))
    sessions = tables["sessions"].select(*SessionKey._fields, *SESSION)
    digests = {row[-1]: (hashlib.sha256(), hashlib.sha256()) for row in sessions.rows()}
    for name in hashed_tables(tables):
        frame = tables[name].sort(TABLES[name].primary_key())
        text = pl.struct(pl.all()).struct.json_encode()
        texts = dict(
            frame.select(*SESSION, text=text)
            .group_by(SESSION)
            .agg(pl.col("text").str.join("\n"))
            .iter_rows()
        )
        header = f"{name}:{','.join(frame.columns)}\n"
        for session_id, (whole, delivered) in digests.items():
            text = (header + texts.get(session_id, "")).encode()
            whole.update(text)
            if name in from_provider:
                delivered.update(text)
    return {
        SessionKey(*row[:-1]): Hashes(*(digest.hexdigest() for digest in digests[row[-1]]))
        for row in sessions.rows()
    }
