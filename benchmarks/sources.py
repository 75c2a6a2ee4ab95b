"""The same races through FastF1 and through OpenF1: how far tables and grades agree.

    DRIVEGRADE_REALDATA=… python -m benchmarks.sources

FastF1 reads its recorded cache (`FASTF1_CACHE_DIR`, or a private copy of the recorded one); OpenF1
and Jolpica are replayed by a server on this machine. One
line a race: laps of either source, values that differ where both know them, on-track passes, and
the largest difference of a total grade with its driver and the components it comes from.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks.realdata import folder
from engine.compare import compare
from engine.tables import ENTRY, SessionKey
from loaders.grading import grade_session
from loaders.profiles import read_profile
from loaders.providers import SessionTables, fastf1, openf1
from loaders.settings import Settings
from tests.replay import replay

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOWN: Final = {
    "times": ("laps", "lap_time_ms"),
    "places": ("laps", "position"),
    "tyres": ("laps", "compound"),
    "stints": ("laps", "stint_number"),
    "status": ("laps", "track_status"),
    "results": ("entries", "position"),
    "grid": ("entries", "grid_position"),
}
"""Columns of which the differing values are counted."""

TOLERANCE: Final = 0.02
"""Difference of a total grade that is explained."""

COMPONENTS: Final = ("consistency", "racecraft", "penalty")


@contextmanager
def recorded() -> Iterator[dict[str, Settings]]:
    """Give the settings under which each provider answers from the records, by its name."""
    with replay(folder()) as running, tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        cache = Settings().fastf1_cache_dir
        if cache is None:
            cache = home / "fastf1"
            shutil.copytree(folder() / "fastf1_cache", cache)
        replayed = Settings(
            home=home,
            openf1_url=running.openf1_url,
            jolpica_url=running.jolpica_url,
            allow_loopback=True,
        )
        cached = Settings(home=home, fastf1_cache_dir=cache, offline=True)
        yield {"fastf1": cached, "openf1": replayed}


def races() -> list[SessionKey]:
    """Races that both sources have."""
    index = pl.read_csv(folder() / "openf1_index.csv").select("year", "round").unique()
    return [SessionKey(*row) for row in index.sort("year", "round").iter_rows()]


def differing(first: SessionTables, second: SessionTables) -> dict[str, int]:
    """Count values that both sources know and differ in."""
    found = pl.concat(
        compare(table, first[table].lazy(), second[table].lazy()).collect()
        for table in ("entries", "laps")
    )
    counts = {(row["table"], row["column"]): row["differing"] for row in found.to_dicts()}
    return {name: counts[column] for name, column in SHOWN.items()}


def line(session: SessionKey, first: SessionTables, second: SessionTables) -> tuple[str, float]:
    """Write the line of a race, and give its largest difference of a grade."""
    profile = read_profile("baseline")
    graded = [grade_session(tables, profile, "sources") for tables in (first, second)]
    grades = graded[0]["grades"].join(graded[1]["grades"], on=ENTRY, suffix="_b")
    apart = {name: pl.col(f"{name}_score_b") - pl.col(f"{name}_score") for name in COMPONENTS}
    worst = (
        grades.with_columns(apart=(pl.col("total_grade_b") - pl.col("total_grade")).abs(), **apart)
        .sort("apart", "driver_id", descending=[True, False])
        .row(0, named=True)
    )
    passes = [tables["overtakes"].filter(pl.col("kind") == "on_track").height for tables in graded]
    counts = (first["laps"].height, second["laps"].height, *differing(first, second).values())
    reason = ", ".join(f"{name} {worst[name]:+.3f}" for name in COMPONENTS if worst[name])
    text = f"{session.session_id:<9}" + "".join(f"{count:>8}" for count in (*counts, *passes))
    why = f"  {worst['driver_id']}: {reason}" if reason else ""
    return f"{text}{worst['apart']:>8.3f}{why}", worst["apart"]


def main() -> None:
    """Print one line a race, then how many are within the tolerance."""
    headings = ("laps 1", "laps 2", *SHOWN, "passes 1", "passes 2", "grade")
    print(f"{'race':<9}" + "".join(f"{heading:>8.8}" for heading in headings))
    largest = []
    with recorded() as settings:
        for session in races():
            first = fastf1.fetch(session, settings["fastf1"])
            second = openf1.fetch(session, settings["openf1"])
            text, apart = line(session, first, second)
            largest.append(apart)
            print(text, flush=True)
    within = sum(apart <= TOLERANCE for apart in largest)
    print(f"every grade within {TOLERANCE}: {within} of {len(largest)} races")


if __name__ == "__main__":
    main()
