"""Small seasons for duels, written by hand in tests: every team's drivers finish in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from tests.frames import frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def sessions(rounds: Iterable[int], season: int = 2020, kind: str = "race") -> pl.DataFrame:
    """Write the sessions of a season."""
    suffix = "" if kind == "race" else f"-{kind}"
    return frame(
        "sessions",
        [
            {
                "session_id": f"{season}-{number}{suffix}",
                "season": season,
                "round": number,
                "session_kind": kind,
            }
            for number in rounds
        ],
    )


def entries(rounds: Iterable[int], teams: Mapping[str, str], season: int = 2020) -> pl.DataFrame:
    """Enter drivers for their teams; all start and finish in the order given."""
    return frame(
        "entries",
        [
            {
                "session_id": f"{season}-{number}",
                "driver_id": driver,
                "driver_number": place,
                "team_id": team,
                "grid_position": place,
                "position": place,
                "is_classified": True,
            }
            for number in rounds
            for place, (driver, team) in enumerate(teams.items(), start=1)
        ],
    )


def qualifying(
    placed: Mapping[str, tuple[int, int | None]], session_id: str = "2020-4"
) -> pl.DataFrame:
    """Write qualifying: driver → place and the time of part 1, in ms."""
    return frame(
        "qualifying",
        [
            {"session_id": session_id, "driver_id": driver, "position": place, "q1_ms": time_ms}
            for driver, (place, time_ms) in placed.items()
        ],
    )


def metric(driver_id: str, values: Sequence[float | None], season: int = 2020) -> pl.DataFrame:
    """Give a driver a value in each round from 1 on."""
    return pl.DataFrame(
        {
            "session_id": [f"{season}-{number}" for number in range(1, len(values) + 1)],
            "driver_id": driver_id,
            "value": values,
        },
        schema_overrides={"value": pl.Float64},
    )
