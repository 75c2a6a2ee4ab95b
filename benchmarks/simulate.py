"""The race simulator: sessions with a known truth, and the three weekends bundled in data/samples.

    python -m benchmarks.simulate

rewrites the bundled sessions. The same scenario and seed give the same tables everywhere.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.simulator.race import Race
from benchmarks.simulator.tables import session_tables, truth_frames
from benchmarks.simulator.world import SEED, WEEKENDS

if TYPE_CHECKING:
    import polars as pl

    from benchmarks.simulator.world import Scenario

SAMPLES: Final = Path(__file__).parent.parent / "data" / "samples"
"""Where the bundled sessions lie in the checkout."""


def simulate(
    scenario: Scenario, seed: int
) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """Drive one session.

    Args:
        scenario: who takes part, where, and what happens.
        seed: of everything that is left to chance.

    Returns:
        The tables of `engine.tables.NORMALIZED`, each under contract and sorted by its key; and
        the truth, as described at `benchmarks.simulator.tables.truth_frames`.
    """
    race = Race(scenario, seed)
    race.run()
    return session_tables(race, seed), truth_frames(race)


def write_samples(folder: Path) -> None:
    """Write the bundled sessions as ``<session_id>/<table>.parquet``, instead of older ones."""
    for scenario in WEEKENDS:
        target = folder / scenario.session.session_id
        if target.is_dir():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        tables, _ = simulate(scenario, SEED)
        for table, frame in tables.items():
            frame.write_parquet(target / f"{table}.parquet", compression="zstd")


if __name__ == "__main__":
    write_samples(SAMPLES)
    print(f"{len(WEEKENDS)} simulated sessions written to {SAMPLES}")
