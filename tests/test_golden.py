"""What must not drift: normalized tables in summary, and grades, of bundled and real races.

`pytest --update-golden` rewrites the files; CHANGELOG.md says under *Grades* what moved and why.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import polars as pl
import pytest

from engine.tables import NORMALIZED, TABLES
from loaders.grading import grade_session
from loaders.providers import simulated
from loaders.settings import Settings
from loaders.weekends import SCORE_COLUMNS
from tests.profiles import BASELINE_PROFILE
from tests.real_races import FOLDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.tables import SessionKey
    from tests.conftest import RealRace

    Golden = Callable[[str, pl.DataFrame], None]


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


def grades(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Grades under the baseline profile, by driver."""
    derived = grade_session(tables, BASELINE_PROFILE, "golden")
    columns = ["driver_id", "expected_delta_s", *SCORE_COLUMNS]
    return derived["driver_metrics"].sort("driver_id").select(columns)


def events(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Number of events of each kind that each driver has."""
    derived = grade_session(tables, BASELINE_PROFILE, "golden")
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
    golden(f"grades/{session.session_id}", grades(tables))
    golden(f"events/{session.session_id}", events(tables))


@pytest.mark.realdata
@pytest.mark.parametrize("session", FOLDERS, ids=lambda key: key.session_id)
def test_real_races(session: SessionKey, golden: Golden, real_race: RealRace) -> None:
    """Seven races that hold most of what a season can bring."""
    tables = real_race(session)
    golden(f"tables/{session.session_id}", summary(tables))
    golden(f"grades/{session.session_id}", grades(tables))
    golden(f"events/{session.session_id}", events(tables))
