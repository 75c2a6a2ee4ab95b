"""Every step from tables to grades, as one list that generic tests run through.

A step is one public function of the engine with what it reads and what it must give. A new
component is tested by adding its line here and its restatement in `restated/`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import polars as pl

from engine.tables import ENTRY, LAP, NORMALIZED, OVERTAKE_KINDS, TABLES, polars_schema
from engine.v1.calibration import profile_frame
from engine.v1.car_pace import car_pace
from engine.v1.form import form
from engine.v1.grade import COMPONENTS, grade, published
from engine.v1.inputs import TRACK_DIFFICULTY_SCHEMA, derive
from engine.v1.laps import lap_deltas
from engine.v1.overtakes import overtakes
from engine.v1.penalties import penalty_events, time_losses
from engine.v1.strategy import pit_laps, strategy_events
from loaders.providers import simulated
from loaders.settings import Settings
from tests.frames import frame
from tests.profiles import ALL_PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.v1.component import Component

Lazy = dict[str, pl.LazyFrame]
World = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Step:
    """A function of the engine: its name, what it gives, and under which key."""

    name: str
    run: Callable[[Lazy], pl.LazyFrame]
    key: tuple[str, ...]
    schema: pl.Schema

    def frame(self, world: World) -> pl.DataFrame:
        """Run the step on a world and order the rows by key."""
        lazy = {name: table.lazy() for name, table in world.items()}
        return self.run(lazy).collect().sort(self.key)


def _table(name: str, run: Callable[[Lazy], pl.LazyFrame]) -> Step:
    return Step(name, run, tuple(TABLES[name].primary_key()), polars_schema(name))


def _entry(name: str, run: Callable[[Lazy], pl.LazyFrame], **columns: pl.DataType) -> Step:
    schema = pl.Schema({**dict.fromkeys(ENTRY, pl.String()), **columns})
    return Step(name, run, ENTRY, schema)


def _component(component: Component) -> Step:
    """Evidence and raw score under every profile."""

    def run(t: Lazy) -> pl.LazyFrame:
        evidence = component.evidence(t["driver_inputs"], t["overtakes"])
        return (
            evidence.join(t["profiles"], how="cross")
            .with_columns(component.raw().alias(component.raw_name))
            .select(*schema)
        )

    schema = pl.Schema(
        {**component.schema(), "profile_name": pl.String(), component.raw_name: pl.Float64()}
    )
    return Step(component.raw_name.removesuffix("_raw"), run, (*ENTRY, "profile_name"), schema)


FLOAT, FLOATS = pl.Float64(), pl.List(pl.Float64())

PUBLISHED = pl.Schema(
    {
        name: dtype
        for name, dtype in polars_schema("driver_metrics").items()
        if name in polars_schema("grades") or name.startswith("has_")
    }
)

COMPONENT_STEPS = tuple(_component(component) for component in COMPONENTS)

STEPS: tuple[Step, ...] = (
    Step(
        "lap_deltas",
        lambda t: lap_deltas(t["laps"]),
        LAP,
        pl.Schema(
            {
                "session_id": pl.String(),
                "driver_id": pl.String(),
                "lap_number": pl.Int16(),
                "lap_delta_s": FLOAT,
            }
        ),
    ),
    _entry("car_pace", lambda t: car_pace(t["lap_deltas"], t["entries"]), car_base_delta_s=FLOAT),
    _entry(
        "form",
        lambda t: form(t["lap_deltas"], t["laps"], t["entries"]),
        form_consistency_score=FLOAT,
        form_error_rate=FLOAT,
        form_start_precision_score=FLOAT,
    ),
    _table("strategy_events", lambda t: strategy_events(t["laps"], t["pit_stops"])),
    _entry(
        "pit_laps",
        lambda t: pit_laps(t["strategy_events"]),
        actual_pit_laps=FLOATS,
        optimal_pit_laps=FLOATS,
        degradation_penalty_score=FLOAT,
    ),
    _table("penalty_events", lambda t: penalty_events(t["race_control"], t["entries"])),
    _entry("time_losses", lambda t: time_losses(t["penalty_events"]), penalty_time_losses_s=FLOATS),
    _table(
        "overtakes",
        lambda t: overtakes(
            t["laps"], t["entries"], t["sessions"], t["car_pace"], t["track_difficulty"]
        ),
    ),
    _table("driver_inputs", lambda t: derive(t, t["track_difficulty"])["driver_inputs"]),
    *COMPONENT_STEPS,
    _table("grades", lambda t: grade(t["driver_inputs"], t["overtakes"], t["profiles"])),
    Step(
        "published",
        lambda t: published(t["grades"], t["driver_inputs"]).select(*PUBLISHED),
        tuple(TABLES["grades"].primary_key()),
        PUBLISHED,
    ),
)


@cache
def world() -> Mapping[str, pl.DataFrame]:
    """All tables that steps read: the simulated sessions, every step's result, odd inputs."""
    settings = Settings()
    sessions = [simulated.fetch(session, settings) for session in simulated.sessions()]
    tables: World = {name: pl.concat(t[name] for t in sessions) for name in NORMALIZED}
    tables["laps"] = with_rare_laps(tables["laps"])
    tables["race_control"] = with_rare_messages(tables["race_control"], tables["entries"])
    circuits = tables["sessions"]["circuit_id"].drop_nulls().unique().sort().head(1).to_list()
    tables["track_difficulty"] = pl.DataFrame(
        {"circuit_id": circuits, "track_difficulty": [0.8] * len(circuits)},
        TRACK_DIFFICULTY_SCHEMA,
    )
    tables["profiles"] = profile_frame(ALL_PROFILES)
    odd_inputs, odd_overtakes = odd_sessions()
    for step in STEPS:
        made = step.frame(tables)
        odd = {"driver_inputs": odd_inputs, "overtakes": odd_overtakes}.get(step.name)
        tables[step.name] = made if odd is None else pl.concat([made, odd])
    return tables


def with_rare_laps(laps: pl.DataFrame) -> pl.DataFrame:
    """Add what simulated races lack: unknown flags and sectors, a red flag only one car saw."""
    number = pl.struct(LAP).hash(seed=3) % 100
    return laps.with_columns(
        sector2_time_ms=pl.when(number >= 3).then("sector2_time_ms"),
        sector3_time_ms=pl.when(number < 97).then("sector3_time_ms"),
        tyre_life_laps=pl.when(number != 50).then("tyre_life_laps"),
        compound=pl.when(number != 51).then("compound"),
        is_in_lap=pl.when(~number.is_between(52, 60)).then("is_in_lap"),
        is_generated=number == 61,
        track_status=pl.when(number.is_between(62, 64))
        .then(pl.lit("15"))
        .when(number != 65)
        .then("track_status"),
    )


def with_rare_messages(race_control: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """Add penalties announced twice with another between them, and one of a car nobody entered."""
    session = race_control["session_id"][0]
    car = entries.filter(pl.col("session_id") == session)["driver_number"][0]
    texts = (
        f"5 SECOND TIME PENALTY FOR CAR {car} (ABC) - TRACK LIMITS",
        f"10 SECOND TIME PENALTY FOR CAR {car} (ABC) - UNSAFE RELEASE",
        f"FIA STEWARDS: 5 SECOND TIME PENALTY FOR CAR {car} (ABC) - TRACK LIMITS",
        f"Time penalty for car {car} (ABC) - no seconds named",
        "5 SECOND TIME PENALTY FOR CAR 99999 (ABC) - NOT ENTERED",
    )
    rows = [
        {"session_id": session, "message_number": n, "lap_number": 9, "message": text}
        for n, text in enumerate(texts, start=9001)
    ]
    return pl.concat([race_control, frame("race_control", rows)])


def odd_sessions() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Inputs no race has: empty lists, stops past the flag, lists of any length, nulls anywhere."""
    rng = random.Random(7)  # noqa: S311 - drawn for variety, not for secrecy
    inputs: list[dict[str, object]] = []
    events: list[dict[str, object]] = []

    def maybe(value: float) -> float | None:
        return None if rng.random() < 0.2 else value

    for number in range(120):
        entry = {"session_id": f"1951-{1 + number // 20}", "driver_id": f"odd{number}"}
        inputs.append(
            {
                **entry,
                "car_base_delta_s": maybe(rng.gauss(0, 1)),
                "car_track_adjustment_s": maybe(rng.gauss(0, 0.1)),
                "form_consistency_score": maybe(rng.random()),
                "form_error_rate": maybe(rng.random()),
                "form_start_precision_score": maybe(rng.random()),
                "lap_deltas_s": [rng.gauss(0, 2) for _ in range(rng.choice([0, 0, 1, 5, 60]))],
                "optimal_pit_laps": [rng.randint(1, 60) / 2 for _ in range(rng.randint(0, 3))],
                "actual_pit_laps": [float(rng.randint(1, 70)) for _ in range(rng.randint(0, 4))],
                "degradation_penalty_score": maybe(rng.choice([0.0, 0.4, 1.7, -0.1])),
                "penalty_time_losses_s": [
                    rng.choice([-2.0, 5.0, 10.0]) for _ in range(rng.randint(0, 2))
                ],
                "has_lap_clocks": number % 3 > 0,
                "has_race_control": number % 5 > 0,
            }
        )
        events += [
            {
                **entry,
                "overtake_number": event,
                "kind": rng.choice(OVERTAKE_KINDS),
                "is_success": rng.random() < 0.7,
                "is_penalized": rng.choice([None, True, False]),
                "exposure_time_s": maybe(rng.random() * 10),
                "car_pace_difference_s": maybe(rng.gauss(0, 1)),
                "tyre_age_difference_laps": maybe(rng.randint(-20, 20)),
                "compound_difference": maybe(rng.randint(-2, 2)),
                "ers_difference": maybe(rng.gauss(0, 10)),
                "track_difficulty": maybe(rng.random()),
                "race_phase_pressure": maybe(rng.random()),
            }
            for event in range(1, rng.choice([1, 1, 2, 8]))
        ]
    return frame("driver_inputs", inputs), frame("overtakes", events)
