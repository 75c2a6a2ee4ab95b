"""Where two sources of one session disagree: one row per column.

Rows are matched by key. A column is compared where both sources know it; what only one of them
knows, and rows that only one of them has, are counted apart, because not knowing is no
disagreement.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import TABLES

OTHER: Final = "_of_other"
"""Suffix of the second source's columns."""

COMPARISON_SCHEMA: Final = pl.Schema(
    {
        "table": pl.String(),
        "column": pl.String(),
        "rows_in_both": pl.Int64(),
        "rows_only_first": pl.Int64(),
        "rows_only_second": pl.Int64(),
        "known_only_first": pl.Int64(),
        "known_only_second": pl.Int64(),
        "compared": pl.Int64(),
        "differing": pl.Int64(),
        "largest_difference": pl.Float64(),
        "example": pl.String(),
    }
)
"""Counts of rows; the difference is second minus first, by size, null for what is no number."""

PROVENANCE: Final = {"data_source", "inputs_hash", "profile_version"}
"""Columns that name the source or follow from it, and so differ by nature."""


def compare(table: str, first: pl.LazyFrame, second: pl.LazyFrame) -> pl.LazyFrame:
    """Compare one table of two sources.

    Args:
        table: name of the contract both frames follow.
        first: rows of the first source.
        second: rows of the second source, of the same sessions.

    Returns:
        Rows of `COMPARISON_SCHEMA`, one per column that is not in the key.
    """
    schema = TABLES[table]
    key = schema.primary_key()
    columns = [c for c in schema.column_names() if c not in key and c not in PROVENANCE]
    joined = first.with_columns(in_first=pl.lit(value=True)).join(
        second.with_columns(in_second=pl.lit(value=True)),
        on=key,
        how="full",
        coalesce=True,
        suffix=OTHER,
    )
    return pl.concat(_column(joined, table, column, key) for column in columns)


def _column(joined: pl.LazyFrame, table: str, column: str, key: list[str]) -> pl.LazyFrame:
    """Count how a column compares: one row of `COMPARISON_SCHEMA`."""
    one, other = pl.col(column), pl.col(f"{column}{OTHER}")
    in_first, in_second = pl.col("in_first").is_not_null(), pl.col("in_second").is_not_null()
    in_both = in_first & in_second
    both_know = one.is_not_null() & other.is_not_null()
    differs = both_know & (one != other)
    is_number = TABLES[table].columns()[column].dtype.is_numeric()
    difference = (
        (other.cast(pl.Float64) - one.cast(pl.Float64)).filter(differs)
        if is_number
        else pl.lit(None, dtype=pl.Float64)
    )
    example = pl.format(
        f"{' '.join('{}' for _ in key)}: {{}} / {{}}",
        *(pl.col(name).cast(pl.String) for name in key),
        one.cast(pl.String),
        other.cast(pl.String),
    )
    by_size = difference.abs() if is_number else pl.lit(0.0)
    return joined.sort(key).select(
        table=pl.lit(table),
        column=pl.lit(column),
        rows_in_both=in_both.sum().cast(pl.Int64),
        rows_only_first=(in_first & ~in_second).sum().cast(pl.Int64),
        rows_only_second=(in_second & ~in_first).sum().cast(pl.Int64),
        known_only_first=(in_both & one.is_not_null() & other.is_null()).sum().cast(pl.Int64),
        known_only_second=(in_both & one.is_null() & other.is_not_null()).sum().cast(pl.Int64),
        compared=both_know.sum().cast(pl.Int64),
        differing=differs.sum().cast(pl.Int64),
        largest_difference=(
            difference.get(by_size.arg_max(), null_on_oob=True) if is_number else difference
        ),
        example=(
            example.filter(differs).get(by_size.arg_max(), null_on_oob=True)
            if is_number
            else example.filter(differs).first()
        ),
    )
