"""Two sources side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.compare import COMPARISON_SCHEMA, compare
from tests.frames import frame, laps

if TYPE_CHECKING:
    import polars as pl


def rows(first: pl.DataFrame, second: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The comparison of two tables of laps, by column."""
    found = compare("laps", first.lazy(), second.lazy()).collect()
    assert found.schema == COMPARISON_SCHEMA
    return {row["column"]: row for row in found.iter_rows(named=True)}


def test_equal_sources_differ_in_nothing() -> None:
    """Every column is compared where it is known."""
    table = frame("laps", laps("a", [90.0, 91.0]))
    found = rows(table, table)
    assert all(row["differing"] == 0 for row in found.values())
    assert found["lap_time_ms"]["compared"] == 2
    assert found["compound"]["compared"] == 0


def test_the_largest_difference_is_shown_with_its_row() -> None:
    """Second minus first: 40 ms more on lap 1, 70 ms less on lap 2."""
    first = frame("laps", laps("a", [90.0, 91.0, 92.0]))
    second = frame("laps", laps("a", [90.040, 90.930, 92.0]))
    row = rows(first, second)["lap_time_ms"]
    assert (row["compared"], row["differing"], row["largest_difference"]) == (3, 2, -70.0)
    assert row["example"] == "2025-1 a 2: 91000 / 90930"


def test_what_one_source_lacks_is_no_disagreement() -> None:
    """A lap only one of them has, and a compound only one of them knows."""
    first = frame("laps", [{**row, "compound": "SOFT"} for row in laps("a", [90.0, 91.0])])
    second = frame("laps", laps("a", [90.0, 91.0, 92.0]))
    row = rows(first, second)["compound"]
    assert (row["rows_in_both"], row["rows_only_first"], row["rows_only_second"]) == (2, 0, 1)
    assert (row["known_only_first"], row["known_only_second"], row["differing"]) == (2, 0, 0)


def test_words_are_compared_as_they_are() -> None:
    """Text and tyres have no size, only an example."""
    first = frame("laps", [{**row, "compound": "SOFT"} for row in laps("a", [90.0])])
    second = frame("laps", [{**row, "compound": "HARD"} for row in laps("a", [90.0])])
    row = rows(first, second)["compound"]
    assert (row["differing"], row["largest_difference"]) == (1, None)
    assert row["example"] == "2025-1 a 1: SOFT / HARD"
