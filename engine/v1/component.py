"""What every component of model v1 shares: its shape, clamping and normalisation.

A component is scored in two steps, so that any number of calibration profiles costs little:

1. `evidence` reduces a driver's inputs to a few scalars that no profile touches;
2. `raw` turns those scalars and a profile's fields into one number in 0..1.

Normalisation: ``N(v) = clamp(0.5 + (v - 0.5) / 0.6)``, so that the middle six tenths of the raw
range fill the whole scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RAW_CENTRE: Final = 0.5
"""Raw value that stays where it is."""

RAW_SPREAD: Final = 0.6
"""Width of the raw range that is stretched over 0..1."""


@dataclass(frozen=True)
class Component:
    """One part of a grade.

    Attributes:
        raw_name: column of the number before normalisation, 0..1.
        score_name: column of the number after it, 0..1.
        evidence: (driver_inputs, overtakes) → the rows of driver_inputs, `outputs` added; chained
            from component to component, so that the inputs are read once.
        outputs: evidence columns and their dtypes.
        raw: expression over evidence and profile columns.
        has_evidence: expression over driver inputs: whether the number rests on data, or is what
            the formula gives without any.
    """

    raw_name: str
    score_name: str
    evidence: Callable[[pl.LazyFrame, pl.LazyFrame], pl.LazyFrame]
    outputs: Mapping[str, pl.DataType]
    raw: Callable[[], pl.Expr]
    has_evidence: Callable[[], pl.Expr]

    @property
    def flag_name(self) -> str:
        """Column that says whether the component rests on evidence."""
        return f"has_{self.score_name.removesuffix('_score')}_evidence"

    def schema(self) -> pl.Schema:
        """Give the evidence's columns with the key in front."""
        return pl.Schema({**dict.fromkeys(ENTRY, pl.String()), **self.outputs})


def per(value: pl.Expr, amount: float) -> pl.Expr:
    """Divide by a constant so that the last bit never depends on how rows are chunked.

    Polars divides a column by a literal through its reciprocal, but a chunk of a single row
    exactly; multiplying takes the same way for both.
    """
    return value * (1.0 / amount)


def clamp(value: pl.Expr) -> pl.Expr:
    """Limit to 0..1; null stays null."""
    return value.clip(0.0, 1.0)


def normalized(raw: pl.Expr) -> pl.Expr:
    """Stretch the middle of the raw scale over 0..1: ``N(v)``."""
    return clamp(RAW_CENTRE + per(raw - RAW_CENTRE, RAW_SPREAD))
