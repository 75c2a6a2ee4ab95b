"""B24: a table is handed over in one schema or not at all.

The driver compares the width of a column with its target, not the type: an integer of 64 bits
would become a different float, without an error. What the driver makes of the schemas is tried in
`test_driver_contract`; that the stored columns are of the same types, in
tests/loaders/test_migrations.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import polars as pl
import pytest

from engine.contract import check
from engine.errors import ContractError
from engine.tables import empty, polars_schema
from loaders.arrow import ARROW_SCHEMAS, STAGED, to_arrow
from loaders.merging import stage

if TYPE_CHECKING:
    from loaders.connection import Connection
    from tests.soak import Figure

TYPES: Final[tuple[pl.DataType, ...]] = (
    *(pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64()),
    *(pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64()),
    *(pl.Float32(), pl.Float64(), pl.Decimal(10, 2), pl.Boolean(), pl.String(), pl.Binary()),
    *(pl.Date(), pl.Time(), pl.Duration("us")),
    *(pl.Datetime(unit, zone) for unit in ("ms", "us", "ns") for zone in (None, "UTC")),
    *(pl.Datetime("us", "Europe/Rome"), pl.List(pl.Int32()), pl.Null(), pl.Struct({"a": pl.Int8})),
)
"""27 types: each column has one of them, as text if it is an Enum, and may have no other."""


def own_type(dtype: pl.DataType) -> pl.DataType:
    """Give the type in which a column is handed over."""
    return pl.String() if isinstance(dtype, pl.Enum) else dtype


@pytest.mark.parametrize("table", STAGED)
def test_no_other_type_is_handed_over(table: str, figure: Figure) -> None:
    """B24: every column in 26 other types, refused at the conversion to Arrow and at the contract.

    One frame has all columns in one type, and each that should have another is named.
    """
    good = polars_schema(table)
    assert to_arrow(table, empty(table)).schema == ARROW_SCHEMAS[table]
    refused = 0
    for other in TYPES:
        wrong = pl.DataFrame(schema=dict.fromkeys(good, other))
        with pytest.raises(ContractError) as gate:
            to_arrow(table, wrong)
        with pytest.raises(ContractError) as contract:
            check(table, wrong, "hand")
        for column in (name for name, dtype in good.items() if own_type(dtype) != other):
            assert f"\n  {column} is " in str(gate.value), (column, other)
            assert f"\n  column {column} is " in str(contract.value), (column, other)
            refused += 1
    assert refused == 26 * len(good)
    figure("B24", f"{table}: {len(good)} columns in 26 wrong types each, {refused} refused twice")


@pytest.mark.parametrize("table", STAGED)
def test_one_wrong_column_is_enough(table: str) -> None:
    """B24: each column alone in a type of its own width, or nearly, which the driver would take."""
    good = polars_schema(table)
    for column, dtype in good.items():
        other = pl.Int64() if dtype == pl.Float64() else pl.Float64()
        with pytest.raises(
            ContractError, match=f"differs from the contract\n  {column} is [^\n]*\n"
        ):
            to_arrow(table, pl.DataFrame(schema={**good, column: other}))


@pytest.mark.parametrize("table", STAGED)
def test_other_columns_are_not_handed_over(table: str) -> None:
    """B24: one more, one less, two in each other's place."""
    good = empty(table)
    first, second, *rest = good.columns
    for wrong in (
        good.with_columns(more=pl.lit(1)),
        good.drop(second),
        good.select(second, first, *rest),
    ):
        with pytest.raises(ContractError, match="differs from the contract"):
            to_arrow(table, wrong)


@pytest.mark.parametrize("table", STAGED)
def test_one_wrong_table_keeps_all_from_being_sent(table: str) -> None:
    """B24: all tables are converted before the first byte goes; here there is no server at all."""
    column, dtype = next(reversed(polars_schema(table).items()))
    wrong = empty(table).with_columns(pl.lit(None, pl.Int64).alias(column))
    assert dtype != pl.Int64
    frames = {name: empty(name) for name in STAGED} | {table: wrong}
    nobody = cast("Connection", None)
    with pytest.raises(ContractError, match=f"{table}: .*\n  {column} is int64"):
        stage(nobody, frames, [], [], {})
    with pytest.raises(AttributeError):
        stage(nobody, {**frames, table: empty(table)}, [], [], {})
