"""How fast model v2 grades: its stages, all of history, and one race from the stored state.

    python -m benchmarks.grading_v2 [LAKE] [--quick]

LAKE is a finished lake of all history, that of `DRIVEGRADE_HOME` if none is named; it is read only.
Made by `history import FOLDER` and `regrade --all --model v1 --model v2`.

Stages run on finished inputs. Times are medians over rounds in which all take turns, of the clock
and of the processor; the latter moves less on a machine that does other work. The reference of
every ratio is the scan floor of the same round: all normalized tables read from the lake. Memory
is the peak of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks.timing import Took, median, ms, ratio, take_turns, timed
from engine.tables import NORMALIZED, SESSION, SessionKey
from engine.v1.inputs import derive
from engine.v1.penalties import penalty_events
from engine.v1.strategy import strategy_events
from engine.v2.calibration import CalibrationProfileV2
from engine.v2.clean_laps import clean_laps
from engine.v2.mistakes import slow_laps
from engine.v2.pace import entry_pace, pace_fit, session_pace
from engine.v2.passes import laps_at_risk
from engine.v2.pit_cycles import pit_cycles
from engine.v2.rating import rate
from loaders import lake
from loaders.grading import track_difficulty
from loaders.grading_v2 import grade_tables_v2
from loaders.previous import in_order, previous
from loaders.profiles import read_profile
from loaders.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loaders.lake import Snapshot

    Frames = dict[str, pl.DataFrame]

ROOT: Final = Path(__file__).parent.parent

TARGETS: Final = {"lake → grades and ratings": "≤ 6 s", "one race, lake → grade": "≤ 1 s"}


def profile() -> CalibrationProfileV2:
    """Read the profile of model v2 that comes with the project."""
    found = read_profile("v2")
    if not isinstance(found, CalibrationProfileV2):
        sys.exit("profile v2 is none of model v2")
    return found


def read(seen: Snapshot, folder: Path, sessions: Sequence[SessionKey] | None = None) -> Frames:
    """Read the normalized tables of some sessions; of all if None."""
    return {name: lake.collect(seen.scan(name, sessions=sessions), folder) for name in NORMALIZED}


def events(tables: dict[str, pl.LazyFrame]) -> dict[str, pl.LazyFrame]:
    """Derive the events that model v2 takes from v1."""
    plans = {
        "strategy_events": strategy_events(tables["laps"], tables["pit_stops"]),
        "penalty_events": penalty_events(tables["race_control"], tables["entries"]),
    }
    return {n: f.lazy() for n, f in zip(plans, pl.collect_all(plans.values()), strict=True)}


def grade_all(seen: Snapshot, folder: Path) -> int:
    """Grade all of the lake; the number of grades."""
    tables = {name: rows.lazy() for name, rows in read(seen, folder).items()}
    return grade_tables_v2({**tables, **events(tables)}, [profile()])["grades"].height


def grade_one(seen: Snapshot, folder: Path, session: SessionKey) -> pl.DataFrame:
    """Grade one race from the state that the lake holds."""
    tables = {name: rows.lazy() for name, rows in read(seen, folder, [session]).items()}
    before = previous(seen, session, [profile()])
    return grade_tables_v2({**tables, **events(tables)}, [profile()], before)["grades"]


def stages(tables: Frames) -> dict[str, Callable[[], object]]:
    """Name the steps of the chain, each on finished inputs."""
    used = profile()
    lazy = {name: rows.lazy() for name, rows in tables.items()}
    laps, entries, sessions = lazy["laps"], lazy["entries"], lazy["sessions"]
    clean = clean_laps(laps, used.clean_laps).collect()
    fit = pace_fit(clean.lazy(), used.pace).collect(engine="in-memory").lazy()
    pace = entry_pace(fit, used.pace).collect()
    ratings: list[Callable[[], object]] = [
        lambda rows=rows: rate(  # type: ignore[misc]
            pace, tables["entries"], tables["sessions"], rows, constants=used.rating
        )
        for rows in (tables["qualifying"].clear(), tables["qualifying"])
    ]
    cars = rate(
        pace,
        tables["entries"],
        tables["sessions"],
        tables["qualifying"].clear(),
        constants=used.rating,
    ).entries.lazy()
    of_v1, of_v2 = derive(lazy, track_difficulty()), events(lazy)
    return {
        "events of model v1, all": lambda: pl.collect_all(of_v1.values(), engine="streaming"),
        "events that v2 takes": lambda: events(lazy),
        "clean laps": lambda: clean_laps(laps, used.clean_laps).collect(),
        "lap fit": lambda: pace_fit(clean.lazy(), used.pace).collect(engine="in-memory"),
        "pace": lambda: pl.collect_all([entry_pace(fit, used.pace), session_pace(fit, used.pace)]),
        "rating, races": ratings[0],
        "rating, races and qualifying": ratings[1],
        "laps at risk": lambda: laps_at_risk(laps, entries, sessions, fit, cars).collect(),
        "slow laps and pit cycles": lambda: pl.collect_all(
            [
                slow_laps(fit, entries, used.mistakes),
                pit_cycles(of_v2["strategy_events"], fit, pace.lazy()),
            ]
        ),
    }


def history(folder: Path) -> Snapshot:
    """Open a lake that is graded under model v2, or end with how to make one."""
    if (folder / "session_evidence").is_dir():
        return lake.snapshot(folder)
    sys.exit(
        f"{folder} holds nothing graded under model v2. Make it with:\n"
        "  drivegrade history import FOLDER\n"
        "  drivegrade regrade --all --model v1 --model v2"
    )


def newest(seen: Snapshot) -> SessionKey:
    """Name the newest session that is graded under model v2."""
    graded = seen.scan("session_evidence").select(SESSION).unique().collect()["session_id"]
    return in_order(map(SessionKey.parse, graded))[-1]


def agrees(seen: Snapshot, found: pl.DataFrame, session: SessionKey) -> float:
    """Largest difference of totals between a race graded alone and as it is stored."""
    stored = seen.scan("driver_metrics", sessions=[session]).filter(model_version="v2").collect()
    keys = [*SESSION, "driver_id", "profile_name"]
    both = found.join(stored, on=keys, suffix="_stored")
    worst = both.select((pl.col("total_grade") - pl.col("total_grade_stored")).abs().max()).item()
    return float("nan") if worst is None else float(worst)


def line(name: str, times: dict[str, list[Took]], reference: str) -> None:
    """Print a row of the table."""
    against = ratio(times, name, reference)
    took = ms(median(times[name]))
    print(f"| {name} | {took} | {against.wall:.1f} | {against.cpu:.1f} | {TARGETS.get(name, '')} |")


def peak(folder: Path) -> tuple[Took, float]:
    """Grade all in a process of its own: its time and its peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.grading_v2", "--child"],
        input=str(folder.resolve()),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    wall, cpu, mib = json.loads(done.stdout)
    return Took(wall, cpu), mib


def run_child() -> None:
    """Grade the lake that standard input names once, and print what it took."""
    folder = Path(sys.stdin.read())
    seen = lake.snapshot(folder)
    took = timed(lambda: grade_all(seen, folder))
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(json.dumps([took.wall, took.cpu, mib]))


def table(seen: Snapshot, folder: Path, rounds: int) -> None:
    """Measure all in turns and print the rows."""
    tables, session = read(seen, folder), newest(seen)
    calls: dict[str, Callable[[], object]] = {
        "scan floor": lambda: read(seen, folder),
        **stages(tables),
        "lake → grades and ratings": lambda: grade_all(seen, folder),
        "one race, lake → grade": lambda: grade_one(seen, folder, session),
    }
    times = take_turns(rounds, **calls)
    print("| stage | ms (processor) | × scan floor | of processor time | target |")
    print("|---|---|---|---|---|")
    for name in calls:
        line(name, times, "scan floor")
    apart = agrees(seen, grade_one(seen, folder, session), session)
    print(f"\n{session.session_id} graded alone lies within {apart:.0e} of what the lake holds")


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("lake", nargs="?", type=Path)
    arguments.add_argument("--quick", action="store_true", help="one round")
    arguments.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.child:
        run_child()
        return
    folder = chosen.lake or Settings().lake
    seen = history(folder)
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n")
    table(seen, folder, 1 if chosen.quick else 3)
    took, mib = peak(folder)
    print(f"in a process of its own: {ms(took)} ms, peak {mib:.0f} MiB")


if __name__ == "__main__":
    main()
