"""What must not drift: normalized tables in summary, and grades, of bundled and real races.

`pytest --update-golden` rewrites the files; CHANGELOG.md says under *Grades* what moved and why.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import polars as pl
import polars.selectors as cs
import pytest

from engine.tables import ENTRY, NORMALIZED, SESSION, TABLES
from loaders.grading import grade_tables
from loaders.grading_v2 import GRADING
from loaders.providers import simulated
from loaders.settings import Settings
from loaders.weekends import SCORE_COLUMNS
from tests.profiles import BASELINE_PROFILE
from tests.profiles_v2 import V2_PROFILE
from tests.real_races import RACES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.tables import SessionKey
    from tests.conftest import RealRace

    Golden = Callable[[str, pl.DataFrame], None]


V2_COLUMNS = (
    "grade",
    "grade_low",
    "grade_high",
    "total_grade",
    "consistency_score",
    "racecraft_score",
    "penalty_score",
)


def summary(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Rows, nulls and a fingerprint of every column: one row per table and column."""
    rows = [
        {
            "table": name,
            "column": column.name,
            "rows": len(column),
            "nulls": column.null_count(),
            "sha256": hashlib.sha256(column.to_frame().write_ndjson().encode()).hexdigest()[:16],
        }
        for name in NORMALIZED
        for column in tables[name].sort(TABLES[name].primary_key())
    ]
    return pl.DataFrame(rows)


def derive(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Grade with both models; model v2 has nothing to go on from."""
    lazy = {name: tables[name].lazy() for name in NORMALIZED}
    return grade_tables(lazy, [BASELINE_PROFILE, V2_PROFILE], "golden")


def grades(derived: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Grades of model v1, by driver."""
    of_v1 = derived["driver_metrics"].filter(model_version="v1")
    return of_v1.sort("driver_id").select("driver_id", "expected_delta_s", *SCORE_COLUMNS)


def grades_v2(derived: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Grades of model v2 and what they were made of, by driver, to nine decimals."""
    of_v2 = derived["driver_metrics"].filter(model_version="v2").select(*ENTRY, *V2_COLUMNS)
    whole = of_v2.join(derived["grade_evidence"].drop(GRADING), on=ENTRY).sort("driver_id")
    return whole.drop(*SESSION, "state_session_id").with_columns(cs.float().round(9))


def events(derived: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Number of events of each kind that each driver has."""
    kinds = [
        derived[name].select("driver_id", kind=pl.concat_str(pl.lit(f"{name} "), kind))
        for name, kind in (
            ("overtakes", pl.col("kind").cast(pl.String)),
            ("penalty_events", pl.col("kind").cast(pl.String)),
            ("strategy_events", pl.col("compound_after").cast(pl.String).fill_null("unknown")),
        )
    ]
    counted = pl.concat(kinds).group_by("driver_id", "kind").agg(count=pl.len().cast(pl.Int64))
    return counted.sort("driver_id", "kind")


@pytest.mark.parametrize("session", simulated.sessions(), ids=lambda key: key.session_id)
def test_bundled_weekends(session: SessionKey, golden: Golden) -> None:
    """The sessions that `drivegrade demo` shows."""
    tables = simulated.fetch(session, Settings())
    derived = derive(tables)
    golden(f"grades/{session.session_id}", grades(derived))
    golden(f"grades_v2/{session.session_id}", grades_v2(derived))
    golden(f"events/{session.session_id}", events(derived))


@pytest.mark.realdata
@pytest.mark.parametrize("session", RACES, ids=lambda key: key.session_id)
def test_real_races(session: SessionKey, golden: Golden, real_race: RealRace) -> None:
    """Races that hold most of what a season can bring: seven in a soak."""
    tables = real_race(session)
    golden(f"tables/{session.session_id}", summary(tables))
    derived = derive(tables)
    golden(f"grades/{session.session_id}", grades(derived))
    golden(f"grades_v2/{session.session_id}", grades_v2(derived))
    golden(f"events/{session.session_id}", events(derived))
