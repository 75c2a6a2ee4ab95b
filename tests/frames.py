"""Small frames under contract, written by hand in tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from engine.contract import check
from engine.tables import TABLES, polars_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SESSION_ID = "2025-1"

DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "sessions": {
        "season": 2025,
        "round": 1,
        "session_kind": "race",
        "event_name": "A Grand Prix",
        "data_source": "hand",
    },
    "entries": {"driver_name": "A Driver", "team_name": "A Team", "status": "finished"},
    "laps": {"track_status": "1", "is_in_lap": False, "is_out_lap": False},
    "overtakes": {"is_success": True},
    "driver_inputs": {
        "lap_deltas_s": [],
        "optimal_pit_laps": [],
        "actual_pit_laps": [],
        "penalty_time_losses_s": [],
        "has_lap_clocks": True,
        "has_race_control": True,
    },
    "driver_metrics": {
        "has_consistency_evidence": True,
        "has_team_strategy_evidence": True,
        "has_racecraft_evidence": True,
        "has_penalty_evidence": True,
    },
}
"""What a row has unless a test says otherwise; all other columns are null."""


def frame(table: str, rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """Make a table of rows that name only what matters; checked against its contract."""
    schema = polars_schema(table)
    start = {"session_id": SESSION_ID, **DEFAULTS.get(table, {})}
    filled = [{**dict.fromkeys(schema), **start, **row} for row in rows]
    unknown = {name for row in filled for name in row if name not in schema}
    assert not unknown, f"no such columns in {table}: {unknown}"
    made = (
        pl.DataFrame(filled, schema=schema, orient="row")
        if filled
        else TABLES[table].create_empty()
    )
    return check(table, made, "hand")


def laps(
    driver_id: str, times_s: Iterable[float | None], first_lap: int = 1
) -> list[dict[str, object]]:
    """Write one driver's laps as rows, one time in seconds each; `None` is an untimed lap."""
    return [
        {
            "driver_id": driver_id,
            "lap_number": number,
            "lap_time_ms": None if time is None else round(time * 1000),
        }
        for number, time in enumerate(times_s, start=first_lap)
    ]
