"""The steps from laps to grades, each on finished inputs, to see where a regrade's time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.v1.calibration import profile_frame
from engine.v1.car_pace import car_pace
from engine.v1.form import form
from engine.v1.grade import grade
from engine.v1.inputs import derive
from engine.v1.laps import lap_deltas
from engine.v1.overtakes import overtakes, running_laps
from engine.v1.penalties import penalty_events
from engine.v1.strategy import strategy_events
from loaders.fingerprint import inputs_hashes
from loaders.grading import grade_tables, track_difficulty
from loaders.profiles import read_v1_profile

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl


def stages(tables: dict[str, pl.LazyFrame]) -> dict[str, Callable[[], object]]:
    """Name the steps from laps to grades, each on finished inputs."""
    laps, entries = tables["laps"], tables["entries"]

    def run(plan: pl.LazyFrame) -> pl.DataFrame:
        return plan.collect(engine="streaming")

    deltas = run(lap_deltas(laps)).lazy()
    pace = run(car_pace(deltas, entries)).lazy()
    derived = derive(tables, track_difficulty())
    inputs, events = (run(derived[name]) for name in ("driver_inputs", "overtakes"))
    passes = overtakes(laps, entries, tables["sessions"], pace, track_difficulty())
    profile = [read_v1_profile("baseline")]
    frame = profile_frame(profile).lazy()
    return {
        "lap deltas": lambda: run(lap_deltas(laps)),
        "car pace": lambda: run(car_pace(deltas, entries)),
        "form": lambda: run(form(deltas, laps, entries)),
        "stops": lambda: run(strategy_events(laps, tables["pit_stops"])),
        "penalties": lambda: run(penalty_events(tables["race_control"], entries)),
        "overtakes": lambda: run(passes),
        "  of which running laps": lambda: run(running_laps(laps, entries)),
        "driver inputs, with what they need": lambda: run(derived["driver_inputs"]),
        "grades from inputs": lambda: run(grade(inputs.lazy(), events.lazy(), frame)),
        "fingerprints of inputs": lambda: inputs_hashes(inputs, events),
        "all, as a regrade does it": lambda: grade_tables(tables, profile, "benchmark"),
    }
