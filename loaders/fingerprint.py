"""Fingerprints: what a load and a grade were made from, as SHA-256.

Rows are sorted by key and written as JSON before hashing, so that neither row order nor the file
format moves a fingerprint, and any changed value does.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import ENTRY, NORMALIZED, SESSION, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOT_HASHED: Final = frozenset({"rating_states"})
"""Tables that no warehouse has, and that say nothing of a session which its grades do not."""


def hashed_tables(names: Iterable[str]) -> list[str]:
    """Choose the tables that a fingerprint is over, in the order in which it takes them."""
    return sorted(set(names) - NOT_HASHED)


def source_tables(names: Iterable[str]) -> list[str]:
    """Choose the tables that hold what a provider delivered, not what follows from it."""
    return [name for name in hashed_tables(names) if name in NORMALIZED]


def _row_text(frame: pl.DataFrame, *left_out: str) -> pl.Series:
    """Write every row as one line of JSON, some columns aside."""
    return frame.select(pl.struct(pl.exclude(left_out)).struct.json_encode()).to_series()


def data_hash(tables: Mapping[str, pl.DataFrame]) -> str:
    """Fingerprint a set of tables.

    Args:
        tables: frames by name, each under the contract of that name.

    Returns:
        SHA-256 in hex over the names, columns and rows of all tables but `NOT_HASHED`.
    """
    digest = hashlib.sha256()
    for name in hashed_tables(tables):
        frame = tables[name].sort(TABLES[name].primary_key())
        digest.update(f"{name}:{','.join(frame.columns)}\n".encode())
        digest.update("\n".join(_row_text(frame)).encode())
    return digest.hexdigest()


def source_hash(tables: Mapping[str, pl.DataFrame]) -> str:
    """Fingerprint what the provider delivered of a set of tables: `data_hash` without the rest."""
    return data_hash({name: tables[name] for name in source_tables(tables)})


def inputs_hashes(driver_inputs: pl.DataFrame, overtakes: pl.DataFrame) -> pl.DataFrame:
    """Fingerprint what each driver's grade was computed from.

    The session's id is not part of it: a round may be renumbered, and the grade stays.

    Args:
        driver_inputs: `engine.tables.DriverInputs`.
        overtakes: `engine.tables.Overtakes` of the same sessions.

    Returns:
        One row per row of `driver_inputs`: its key and `inputs_hash`.
    """
    key = TABLES["overtakes"].primary_key()
    events = (
        overtakes.sort(key)
        .select(*ENTRY, event=_row_text(overtakes.sort(key), *SESSION))
        .group_by(ENTRY)
        .agg(pl.col("event").str.join("\n"))
    )
    texts = (
        driver_inputs.select(*ENTRY, inputs=_row_text(driver_inputs, *SESSION))
        .join(events, on=ENTRY, how="left")
        .with_columns(text=pl.concat_str("inputs", "event", separator="\n", ignore_nulls=True))
    )
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts["text"]]
    return texts.select(*ENTRY, inputs_hash=pl.Series(hashes, dtype=pl.String))
