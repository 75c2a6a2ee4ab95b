"""A lake of drawn sessions, graded, and one race that is written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.tables import SessionKey
from loaders import lake
from loaders.pictures.frames import RaceFrames
from tests.frames import frame
from tests.profiles_v2 import V2_PROFILE
from tests.reliability.strategies import drawn, graded
from tests.soak import runs

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

SESSIONS = runs(8, 200)
"""Drawn sessions: races of one driver, without laps, without flags, tyres or clocks."""

STILL = SessionKey(1980, 1)
"""A race in the same lake that nobody set a lap in; one driver was entered."""

RACE = SessionKey(2023, 10)

PEOPLE = {
    "ann": ("mclaren", "finished", 1, 2),
    "bob": ("mclaren", "lapped", 2, 1),
    "cat": ("haas", "retired", 3, None),
    "dot": ("haas", "did_not_start", None, 3),
}
"""Driver → team, status, place, slot on the grid (none: the pit lane)."""


@pytest.fixture(scope="session")
def drawn_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of drawn sessions, graded with model v2. Do not write."""
    folder = tmp_path_factory.mktemp("pictures") / "lake"
    tables = drawn(SESSIONS, "pictures")
    keys = [SessionKey.parse(name) for name in tables["sessions"]["session_id"]]
    derived = graded(tables, [V2_PROFILE])
    stored = {name: rows for name, rows in derived.items() if name != "grades"}
    lake.write(folder, keys, {**tables, **stored})
    here = {"session_id": STILL.session_id}
    still = {
        "sessions": frame("sessions", [{**here, "season": STILL.season, "round": STILL.round}]),
        "entries": frame("entries", [{**here, "driver_id": "driver_a", "team_id": "team_a"}]),
    }
    lake.write(folder, [STILL], still)
    return folder


@pytest.fixture
def race() -> RaceFrames:
    """A race of five laps: a pass, a stop, a safety car, a retirement, a car that stayed away."""
    here = {"session_id": RACE.session_id}
    grading = {"profile_name": "v2", "model_version": "v2"}
    entries = [
        {
            **here,
            "driver_id": who,
            "driver_code": who.upper(),
            "driver_name": f"{who.title()} Driver",
            "team_id": team,
            "team_name": team.title(),
            "status": status,
            "position": place,
            "grid_position": slot,
            "is_pit_lane_start": slot is None,
        }
        for who, (team, status, place, slot) in PEOPLE.items()
    ]
    order = {"ann": [2, 2, 1, 1, 1], "bob": [1, 1, 2, 2], "cat": [3, 3]}
    laps = [
        {
            **here,
            "driver_id": who,
            "lap_number": lap,
            "lap_time_ms": 90_000,
            "position": place,
            "track_status": {3: "14", 4: "4", 5: "1267"}.get(lap, "1"),
        }
        for who, places in order.items()
        for lap, place in enumerate(places, start=1)
    ]
    stop = {
        **here, "driver_id": "ann", "stop_number": 1, "actual_lap": 4,
        "compound_before": "SOFT", "compound_after": "HARD", "is_under_red_flag": False,
    }  # fmt: skip
    chase = {
        **here, **grading, "driver_id": "ann", "opponent_id": "bob", "gap_s": 0.5,
        "car_difference_pct": 0.1, "tyre_age_difference_laps": 1, "circuit_term": 0.2,
        "has_overtaking_aid": True, "race_share": 0.5, "is_team_mate": True, "expectation": 0.3,
    }  # fmt: skip
    return RaceFrames(
        profile=V2_PROFILE,
        session=RACE,
        sessions=frame("sessions", [{**here, "season": 2023, "round": 10}]),
        entries=frame("entries", entries),
        laps=frame("laps", laps),
        pit_stops=frame("pit_stops", []),
        race_control=frame("race_control", []),
        strategy_events=frame("strategy_events", [stop]),
        grades=_grades({"ann": (0.9, 0.62, 0.2), "bob": (0.4, None, 0.5)}),
        evidence=_evidence(),
        passes=frame(
            "pass_events",
            [
                {**chase, "lap_number": 2, "is_passed": False},
                {**chase, "lap_number": 3, "is_passed": True},
            ],
        ),
        slow_laps=frame("slow_laps", []),
        pit_cycles=frame("pit_cycles", []),
    )


def _grades(scores: dict[str, tuple[float, float | None, float]]) -> pl.DataFrame:
    """Grade by three scores each; racecraft may not be known. A cat is graded without a total."""
    rows: list[dict[str, object]] = [
        {"driver_id": who, "consistency_score": c, "racecraft_score": r, "penalty_score": p}
        for who, (c, r, p) in scores.items()
    ]
    for row, (c, r, p) in zip(rows, scores.values(), strict=True):
        total = 0.55 * c + 0.45 * (0.5 if r is None else r) - 0.10 * p
        row |= {"total_grade": total, "total_grade_low": total - 0.1}
        row |= {"total_grade_high": total + 0.1, "grade": 100 * total}
        row |= {"grade_low": 100 * total - 10, "grade_high": 100 * total + 10}
    rows.append({"driver_id": "cat"})
    same = {
        "session_id": RACE.session_id, "profile_name": "v2", "profile_version": 1,
        "model_version": "v2", "data_source": "hand", "inputs_hash": "0" * 64,
    }  # fmt: skip
    return frame("driver_metrics", [{**same, **row} for row in rows])


def _evidence() -> pl.DataFrame:
    same = {
        "session_id": RACE.session_id, "profile_name": "v2", "model_version": "v2",
        "clean_laps": 3, "refused_laps": 0, "car_se_pct": 0.2, "rating_se_pct": 0.1,
    }  # fmt: skip
    return frame(
        "grade_evidence",
        [
            {**same, "driver_id": "ann", "car_pct": -0.4, "rating_pct": 0.5,
             "pace_against_car_pct": 0.9, "racecraft_raw": 1.0, "penalties_raw": 0.1},
            {**same, "driver_id": "bob", "car_pct": -0.4, "rating_pct": 0.1,
             "pace_against_car_pct": 0.1, "racecraft_raw": -1.0, "penalties_raw": 0.9},
            {**same, "driver_id": "cat"},
        ],
    )  # fmt: skip
