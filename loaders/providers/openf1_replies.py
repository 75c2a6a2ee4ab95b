"""What OpenF1 answers, read into raw frames, or refused as a whole.

An answer is a plain list. It has no pages, so half of one looks whole: what shows that rows are
missing are the other endpoints (`openf1_entries`) and the laps that the classification credits
(`engine.completeness`).

A field that all rows of an answer lack has another name now, and the answer is refused, unless
the field is one of `NEWER` or `EITHER`: OpenF1 adds and retires fields within a season
(``pit_duration`` goes after 2026). Rows that repeat each other are one; rows that contradict each
other are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.contract import SHOWN_ROWS
from engine.errors import ContractError
from loaders.providers.openf1_records import ENDPOINTS, raw_frame
from loaders.strict_json import read_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loaders.strict_json import Record

NEWER: Final = frozenset({"is_cancelled", "points", "stop_duration"})
"""Fields that older answers lack."""

EITHER: Final = {"lane_duration": "pit_duration", "pit_duration": "lane_duration"}
"""Two names of one field, of which an answer may have one or both."""

KEYS: Final = {
    "meetings": ("meeting_key",),
    "sessions": ("session_key",),
    "session_result": ("driver_number",),
    "drivers": ("driver_number",),
    "starting_grid": ("session_key", "driver_number"),
    "stints": ("driver_number", "stint_number"),
}
"""What no two rows of an answer may share; laps and visits are judged by their tables' keys."""


def parse_reply(endpoint: str, content: bytes, source: str) -> pl.DataFrame:
    """Read an endpoint's answer into its raw frame.

    Args:
        endpoint: a key of `ENDPOINTS`.
        content: the bytes as received, a JSON list.
        source: where they come from, for messages ("openf1 2025-1").

    Raises:
        ContractError: not such a list, a required field is missing, a value is not of its kind,
            all rows lack a field, or two rows contradict each other.
    """
    records = read_records(content, ENDPOINTS[endpoint], source, endpoint)
    _check_fields(endpoint, records, source)
    frame = raw_frame(endpoint, records)
    if endpoint == "drivers":
        frame = _gaps_filled(frame)
    _check_key(endpoint, frame, source)
    return frame


def _check_fields(endpoint: str, records: Sequence[Record], source: str) -> None:
    """See that a field which may be absent in a row is not absent in all."""
    sent = {name for record in records for name in record.model_fields_set}
    lost = [
        name
        for name in ENDPOINTS[endpoint].model_fields
        if name not in sent | NEWER and EITHER.get(name) not in sent
    ]
    if records and lost:
        raise ContractError(
            f"{endpoint}: none of {len(records)} rows from {source} has {', '.join(lost)}\n"
            "Nothing was used. If the service has renamed it, adapt its provider."
        )


def _gaps_filled(drivers: pl.DataFrame) -> pl.DataFrame:
    """Join rows of one car that differ by gaps only; the service has sent such pairs."""
    car = "driver_number"
    known = (pl.col(name).drop_nulls().first().over(car) for name in drivers.columns)
    filled = (
        pl.col(name).fill_null(value) for name, value in zip(drivers.columns, known, strict=True)
    )
    return drivers.select(filled).unique().sort(drivers.columns, nulls_last=True)


def _check_key(endpoint: str, frame: pl.DataFrame, source: str) -> None:
    """See that no two different rows have one key: which of them holds is not ours to guess."""
    key = KEYS.get(endpoint)
    if key is None:
        return
    twice = frame.filter(pl.struct(key).is_duplicated())
    if twice.height:
        shown = [
            "    " + " ".join(f"{name}={value}" for name, value in row.items())
            for row in twice.head(SHOWN_ROWS).to_dicts()
        ]
        raise ContractError(
            f"{endpoint}: {twice.height} of {frame.height} rows from {source} contradict each "
            f"other\n  {', '.join(key)}: should not be there twice: {twice.height} rows\n"
            + "\n".join(shown)
            + "\nNothing was used. Try again when the service has corrected it."
        )
