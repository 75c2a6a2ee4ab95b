"""Sums that no order of rows and no partition moves by a bit.

Values are first rounded to a power of two, so that every partial sum is exact: adding and taking
off 1.5 · 2^(52 − bits) leaves multiples of 2^(−bits), because its doubles lie that far apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

BITS: Final = 36
"""Rounds to about 1e-11, of values below 3e4."""


def rounded(value: pl.Expr, bits: int = BITS) -> pl.Expr:
    """Round to a multiple of 2^(−bits)."""
    rounder = 1.5 * 2.0 ** (52 - bits)
    return (value + rounder) - rounder


def exact_sum(value: pl.Expr, bits: int = BITS) -> pl.Expr:
    """Sum of values rounded to a multiple of 2^(−bits)."""
    return rounded(value, bits).sum()
