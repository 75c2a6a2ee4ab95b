"""Every table once: columns, dtypes, nullability, bounds, key and meaning.

All other descriptions of a table (Arrow schema, merge keys, data dictionary, the check of the
hand-written DDL) are derived from these classes or compared with them. `normalized` holds what
providers deliver, `derived` what is computed from it, `evidence` what model v2 rests on.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables.base import (
    COMPOUNDS,
    ENTRY,
    ENTRY_STATUSES,
    ID_PATTERN,
    LAP,
    MAX_LAP_MS,
    MAX_SESSION_MS,
    NO_START,
    OVERTAKE_KINDS,
    PENALTY_KINDS,
    SESSION,
    SESSION_ID_PATTERN,
    SESSION_KINDS,
    SLUG_PATTERN,
    UNITS,
    EntryTable,
    SessionKey,
    SessionTable,
)
from engine.tables.derived import (
    DriverInputs,
    DriverMetrics,
    Grades,
    Overtakes,
    PenaltyEvents,
    StrategyEvents,
)
from engine.tables.evidence import (
    GradeEvidence,
    PassEvents,
    PitCycles,
    RatingStates,
    SessionEvidence,
    SlowLaps,
)
from engine.tables.normalized import (
    CalendarSessions,
    Entries,
    FilledColumns,
    Laps,
    PitStops,
    Qualifying,
    RaceControl,
    Sessions,
    Weather,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import dataframely as dy

__all__ = [
    "COMPOUNDS",
    "DERIVED",
    "ENTRY",
    "ENTRY_STATUSES",
    "EVIDENCE",
    "ID_PATTERN",
    "LAP",
    "MAX_LAP_MS",
    "MAX_SESSION_MS",
    "NORMALIZED",
    "NO_START",
    "OVERTAKE_KINDS",
    "PENALTY_KINDS",
    "SESSION",
    "SESSION_ID_PATTERN",
    "SESSION_KINDS",
    "SLUG_PATTERN",
    "STORED",
    "TABLES",
    "UNITS",
    "CalendarSessions",
    "DriverInputs",
    "DriverMetrics",
    "Entries",
    "EntryTable",
    "FilledColumns",
    "GradeEvidence",
    "Grades",
    "Laps",
    "Overtakes",
    "PassEvents",
    "PenaltyEvents",
    "PitCycles",
    "PitStops",
    "Qualifying",
    "RaceControl",
    "RatingStates",
    "SessionEvidence",
    "SessionKey",
    "SessionTable",
    "Sessions",
    "SlowLaps",
    "StrategyEvents",
    "Weather",
    "empty",
    "polars_schema",
    "unit",
]

NORMALIZED: Final[Mapping[str, type[dy.Schema]]] = {
    "sessions": Sessions,
    "entries": Entries,
    "laps": Laps,
    "pit_stops": PitStops,
    "race_control": RaceControl,
    "weather": Weather,
    "qualifying": Qualifying,
}
"""What a provider delivers: one frame per name."""

EVIDENCE: Final[Mapping[str, type[dy.Schema]]] = {
    "grade_evidence": GradeEvidence,
    "session_evidence": SessionEvidence,
    "pass_events": PassEvents,
    "slow_laps": SlowLaps,
    "pit_cycles": PitCycles,
    "rating_states": RatingStates,
}
"""What the grades of model v2 rest on."""

DERIVED: Final[Mapping[str, type[dy.Schema]]] = {
    "overtakes": Overtakes,
    "strategy_events": StrategyEvents,
    "penalty_events": PenaltyEvents,
    "driver_inputs": DriverInputs,
    **EVIDENCE,
    "driver_metrics": DriverMetrics,
}
"""What is computed from them and kept."""

STORED: Final[Mapping[str, type[dy.Schema]]] = {
    **NORMALIZED,
    "filled_columns": FilledColumns,
    **DERIVED,
}
"""What the lake keeps."""

TABLES: Final[Mapping[str, type[dy.Schema]]] = {**STORED, "grades": Grades}
"""All tables; `grades` is what scoring gives, before it is asked what rests on evidence."""


@cache
def polars_schema(table: str) -> pl.Schema:
    """Give the exact Polars dtypes of a table, in the contract's column order."""
    return pl.Schema({name: column.dtype for name, column in TABLES[table].columns().items()})


def empty(table: str) -> pl.DataFrame:
    """Make a table without rows that keeps its contract."""
    return TABLES[table].create_empty()


def unit(column: str) -> str | None:
    """Read a column's unit from its suffix; null for counts, names and flags."""
    return next((text for suffix, text in UNITS.items() if column.endswith(suffix)), None)
