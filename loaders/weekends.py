"""Weekend files: JSON lines of driver inputs, read and scored without a database.

One line is one race; its shape and what a missing field means are those of model v1. The file
enters at `driver_inputs` and `overtakes`: nothing is derived from laps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.contract import check
from engine.errors import ContractError
from engine.tables import ENTRY, SessionKey, polars_schema
from engine.v1.calibration import CalibrationProfile, profile_frame
from engine.v1.grade import grade

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

Number = Annotated[float, Field(ge=-1e4, le=1e4)]
SCORE_COLUMNS: Final = (
    "consistency_raw",
    "team_strategy_raw",
    "racecraft_raw",
    "penalties_raw",
    "consistency_score",
    "team_strategy_score",
    "racecraft_score",
    "penalty_score",
    "on_track_events",
    "pit_cycle_events",
    "total_grade",
)
"""What `score` prints of a grade, in this order."""

UNCOUNTED_KIND: Final = "pit_cycle"
"""Model v1 knows two kinds of event: on track, and all others, which it counts under this name."""


class _Part(BaseModel):
    """Base of the file's objects: unknown fields are ignored, wrong types and NaN refused."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")


class _CarPace(_Part):
    base_delta: Number = 0.0
    track_adjustment: Number = 0.0


class _Form(_Part):
    consistency: Annotated[float, Field(ge=0, le=1)] | None = None
    error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    start_precision: Annotated[float, Field(ge=0, le=1)] | None = None


class _Strategy(_Part):
    optimal_pit_laps: list[Annotated[float, Field(ge=0, le=1e4)]] = []
    actual_pit_laps: list[Annotated[float, Field(ge=0, le=1e4)]] = []
    degradation_penalty: Annotated[float, Field(ge=-1e3, le=1e3)] = 0.0


class _Penalty(_Part):
    time_loss: Number


class _Context(_Part):
    delta_cpi: Number | None = None
    tire_delta: Number | None = None
    tire_compound_diff: Number | None = None
    ers_delta: Number | None = None
    track_difficulty: Number | None = None
    race_phase_pressure: Number | None = None


class _Overtake(_Part):
    success: bool = True
    exposure_time: Annotated[float, Field(ge=0, le=1e5)] | None = None
    penalized: bool = False
    event_type: str = "on_track"
    lap_number: int | None = None
    context: _Context = _Context()


class _Driver(_Part):
    driver: str
    car_pace: _CarPace = _CarPace()
    form: _Form = _Form()
    lap_deltas: list[Number | None] = []
    strategy: _Strategy = _Strategy()
    penalties: list[_Penalty] = []
    overtakes: list[_Overtake] = []


class _Weekend(_Part):
    season: int
    round: int
    drivers: list[_Driver]


def read_weekends(lines: Iterable[str], source: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a weekend file into the two frames that are scored.

    Args:
        lines: JSON lines, one race each; empty lines are skipped.
        source: name of the file, for messages.

    Returns:
        `driver_inputs` and `overtakes` under their contracts. The session is
        ``{season}-{round}``; the driver's name stands in for the stable id.

    Raises:
        ContractError: a line is no such weekend, or a race or driver occurs twice.
    """
    inputs: list[Mapping[str, object]] = []
    events: list[Mapping[str, object]] = []
    for session_id, driver in _drivers(lines, source):
        inputs.append(_input_row(session_id, driver))
        events += _event_rows(session_id, driver)
    frames = {
        name: pl.DataFrame(rows, schema=polars_schema(name), orient="row")
        for name, rows in (("driver_inputs", inputs), ("overtakes", events))
    }
    return (
        check("driver_inputs", frames["driver_inputs"], source),
        check("overtakes", frames["overtakes"], source),
    )


def _drivers(lines: Iterable[str], source: str) -> Iterator[tuple[str, _Driver]]:
    """Parse line by line and name the line that is wrong."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            weekend = _Weekend.model_validate_json(line)
        except ValidationError as error:
            faults = "\n".join(
                f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
                for fault in error.errors()[:3]
            )
            raise ContractError(
                f"{source} line {number}: {error.error_count()} fields are wrong\n{faults}\n"
                "Nothing was scored. Correct the line; its shape is that of model v1."
            ) from None
        session_id = SessionKey(weekend.season, weekend.round).session_id
        for driver in weekend.drivers:
            yield session_id, driver


def _input_row(session_id: str, driver: _Driver) -> dict[str, object]:
    return {
        "session_id": session_id,
        "driver_id": driver.driver,
        "car_base_delta_s": driver.car_pace.base_delta,
        "car_track_adjustment_s": driver.car_pace.track_adjustment,
        "form_consistency_score": driver.form.consistency,
        "form_error_rate": driver.form.error_rate,
        "form_start_precision_score": driver.form.start_precision,
        "lap_deltas_s": [delta for delta in driver.lap_deltas if delta is not None],
        "optimal_pit_laps": driver.strategy.optimal_pit_laps,
        "actual_pit_laps": driver.strategy.actual_pit_laps,
        "degradation_penalty_score": driver.strategy.degradation_penalty,
        "penalty_time_losses_s": [penalty.time_loss for penalty in driver.penalties],
        "has_lap_clocks": True,
        "has_race_control": True,
    }


def _event_rows(session_id: str, driver: _Driver) -> Iterator[dict[str, object]]:
    for number, event in enumerate(driver.overtakes, start=1):
        yield {
            "session_id": session_id,
            "driver_id": driver.driver,
            "overtake_number": number,
            "kind": "on_track" if event.event_type == "on_track" else UNCOUNTED_KIND,
            "lap_number": event.lap_number,
            "opponent_id": None,
            "is_success": event.success,
            "is_penalized": event.penalized,
            "exposure_time_s": event.exposure_time,
            "car_pace_difference_s": event.context.delta_cpi,
            "tyre_age_difference_laps": event.context.tire_delta,
            "compound_difference": event.context.tire_compound_diff,
            "ers_difference": event.context.ers_delta,
            "track_difficulty": event.context.track_difficulty,
            "race_phase_pressure": event.context.race_phase_pressure,
        }


def score(path: Path, chosen: Sequence[CalibrationProfile]) -> Iterator[Mapping[str, object]]:
    """Score a weekend file under some profiles, without a database.

    Args:
        path: JSON lines, one race each.
        chosen: profiles to score with.

    Returns:
        One mapping per profile, race and driver, in the order given, ready for JSON.

    Raises:
        ContractError: a line is no weekend of model v1's shape.
        ProfileError: two profiles share a name.
    """
    with path.open(encoding="utf-8") as lines:
        inputs, overtakes = read_weekends(lines, path.name)
    profile_rows = profile_frame(chosen)
    grades = grade(inputs.lazy(), overtakes.lazy(), profile_rows.lazy()).collect()
    given = inputs.select(*ENTRY).with_row_index("row")
    parts = pl.col("session_id").str.split("-")
    return (
        check("grades", grades, path.name)
        .join(given, on=ENTRY)
        .join(profile_rows.select("profile_name").with_row_index("profile_row"), on="profile_name")
        .sort("profile_row", "row")
        .select(
            profile="profile_name",
            season=parts.list.get(0).cast(pl.Int16),
            round=parts.list.get(1).cast(pl.Int16),
            driver="driver_id",
            **{name: name for name in SCORE_COLUMNS},
        )
        .iter_rows(named=True)
    )
