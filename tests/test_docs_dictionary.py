"""The data dictionary is the contracts, and the page is the dictionary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.tables import STORED
from loaders import dictionary
from tests.documents import ROOT

if TYPE_CHECKING:
    import pytest

PAGE = ROOT / "docs" / "dictionary.md"


def test_the_page_is_what_the_contracts_say(request: pytest.FixtureRequest) -> None:
    """`pytest --update-golden` writes it anew."""
    if request.config.getoption("--update-golden"):
        PAGE.write_text(dictionary.markdown(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == dictionary.markdown()


def test_every_column_is_told_with_its_meaning() -> None:
    """None without a meaning, every table under a heading once."""
    facts = list(dictionary.columns())
    assert [(row.table, row.column) for row in facts] == [
        (table, name) for table, schema in STORED.items() for name in schema.columns()
    ]
    assert [row for row in facts if not row.meaning] == []
    assert sorted(name for _, tables in dictionary.SECTIONS for name in tables) == sorted(STORED)


def test_a_column_is_told_as_its_contract_says() -> None:
    """Key, unit, type, nulls, bounds, and where it lies."""
    by_name = {(row.table, row.column): row for row in dictionary.columns()}
    lap = by_name["laps", "lap_time_ms"]
    assert lap == (
        *("laps", "lap_time_ms", False, "int32", True, "milliseconds"),
        *("> 0, ≤ 14,400,000", "official lap time", "public.lap_times.lap_time_ms"),
    )
    assert by_name["laps", "driver_id"].is_key
    assert by_name["laps", "driver_id"].postgresql == "public.lap_times.entry_id"
    assert by_name["sessions", "session_id"].postgresql == "core.races.slug"
    assert by_name["weather", "session_id"].postgresql == "public.weather_readings.race_id"
    assert by_name["laps", "compound"].bounds.startswith("HYPERSOFT, ")
    assert by_name["driver_inputs", "lap_deltas_s"].dtype == "list of float64"
    assert by_name["driver_inputs", "lap_deltas_s"].postgresql == ""


def test_tables_that_only_postgresql_has_are_told() -> None:
    """With the comment of their migration."""
    others = dictionary.only_in_postgresql()
    assert others["core.drivers"] == "One row per driver."
    assert "core.driver_metrics" not in others
