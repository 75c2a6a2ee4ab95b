"""Moments of a load at which a test may kill it, freeze it, cut its wire or make it fail.

A point costs one comparison while no test watches. Only code can install a watcher: nothing in
the environment, the settings or the command line does.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Watcher = Callable[[str], None]

_watcher: Watcher | None = None


@dataclass(frozen=True)
class FaultPoint:
    """A named moment; calling it tells the watcher, if there is one."""

    name: str

    def __call__(self) -> None:
        """Pass the moment."""
        if _watcher is not None:
            _watcher(self.name)


PREPARED: Final = FaultPoint("prepared")
"""The frames are checked; nothing was sent."""

CONNECTED: Final = FaultPoint("connected")
"""A connection is open and its limits are set."""

LOCKED: Final = FaultPoint("locked")
"""The sessions' locks are held."""

STAGED: Final = FaultPoint("staged")
"""All rows are in temporary tables."""

PLACED: Final = FaultPoint("placed")
"""Seasons, circuits, sessions and their events are merged."""

LAPS: Final = FaultPoint("laps")
"""Teams, drivers, entries and laps are merged: a merge deletes, updates and inserts at once."""

RESULTS: Final = FaultPoint("results")
"""All other tables of the sessions are merged, without grades."""

GRADED: Final = FaultPoint("graded")
"""Grades and their evidence are merged."""

STATUS: Final = FaultPoint("status")
"""Withdrawn entries are gone, and the calendar says that the sessions are ingested."""

RECORDED: Final = FaultPoint("recorded")
"""The loads and their summaries are in the ledger."""

VERIFIED: Final = FaultPoint("verified")
"""What is stored was read back and compared."""

COMMITTED: Final = FaultPoint("committed")
"""The server confirmed; the lake is written after it."""

POINTS: Final = (
    PREPARED, CONNECTED, LOCKED, STAGED, PLACED, LAPS, RESULTS, GRADED, STATUS, RECORDED, VERIFIED,
    COMMITTED,
)  # fmt: skip
"""All of them, in the order of a load over an open connection; `CONNECTED` is before that."""


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Have every point of this process call the watcher with its name, as long as the block runs.

    What the watcher raises is raised at the point.
    """
    global _watcher  # noqa: PLW0603 - one process, one watcher; a point must cost nothing
    before, _watcher = _watcher, watcher
    try:
        yield
    finally:
        _watcher = before
