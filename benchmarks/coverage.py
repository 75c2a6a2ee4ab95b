r"""What each provider gives of every recorded race: one line a race, with its oddities.

    DRIVEGRADE_REALDATA=… FASTF1_CACHE_DIR=… DRIVEGRADE_OFFLINE=1 \\
        python -m benchmarks.coverage [fastf1] [openf1]

Every race is fetched, checked against the contracts, examined for gaps and graded; a race that
does not come through is shown with its error.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks.realdata import folder
from engine.errors import DriveGradeError
from engine.tables import SessionKey
from loaders.fallback import gaps
from loaders.jobs import grade_session
from loaders.profiles import read_profile
from loaders.providers import SessionTables, provider
from loaders.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.calibration import CalibrationProfile

INDEX: Final = {
    "fastf1": ("fastf1_index.csv", "season"),
    "openf1": ("openf1_index.csv", "year"),
}
"""List of recorded races by provider, and its column for the season."""

WIDTH: Final = 60
"""Characters of an oddity that are shown."""


def recorded(name: str) -> list[SessionKey]:
    """Races a provider can be asked for offline."""
    file, season = INDEX[name]
    index = pl.read_csv(folder() / file).select(season, "round").unique().sort(season, "round")
    return [SessionKey(*row) for row in index.iter_rows()]


def line(session: SessionKey, tables: SessionTables, profile: CalibrationProfile) -> str:
    """Count what a race holds."""
    laps, entries = tables["laps"], tables["entries"]
    derived = grade_session(tables, profile, "coverage")
    passes = derived["overtakes"].filter(pl.col("kind") == "on_track").height
    counts = (
        entries.height,
        derived["driver_metrics"].height,
        laps.height,
        laps["lap_time_ms"].null_count(),
        tables["pit_stops"].height,
        passes,
        derived["penalty_events"].height,
    )
    return f"{session.session_id:<9}" + "".join(f"{count:>9}" for count in counts)


def oddities(tables: SessionTables) -> Iterator[str]:
    """Say what a race lacks."""
    laps = tables["laps"]
    yield from gaps(tables)
    for name in ("race_control", "weather"):
        if tables[name].is_empty():
            yield f"no {name}"
    for column in ("compound", "track_status", "position", "stint_number"):
        unknown = laps[column].null_count()
        if unknown:
            yield f"{column} unknown on {unknown} laps"


def main() -> None:
    """Print one table a provider, and end with an error if a race did not come through."""
    settings, profile = Settings(), read_profile("baseline")
    failed = 0
    for name in sys.argv[1:] or INDEX:
        headings = ("entries", "graded", "laps", "untimed", "stops", "passes", "penalties")
        print(f"\n{name:<9}" + "".join(f"{heading:>9}" for heading in headings) + "  oddities")
        for session in recorded(name):
            try:
                tables = provider(name).fetch(session, settings)
                found = "; ".join(oddities(tables))
                print(f"{line(session, tables, profile)}  {found[:WIDTH]}", flush=True)
            except DriveGradeError as error:
                failed += 1
                print(f"{session.session_id:<9} {error}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
