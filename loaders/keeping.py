"""A session's way into the lake, with its grades beside those under other profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.tables import empty
from loaders import lake, manifest
from loaders.grading import BY_PROFILE, with_kept

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import polars as pl

    from engine.tables import SessionKey
    from loaders.providers import SessionTables


def keep_session(
    folder: Path, session: SessionKey, tables: SessionTables, derived: Mapping[str, pl.DataFrame]
) -> None:
    """Replace a session in the lake; grades under other profiles stay if their inputs did.

    Args:
        folder: the lake.
        session: which session; every row must belong to it.
        tables: its normalized tables, and `filled_columns` if gaps in them were filled.
        derived: its frames of `engine.tables.DERIVED` by name.

    Raises:
        LakeError: a file is damaged, or the disk refused; nothing was written.
    """
    marks = {"filled_columns": empty("filled_columns")}
    with manifest.lock(folder):  # a regrade may be writing such grades
        seen = lake.snapshot(folder)
        stored = {
            name: lake.collect(seen.scan(name, sessions=[session]), folder) for name in BY_PROFILE
        }
        lake.write_session(folder, session, {**marks, **tables, **with_kept(derived, stored)})
