"""Contracts refuse what they must, and say what and where."""

from __future__ import annotations

import polars as pl
import pytest

from engine.contract import _rules, check
from engine.errors import ContractError
from engine.tables import ENTRY, SESSION, TABLES, SessionKey, empty, polars_schema, unit
from tests.frames import frame, laps


def test_race_and_sprint_have_different_ids() -> None:
    """Seasons, rounds and kinds never share rows."""
    keys = [SessionKey(2024, 1), SessionKey(2025, 1), SessionKey(2025, 1, "sprint")]
    assert [key.session_id for key in keys] == ["2024-1", "2025-1", "2025-1-sprint"]
    assert [SessionKey.parse(key.session_id) for key in keys] == keys


def test_an_error_counts_rows_by_rule_and_shows_the_first() -> None:
    """What, where from, which rule, how many, which rows, what to do."""
    bad = frame("laps", laps("sargeant", [90.0, 91.0])).with_columns(
        lap_time_ms=pl.Series([-12, 91_000], dtype=pl.Int32),
        lap_number=pl.Series([1, 1], dtype=pl.Int16),
    )
    with pytest.raises(ContractError) as caught:
        check("laps", bad, "openf1 session 9523")
    text = str(caught.value)
    assert "laps: 2 rows from openf1 session 9523 break 2 rules" in text
    assert "primary_key: 2 rows" in text
    assert "driver_id=sargeant lap_number=1 lap_time_ms=-12" in text
    assert "widen engine/tables" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.col("lap_time_ms").cast(pl.Int64), "column lap_time_ms is Int64, expected Int32"),
        (pl.lit(1).alias("tire"), "column tire is unknown"),
    ],
)
def test_columns_must_be_exactly_the_contracts(change: pl.Expr, said: str) -> None:
    """A changed type or a new column is refused, never guessed."""
    with pytest.raises(ContractError, match=said):
        check("laps", frame("laps", laps("a", [90.0])).with_columns(change), "hand")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("column", ["total_grade", "expected_delta_s"])
def test_no_grade_is_nan_or_infinite(column: str, bad: float) -> None:
    """Such a number would sort above every other."""
    floats = [name for name, dtype in polars_schema("grades").items() if dtype.is_float()]
    row = dict.fromkeys(floats, 0.0) | {
        "driver_id": "a",
        "profile_name": "baseline",
        "profile_version": 1,
        "model_version": "v1",
        "on_track_events": 0,
        "pit_cycle_events": 0,
    }
    good = frame("grades", [row])
    with pytest.raises(ContractError, match=column):
        check("grades", good.with_columns(pl.lit(bad).alias(column)), "hand")


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_explained(table: str) -> None:
    """One line of meaning each; counts aside, numbers carry their unit in the name."""
    for name, column in TABLES[table].columns().items():
        assert column.description, f"{table}.{name}"


@pytest.mark.parametrize("table", TABLES)
def test_keys_begin_with_session_and_driver(table: str) -> None:
    """The same grain has the same key everywhere."""
    key = tuple(TABLES[table].primary_key())
    assert key[:2] == ENTRY or key[:1] == SESSION
    assert empty(table).schema == polars_schema(table)


@pytest.mark.parametrize("table", TABLES)
def test_integers_are_signed(table: str) -> None:
    """Unsigned integers wrap on the way to PostgreSQL and other engines refuse them."""
    assert not any(dtype.is_unsigned_integer() for dtype in polars_schema(table).values())


def test_units_are_read_from_names() -> None:
    """The longest suffix counts: metres per second are no seconds."""
    assert unit("lap_time_ms") == "milliseconds"
    assert unit("lap_delta_s") == "seconds"
    assert unit("wind_speed_mps") == "metres per second"
    assert unit("driver_id") is None


@pytest.mark.parametrize("table", TABLES)
def test_every_rule_of_a_table_is_asked(table: str) -> None:
    """`contract.check` asks the rules of columns and of the key first; there are no others."""
    asked = {rule.meta.output_name() for rule in _rules(table)}
    assert asked == {*TABLES[table]._validation_rules(with_cast=False)}
