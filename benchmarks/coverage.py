"""What each provider gives of every recorded race: one row a race, with its oddities, and totals.

    DRIVEGRADE_REALDATA=… python -m benchmarks.coverage [fastf1] [openf1]

FastF1 reads its recorded cache (`FASTF1_CACHE_DIR`, or a private copy of the recorded one); OpenF1
and Jolpica are replayed by a server on this machine. Every race is fetched, checked against the
contracts, examined for gaps and graded. Outcomes: loaded; incomplete, with the reasons; refused,
with the error, which also makes the command fail.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks.realdata import folder
from benchmarks.sources import recorded
from engine.errors import DriveGradeError
from engine.tables import NO_START, SessionKey
from loaders.fallback import gaps
from loaders.grading import grade_session
from loaders.profiles import read_v1_profile
from loaders.providers import SessionTables, provider

if TYPE_CHECKING:
    from engine.v1.calibration import CalibrationProfile
    from loaders.settings import Settings

INDEX: Final = {
    "fastf1": ("fastf1_index.csv", "season"),
    "openf1": ("openf1_index.csv", "year"),
}
"""List of recorded races by provider, and its column for the season."""

COUNTED: Final = {
    "drivers": "entries",
    "laps": "rows of laps",
    "stops": "visits to the pit lane",
    "messages": "of race control",
    "weather": "readings",
    "graded": "drivers",
    "passes": "on track",
    "penalties": "of the stewards",
    "untimed": "laps without a time, lap 1 aside",
    "deleted": "laps whose time was deleted",
    "no tyre": "laps whose compound is not known",
    "no lap 1": "starters with laps, without the first",
    "red": "laps under a red flag",
    "dropped": "laps that the source lists and the tables do not have",
}
"""Columns, and what each counts."""

WIDTH: Final = 10


def races(name: str) -> dict[SessionKey, int]:
    """List the recorded races of a provider, each with the number of laps that it lists."""
    file, season = INDEX[name]
    index = pl.read_csv(folder() / file).unique([season, "round"]).sort(season, "round")
    return {SessionKey(*key): laps for *key, laps in index.select(season, "round", "laps").rows()}


def counts(tables: SessionTables, profile: CalibrationProfile, listed: int) -> dict[str, int]:
    """Count what a race holds, and what is odd about it: the columns of `COUNTED`."""
    laps, entries = tables["laps"], tables["entries"]
    derived = grade_session(tables, profile, "coverage")
    driven = laps.group_by("driver_id").agg(first=pl.col("lap_number").min())
    starters = entries.filter(~pl.col("status").is_in(NO_START)).join(driven, on="driver_id")
    is_later = pl.col("lap_number") > 1
    found = (
        entries.height,
        laps.height,
        tables["pit_stops"].height,
        tables["race_control"].height,
        tables["weather"].height,
        derived["driver_metrics"].height,
        derived["overtakes"].filter(pl.col("kind") == "on_track").height,
        derived["penalty_events"].height,
        laps.filter(is_later & pl.col("lap_time_ms").is_null()).height,
        laps.filter("is_deleted").height,
        laps["compound"].null_count(),
        starters.filter(pl.col("first") > 1).height,
        laps.filter(pl.col("track_status").str.contains("5")).height,
        listed - laps.height,
    )
    return dict(zip(COUNTED, found, strict=True))


def cells(first: str, values: dict[str, int]) -> str:
    """Align a row's name and its counts."""
    return f"{first:<{WIDTH}}" + "".join(f"{value:>{WIDTH}}" for value in values.values())


def table(name: str, settings: Settings) -> int:
    """Print one provider's table and its totals; how many races were refused."""
    profile = read_v1_profile("baseline")
    totals: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    outcomes: Counter[str] = Counter()
    print(f"\n{name:<{WIDTH}}" + "".join(f"{column:>{WIDTH}}" for column in COUNTED) + "  outcome")
    for session, listed in races(name).items():
        try:
            tables = provider(name).fetch(session, settings)
            found = counts(tables, profile, listed)
        except DriveGradeError as error:
            outcomes["refused"] += 1
            print(f"{session.session_id:<{WIDTH}} refused: {error}", flush=True)
            continue
        reasons = gaps(tables)
        outcome = "incomplete" if reasons else "loaded"
        totals.update(found)
        outcomes[outcome] += 1
        why = f": {'; '.join(reasons)}" if reasons else ""
        print(f"{cells(session.session_id, found)}  {outcome}{why}", flush=True)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    print(f"{cells('total', totals)}  {outcomes.total()} races: {summary}")
    return outcomes["refused"]


def main() -> None:
    """Print one table a provider, and end with an error if a race was refused."""
    print("\n".join(f"{column}: {meaning}" for column, meaning in COUNTED.items()))
    with recorded() as settings:
        refused = [table(name, settings[name]) for name in sys.argv[1:] or INDEX]
    sys.exit(any(refused))


if __name__ == "__main__":
    main()
