"""Contracts at work: a frame is made to fit a table, or refused whole with what is wrong."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.errors import ContractError
from engine.tables import TABLES, polars_schema

if TYPE_CHECKING:
    import dataframely as dy

SHOWN_ROWS: Final = 3
"""Rows shown for each broken rule in an error message."""


def conform(frame: pl.DataFrame, table: str, source: str) -> pl.DataFrame:
    """Cast a provider's frame to a table's dtypes, check it, and sort it by its key.

    Args:
        frame: exactly the contract's columns, in dtypes that hold their values.
        table: a key of `TABLES`.
        source: where the rows come from, for the message ("fastf1 2025-1").

    Raises:
        ContractError: a value does not fit its column's dtype, or `check` refuses the frame.
    """
    try:
        cast = frame.cast(polars_schema(table))
    except pl.exceptions.InvalidOperationError as error:
        raise ContractError(
            f"{table}: values from {source} do not fit the contract\n  {error}\n"
            "Nothing was used. If the values are real, widen engine/tables."
        ) from error
    return check(table, cast, source).sort(_key(table))


def check(table: str, frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return the frame in the contract's column order, or refuse it whole.

    Args:
        table: a key of `TABLES`.
        frame: exactly the contract's columns and dtypes, any column order.
        source: where the rows come from, for the message ("fastf1 2025-1").

    Raises:
        ContractError: a column is missing, unknown or of another dtype, or rows break a rule;
            the message counts them by rule and shows the first rows of each.
    """
    expected = polars_schema(table)
    faults = [f"column {c} is missing" for c in expected if c not in frame.columns]
    faults += [f"column {c} is unknown" for c in frame.columns if c not in expected]
    faults += [
        f"column {c} is {frame.schema[c]}, expected {dtype}"
        for c, dtype in expected.items()
        if c in frame.columns and frame.schema[c] != dtype
    ]
    if faults:
        raise ContractError(
            f"{table}: columns from {source} differ from the contract\n  "
            + "\n  ".join(faults)
            + "\nNothing was used. If the source has changed, adapt its provider."
        )
    ordered = frame.select(expected.names())
    if all(ordered.select(_rules(table)).row(0)):
        return ordered
    schema = TABLES[table]
    good, failure = schema.filter(ordered)
    if len(failure):
        raise ContractError(_describe(table, source, schema, failure))
    return good


@cache
def _key(table: str) -> list[str]:
    return TABLES[table].primary_key()


@cache
def _rules(table: str) -> list[pl.Expr]:
    """Write the rules of a table as one flag each; most frames keep them all.

    Asking just that takes a quarter of the time of telling good rows from bad ones. A rule over
    several columns is not among them, so a table that has one must not be in `TABLES`.
    """
    schema = TABLES[table]
    rules = [
        rule.all().alias(f"{name}|{what}")
        for name, column in schema.columns().items()
        for what, rule in column.validation_rules(pl.col(name)).items()
    ]
    repeats = pl.struct(_key(table)).is_duplicated().any()
    return [*rules, (~repeats).alias("primary_key")]


def _describe(table: str, source: str, schema: type[dy.Schema], failure: dy.FailureInfo) -> str:
    """Say which rules were broken, by how many rows, and show the first rows of each."""
    rules = failure.counts()
    details = failure.details()
    rows, broken = _count(len(failure), "row"), _count(len(rules), "rule")
    lines = [f"{table}: {rows} from {source} break {broken}"]
    for rule, count in rules.items():
        column = rule.partition("|")[0]
        shown = list(dict.fromkeys([*schema.primary_key(), column]))
        first = details.filter(pl.col(rule) == "invalid").head(SHOWN_ROWS)
        lines.append(f"  {rule}: {_count(count, 'row')}")
        lines += [
            "    " + " ".join(f"{name}={row[name]}" for name in shown if name in row)
            for row in first.to_dicts()
        ]
    lines.append("Nothing was used. If the values are real, widen engine/tables.")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
