"""From a finished race to the tables of `engine.tables.NORMALIZED`, and to the truth behind them.

The tables say only what a timing service would: what cannot be seen from outside stays null.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks.simulator.cars import Dice, wetness
from benchmarks.simulator.control import LIGHTS_OUT_MS
from benchmarks.simulator.qualifying import part_times
from benchmarks.simulator.result import STATUS_TEXTS, classify
from engine.contract import check
from engine.tables import NORMALIZED, polars_schema

if TYPE_CHECKING:
    from benchmarks.simulator.race import Race
    from benchmarks.simulator.records import LapRecord
    from benchmarks.simulator.world import Driver, Scenario

SOURCE: Final = "simulated"
"""Value of `data_source`."""

SECTOR_SHARES: Final = (0.29, 0.39)
"""Shares of the lap in sectors 1 and 2; the third takes the rest."""

SECTOR_SCATTER: Final = 0.0002
"""How far these shares scatter, as a share of the lap: too little to swap two cars."""

SPEEDS_KPH: Final = {
    "speed_trap_1_kph": 268,
    "speed_trap_2_kph": 281,
    "speed_trap_line_kph": 274,
    "speed_trap_straight_kph": 302,
}
SPEED_SCATTER_KPH: Final = 4.0
"""Usual speeds at racing pace, and their scatter, in km/h; they fall with the lap's pace."""

WEATHER_EVERY_MS: Final = 60_000
WEATHER_BEFORE_MS: Final = 600_000
"""Readings are a minute apart and begin ten minutes before the start, in ms."""

AIR_DEGC: Final = 22.0
TRACK_DEGC: Final = 34.0
HUMIDITY_PCT: Final = 48.0
PRESSURE_MBAR: Final = 1008.0
WIND_MPS: Final = 2.4
WIND_DEG: Final = 180
"""Usual weather."""

DRIFT: Final = 0.05
WIND_SCATTER_MPS: Final = 0.6
WIND_SCATTER_DEG: Final = 40.0
"""What a minute changes: all but the wind drift together, in their units; the wind scatters."""

WATER_COOLS_TRACK_DEGC: Final = 11.0
WATER_COOLS_AIR_DEGC: Final = 4.0
WATER_HUMIDITY_PCT: Final = 40.0
"""How much cooler a soaked track and its air are, and how much damper."""

RAINING: Final = 0.5
"""Rain is reported while the track gets wetter, or is wetter than this."""

NEUTRAL_CODES: Final = "[4567]"
"""Track status codes under which a lap's timing is not called accurate."""

CONTEST_SCHEMA: Final = {
    "driver_id": pl.String,
    "lap_number": pl.Int64,
    "opponent_id": pl.String,
    "pass_probability": pl.Float64,
}
"""Columns of the contests as the race records them; it may have none."""


def session_tables(race: Race, seed: int) -> dict[str, pl.DataFrame]:
    """Write a finished race as the tables a provider delivers, each under contract.

    Args:
        race: a race that has been run.
        seed: for what decides nothing in the race: sectors, speeds, weather, qualifying times.
    """
    dice = Dice(seed, race.scenario.session, use=1)
    frames = {
        "sessions": _sessions(race.scenario),
        "entries": _entries(race),
        "laps": _laps(race, dice),
        "pit_stops": _pit_stops(race),
        "race_control": _race_control(race),
        "weather": _weather(race, dice),
        "qualifying": _qualifying(race, seed),
    }
    session_id = race.scenario.session.session_id
    return {
        table: check(
            table,
            frame.with_columns(session_id=pl.lit(session_id)).sort(NORMALIZED[table].primary_key()),
            f"the simulator, {session_id}",
        )
        for table, frame in frames.items()
    }


def truth_frames(race: Race) -> dict[str, pl.DataFrame]:
    """Write what a grade should find again.

    Returns:
        drivers: one row per driver who started: `car_pace_s` and `pace_s` (seconds per lap,
            negative is faster), `dispersion_s`, `error_rate` (0..1), `start_s`, `attack` and
            `defence` (log-odds).
        laps: one row per lap begun: `potential_ms` (clear air, no noise), `noise_ms`, `error_ms`,
            and `delay_ms`, what traffic, pits and neutralizations cost (null if not completed).
        contests: one row per pass tried on the track between cars that stayed out: the
            probability it had, and `is_success`, whether it was brought to the line.
    """
    session_id = pl.lit(race.scenario.session.session_id)
    drivers = pl.DataFrame([_driver_truth(car.driver) for car in race.cars])
    records = pl.DataFrame(race.laps, infer_schema_length=None)
    laps = records.select(
        "driver_id",
        "lap_number",
        "potential_ms",
        "noise_ms",
        "error_ms",
        delay_ms=pl.col("end_ms")
        - pl.col("start_ms")
        - pl.sum_horizontal("potential_ms", "noise_ms", "error_ms"),
    )
    contests = _decided(pl.DataFrame(race.contests, schema=CONTEST_SCHEMA, orient="row"), records)
    frames = {"drivers": drivers, "laps": laps, "contests": contests}
    return {
        name: frame.select(session_id.alias("session_id"), pl.all())
        for name, frame in frames.items()
    }


def _decided(contests: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Keep the contests of two cars that completed the lap on the track, and say who won."""
    ends = records.filter(~pl.col("is_in_lap"), pl.col("end_ms").is_not_null()).select(
        "driver_id", "lap_number", "end_ms"
    )
    return (
        contests.join(ends, on=["driver_id", "lap_number"], maintain_order="left")
        .join(
            ends,
            left_on=["opponent_id", "lap_number"],
            right_on=["driver_id", "lap_number"],
            suffix="_of_opponent",
            maintain_order="left",
        )
        .select(*CONTEST_SCHEMA, is_success=pl.col("end_ms") < pl.col("end_ms_of_opponent"))
    )


def _driver_truth(driver: Driver) -> dict[str, object]:
    return {
        "driver_id": driver.driver_id,
        "team_id": driver.team.team_id,
        "car_pace_s": driver.team.pace_s,
        "pace_s": driver.pace_s,
        "dispersion_s": driver.dispersion_s,
        "error_rate": driver.error_rate,
        "start_s": driver.start_s,
        "attack": driver.attack,
        "defence": driver.defence,
    }


def _frame(table: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """Build a table from rows; a column no row names is null, `session_id` is added later."""
    schema = {name: dtype for name, dtype in polars_schema(table).items() if name != "session_id"}
    return pl.DataFrame(rows, schema=schema)


def _sessions(scenario: Scenario) -> pl.DataFrame:
    row: dict[str, object] = {
        **scenario.session._asdict(),
        "event_name": scenario.event_name,
        "circuit_id": scenario.circuit.circuit_id,
        "circuit_name": scenario.circuit.name,
        "session_date": scenario.started_at.date(),
        "started_at": scenario.started_at,
        "scheduled_laps": scenario.laps,
        "data_source": SOURCE,
    }
    return _frame("sessions", [row])


def _entries(race: Race) -> pl.DataFrame:
    scenario = race.scenario
    slots = {driver.driver_id: slot for slot, driver in enumerate(race.grid, start=1)}
    rows: list[dict[str, object]] = [
        {
            **place._asdict(),
            "driver_id": place.driver.driver_id,
            "driver_code": place.driver.code,
            "driver_number": place.driver.number,
            "driver_name": place.driver.name,
            "team_id": place.driver.team.team_id,
            "team_name": place.driver.team.name,
            "grid_position": slots.get(place.driver.driver_id),
            "is_pit_lane_start": place.driver.driver_id in scenario.pit_lane_starts,
            "status_text": STATUS_TEXTS[place.status],
        }
        for place in classify(race)
    ]
    return _frame("entries", rows)


def _laps(race: Race, dice: Dice) -> pl.DataFrame:
    rows = [
        {**_lap_times(lap, dice), "track_status": _track_status(race, lap)} for lap in race.laps
    ]
    racing = (
        ~pl.col("is_in_lap")
        & ~pl.col("is_out_lap")
        & ~pl.col("track_status").str.contains(NEUTRAL_CODES)
    )
    counted = pl.when(~pl.col("is_deleted")).then("lap_time_ms")
    best = counted.cum_min().over("driver_id", order_by="lap_number")
    return _frame("laps", rows).with_columns(
        position=pl.when(pl.col("lap_end_ms").is_not_null()).then(
            pl.col("lap_end_ms").rank("ordinal").over("lap_number").cast(pl.Int16)
        ),
        is_accurate=racing & (pl.col("lap_number") > 1) & pl.col("lap_time_ms").is_not_null(),
        is_personal_best=(counted == best).fill_null(value=False),
    )


def _lap_times(lap: LapRecord, dice: Dice) -> dict[str, object]:
    """Give what a lap's record holds, its sectors and its speeds."""
    row: dict[str, object] = {
        "driver_id": lap.driver_id,
        "lap_number": lap.lap_number,
        "lap_start_ms": lap.start_ms,
        "lap_end_ms": lap.end_ms,
        "compound": lap.compound,
        "stint_number": lap.stint_number,
        "tyre_life_laps": lap.tyre_life_laps,
        "is_fresh_tyre": lap.is_fresh_tyre,
        "is_in_lap": lap.is_in_lap,
        "is_out_lap": lap.is_out_lap,
        "is_deleted": lap.deleted_reason is not None,
        "deleted_reason": lap.deleted_reason,
        "is_generated": lap.end_ms is None,
    }
    if lap.end_ms is None:
        return row
    lap_time_ms = lap.end_ms - lap.start_ms
    row |= {"lap_time_ms": lap_time_ms, **_sectors(lap, lap_time_ms, dice)}
    slow = min(1.0, lap.potential_ms / lap_time_ms)
    for column, speed_kph in SPEEDS_KPH.items():
        row[column] = float(round(speed_kph * slow + dice.normal(SPEED_SCATTER_KPH)))
    return row


def _sectors(lap: LapRecord, lap_time_ms: int, dice: Dice) -> dict[str, object]:
    """Split a lap: leaving the pits or the grid costs sector 1, turning into the pits sector 3."""
    driven_ms = lap_time_ms - lap.entry_loss_ms - lap.exit_loss_ms
    first, second = (
        round(driven_ms * (share + dice.normal(SECTOR_SCATTER))) for share in SECTOR_SHARES
    )
    first += lap.exit_loss_ms
    return {
        "sector1_time_ms": first if lap.lap_number > 1 else None,
        "sector2_time_ms": second,
        "sector3_time_ms": lap_time_ms - first - second,
    }


def _track_status(race: Race, lap: LapRecord) -> str:
    """String the codes seen during a lap in the order they were shown."""
    statuses = race.control.statuses
    first = bisect_right(statuses, lap.start_ms, key=lambda status: status[0]) - 1
    seen = [statuses[first][1]]
    seen += [code for at_ms, code in statuses[first + 1 :] if at_ms < lap.last_seen_ms]
    return "".join(dict.fromkeys(seen))


def _pit_stops(race: Race) -> pl.DataFrame:
    rows: list[dict[str, object]] = [
        {
            "driver_id": driver_id,
            "lap_number": visit.lap,
            "pit_in_ms": visit.in_ms,
            "pit_out_ms": visit.out_ms,
            "stationary_time_ms": visit.stationary_ms,
        }
        for driver_id, visit in race.visits
    ]
    return _frame("pit_stops", rows).with_columns(
        pit_lane_time_ms=pl.col("pit_out_ms") - pl.col("pit_in_ms")
    )


def _race_control(race: Race) -> pl.DataFrame:
    control = race.control
    messages = sorted(control.messages, key=lambda message: message.at_ms)
    rows: list[dict[str, object]] = [
        {
            **message._asdict(),
            "message_number": number,
            "sent_at": control.time_at(message.at_ms).replace(microsecond=0),
            "lap_number": _lead_lap(race, message.at_ms),
        }
        for number, message in enumerate(messages, start=1)
    ]
    return _frame("race_control", rows)


def _lead_lap(race: Race, at_ms: int) -> int:
    return max(1, bisect_right(race.lead_starts_ms, at_ms))


def _qualifying(race: Race, seed: int) -> pl.DataFrame:
    dice = Dice(seed, race.scenario.session, use=2)
    return _frame("qualifying", part_times(race.scenario, race.qualified, dice))


def _weather(race: Race, dice: Dice) -> pl.DataFrame:
    flag_ms = race.flag_ms or race.lead_starts_ms[-1]
    rows: list[dict[str, object]] = []
    drift = 0.0
    for clock_ms in range(LIGHTS_OUT_MS - WEATHER_BEFORE_MS, flag_ms, WEATHER_EVERY_MS):
        drift += dice.normal(DRIFT)
        lap = _lead_lap(race, clock_ms)
        water, later = wetness(race.scenario, lap), wetness(race.scenario, lap + 1)
        row: dict[str, object] = {
            "session_clock_ms": clock_ms,
            "is_raining": later > water or water > RAINING,
        }
        rows.append(row | _reading(water, drift, dice))
    return _frame("weather", rows)


def _reading(water: float, drift: float, dice: Dice) -> dict[str, object]:
    """Read the instruments, with the water on the track and the day's drift."""
    return {
        "air_temperature_degc": round(AIR_DEGC + drift - WATER_COOLS_AIR_DEGC * water, 1),
        "track_temperature_degc": round(TRACK_DEGC + drift - WATER_COOLS_TRACK_DEGC * water, 1),
        "humidity_pct": round(HUMIDITY_PCT + WATER_HUMIDITY_PCT * water - drift),
        "pressure_mbar": round(PRESSURE_MBAR + drift, 1),
        "wind_direction_deg": round(WIND_DEG + dice.normal(WIND_SCATTER_DEG)) % 360,
        "wind_speed_mps": round(max(0.0, WIND_MPS + dice.normal(WIND_SCATTER_MPS)), 1),
    }
