"""Two made-up seasons that hold what a standing must tell apart."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

from engine.tables import SessionKey
from tests.frames import frame
from tests.profiles import BASELINE_PROFILE, STRICT_PROFILE
from tests.warehouse import entry_row, metrics_row, session_row

if TYPE_CHECKING:
    import polars as pl

DRIVERS = ("arno", "bela", "cleo", "dana", "egon", "fern", "gita", "hugo")
ROUNDS = 6
WINNER_LAPS = 60
SESSIONS = tuple(
    SessionKey(season, number, kind)
    for season in (2030, 2031)
    for number in range(1, ROUNDS + 1)
    for kind in (("sprint", "race") if number in {2, 5} else ("race",))
)
LAPS = (60, 60, 60, 59, 16, 15, 14, 1, 0, None)
"""Laps of those behind the winner: a quarter of the distance is 15."""

PROFILES = (BASELINE_PROFILE, STRICT_PROFILE)
MODELS = ("v1", "v0")


@cache
def season_tables() -> dict[str, pl.DataFrame]:
    """Sessions, entries and grades of two seasons, under two profiles and two models.

    Drivers change teams in mid-season, miss races, retire within a quarter and beyond it, start
    and are not graded; components lack evidence; distances are unknown; one race has no winner,
    another no total; one driver only ever enters; points are known or not.
    """
    rng = random.Random(5)  # noqa: S311 - drawn for variety, not for secrecy
    entries: list[dict[str, object]] = []
    metrics: list[dict[str, object]] = []
    for session in SESSIONS:
        for place, driver in enumerate(rng.sample(DRIVERS, rng.randint(5, 8)), start=1):
            row: dict[str, object] = {"session_id": session.session_id, "driver_id": driver}
            home = DRIVERS.index(driver) // 2 + (driver == "cleo" and session.round > 3)
            entries.append(
                entry_row(
                    row,
                    team_id=f"team_{home}",
                    team_name=f"Team {home}",
                    points=None if rng.random() < 0.1 else float(rng.choice([0, 1, 18])),
                    position=None if session == SESSIONS[3] else place,
                    completed_laps=WINNER_LAPS if place == 1 else rng.choice(LAPS),
                )
            )
            if driver == "hugo" or rng.random() < 0.1:
                continue
            metrics += [
                _grade(rng, row, profile.name, model, is_blind=session == SESSIONS[6])
                for profile in PROFILES
                for model in MODELS
            ]
    return {
        "sessions": frame(
            "sessions", [{**session_row(key), "circuit_id": "made_up"} for key in SESSIONS]
        ),
        "entries": frame("entries", entries),
        "driver_metrics": frame("driver_metrics", metrics),
    }


def _grade(
    rng: random.Random, row: dict[str, object], profile: str, model: str, *, is_blind: bool
) -> dict[str, object]:
    """Draw a grade whose components may lack evidence; blind ones lack racecraft."""
    flags = [rng.random() > 0.15 for _ in range(4)]
    flags[2] &= not is_blind
    names = ("consistency", "team_strategy", "racecraft", "penalty")
    has = dict(zip(names, flags, strict=True))
    values: dict[str, object] = {f"has_{name}_evidence": has[name] for name in names}
    for name in names:
        score = round(rng.random(), 3) if has[name] else None
        values[f"{name}_score"] = score
        values["penalties_raw" if name == "penalty" else f"{name}_raw"] = score
    both = has["consistency"] and has["racecraft"]
    return metrics_row(
        row,
        profile_name=profile,
        model_version=model,
        **values,
        expected_delta_s=0.1 if has["consistency"] else None,
        on_track_events=rng.randint(0, 5) if has["racecraft"] else None,
        pit_cycle_events=rng.randint(0, 3) if has["racecraft"] else None,
        total_grade=round(rng.uniform(-0.1, 1), 3) if both else None,
    )
