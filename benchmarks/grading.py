"""How fast history is graded: one table of ratios, all measured in one run.

    python -m benchmarks.grading LAKE [--quick]

LAKE is a finished lake of all history (`history import`, then `regrade --all`); it is read only.
Compared are medians over rounds in which the two sides take turns, in wall-clock and in processor
time; the latter moves less on a machine that does other work. References:

    scan floor    the columns that model v1 reads, scanned from Parquet and summed
    row by row    `benchmarks.row_by_row`, reading the same inputs as JSON lines; must agree to 1e-9
    DuckDB        the SQL that the tests restate the formulas in, over the same files

Memory is the peak of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb
import polars as pl
import pyarrow as pa

from benchmarks.row_by_row import grade_lines
from benchmarks.stages import stages
from benchmarks.timing import Took, median, ms, ratio, take_turns, timed
from engine.tables import ENTRY, NORMALIZED, polars_schema
from engine.v1.calibration import profile_frame
from engine.v1.grade import COMPONENTS, grade
from loaders import lake, regrade
from loaders.profiles import read_v1_profile

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parent.parent
STORED: Final = ("driver_inputs", "overtakes")
"""What model v1 scores."""

UNREAD: Final = {
    "driver_inputs": ("has_lap_clocks", "has_race_control"),
    "overtakes": ("lap_number", "opponent_id"),
}
"""Columns that scoring does not read."""

Files = dict[str, list[Path]]


class Child(NamedTuple):
    """What a process of its own measured; peak memory in MiB."""

    took: Took
    peak_mib: float
    rows: int


def scan(files: Files, name: str) -> pl.LazyFrame:
    """Scan a table's files."""
    return pl.scan_parquet(
        files[name], schema=polars_schema(name), hive_partitioning=False, glob=False
    )


def profiles(count: int) -> pl.LazyFrame:
    """Make profiles that differ: the baseline with another tolerance each."""
    base = read_v1_profile("baseline")
    varied = (
        base.model_copy(update={"name": f"p{n}", "consistency_tolerance": 0.5 + n / 200})
        for n in range(count)
    )
    return profile_frame(varied if count > 1 else [base]).lazy()


def grades(files: Files, count: int) -> pl.LazyFrame:
    """Plan the grades of model v1 under so many profiles."""
    return grade(scan(files, "driver_inputs"), scan(files, "overtakes"), profiles(count))


def floor(files: Files) -> None:
    """Scan and sum the columns that scoring reads."""
    plans = []
    for name in STORED:
        columns = {c: d for c, d in polars_schema(name).items() if c not in UNREAD[name]}
        plans.append(scan(files, name).select(_summed(c, d) for c, d in columns.items()))
    pl.collect_all(plans, engine="streaming")


def _summed(column: str, dtype: pl.DataType) -> pl.Expr:
    values = pl.col(column)
    if isinstance(dtype, pl.List):
        return values.explode().sum()
    if isinstance(dtype, pl.String):
        return values.str.len_bytes().sum()
    return (values.to_physical() if isinstance(dtype, pl.Enum) else values).sum()


def in_duckdb(files: Files) -> pa.Table:
    """Compute the same grades by the tests' SQL."""
    restated = ROOT / "tests" / "engine" / "restated"
    with duckdb.connect() as connection:
        for name in STORED:
            paths = [str(path) for path in files[name]]
            connection.from_parquet(paths, hive_partitioning=False).create_view(name)
        connection.register("profiles", profiles(1).collect())
        for component in COMPONENTS:
            view = component.raw_name.removesuffix("_raw")
            sql = (restated / f"{view}.sql").read_text(encoding="utf-8")
            connection.execute(f"create temp table {view} as {sql}")
        return connection.sql(
            (restated / "grades.sql").read_text(encoding="utf-8")
        ).to_arrow_table()


def write_lines(files: Files, path: Path) -> None:
    """Write the stored inputs as JSON lines, the events of a driver within his line."""
    events = (
        scan(files, "overtakes")
        .sort(*ENTRY, "overtake_number")
        .group_by(ENTRY)
        .agg(overtakes=pl.struct(pl.exclude(ENTRY)))
    )
    scan(files, "driver_inputs").join(events, on=ENTRY, how="left").sink_ndjson(path)


def disagreement(rows: list[dict[str, Any]], found: pl.DataFrame) -> float:
    """Give the largest difference between the loop and the engine.

    Raises:
        SystemExit: it is above 1e-9, or they graded other drivers.
    """
    names = [name for name in rows[0] if name not in ENTRY]
    joined = pl.DataFrame(rows).join(found, on=ENTRY, suffix="_engine")
    worst = max(
        joined.select((pl.col(n) - pl.col(f"{n}_engine")).abs().max()).item() for n in names
    )
    if worst > 1e-9 or not len(rows) == joined.height == found.height:
        sys.exit(f"the loop and the engine disagree by {worst}, or on who is graded")
    return float(worst)


def tile(files: Files, times: int, folder: Path) -> Files:
    """Write history as many times over, each under sessions of its own."""
    found: Files = {name: [] for name in STORED}
    for name in STORED:
        table = scan(files, name).collect()
        for number in range(times):
            path = folder / f"{name}-{number}.parquet"
            renamed = pl.concat_str(pl.lit(f"{number}:"), "session_id").alias("session_id")
            table.with_columns(renamed).write_parquet(path, compression="zstd")
            found[name].append(path)
    return found


def child(files: Files, count: int, what: str, rounds: int) -> Child:
    """Measure in a process of its own: `rows` in memory, or `sums` by profile of all grades."""
    order = json.dumps(
        {"files": {n: [str(p) for p in paths] for n, paths in files.items()}, "count": count}
        | {"what": what, "rounds": rounds}
    )
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.grading", "--child"],
        input=order,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    wall, cpu, peak, rows = json.loads(done.stdout)
    return Child(Took(wall, cpu), peak, rows)


def run_child() -> None:
    """Do what standard input orders, and print what it took."""
    order = json.loads(sys.stdin.read())
    files = {name: [Path(path) for path in paths] for name, paths in order["files"].items()}
    plan = grades(files, order["count"])
    if order["what"] == "sums":
        plan = plan.group_by("profile_name").agg(
            pl.len(), pl.col("total_grade", *(c.score_name for c in COMPONENTS)).mean()
        )
    height = 0

    def call() -> None:
        nonlocal height
        height = plan.collect(engine="streaming").height

    took = median(timed(call) for _ in range(order["rounds"]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(json.dumps([took.wall, took.cpu, peak, height]))


def line(name: str, first: str, second: str, times: Took, target: str) -> None:
    """Print a row of the table of ratios."""
    print(f"| {name} | {first} | {second} | {times.wall:.2f} | {times.cpu:.2f} | {target} |")


def against_references(files: Files, rounds: int, scratch: Path) -> None:
    """Compare model v1 from stored inputs with the floor, DuckDB and the loop."""
    times = take_turns(
        rounds,
        floor=lambda: floor(files),
        grades=lambda: grades(files, 1).collect(engine="streaming"),
        duckdb=lambda: in_duckdb(files),
    )
    name, shown = "model v1, Parquet → grades", {k: ms(median(v)) for k, v in times.items()}
    over_floor = ratio(times, "grades", "floor")
    line(name, shown["grades"], f"scan floor {shown['floor']}", over_floor, "≤ 2.5")
    over_duckdb = ratio(times, "duckdb", "grades")
    line("DuckDB SQL, same files", shown["duckdb"], f"model v1 {shown['grades']}", over_duckdb, "")
    lines, constants = scratch / "inputs.jsonl", profiles(1).collect().row(0, named=True)
    write_lines(files, lines)
    found = grades(files, 1).collect(engine="streaming")
    worst = disagreement(grade_lines(lines, constants), found)
    times = take_turns(
        max(1, rounds // 4),
        loop=lambda: grade_lines(lines, constants),
        grades=lambda: grades(files, 1).collect(engine="streaming"),
    )
    loop, ours = ms(median(times["loop"])), ms(median(times["grades"]))
    apart = f"model v1 {ours}, agrees to {worst:.0e}"
    line("row by row, JSON lines → grades", loop, apart, ratio(times, "loop", "grades"), "≥ 20")


def many_profiles(files: Files, counts: Iterable[int], rounds: int) -> None:
    """Compare many profiles with one, every grade computed and summed up by profile."""
    one = child(files, 1, "sums", rounds)
    for count in counts:
        many = child(files, count, "sums", rounds)
        times = Took(many.took.wall / one.took.wall, many.took.cpu / one.took.cpu)
        first = f"{ms(many.took)}, peak {many.peak_mib:.0f} MiB"
        target = "≤ 25, ≤ 2048 MiB" if count == 1000 else ""
        line(f"{count} profiles", first, f"one {ms(one.took)}", times, target)


def tiled(files: Files, few: int, many: int, scratch: Path) -> None:
    """Compare a long history with one of a tenth of its length."""
    laps = scan(files, "driver_inputs").select(pl.col("lap_deltas_s").list.len().sum())
    millions = laps.collect().item() / 1e6
    copies = tile(files, many, scratch)
    short, long = (
        child({name: paths[:count] for name, paths in copies.items()}, 1, "rows", 1)
        for count in (few, many)
    )
    times = Took(long.took.wall / short.took.wall, long.took.cpu / short.took.cpu)
    line(
        f"{millions * many:.1f} M clean laps",
        f"{ms(long.took)}, peak {long.peak_mib:.0f} MiB",
        f"{millions * few:.1f} M {ms(short.took)}, peak {short.peak_mib:.0f} MiB",
        times,
        f"≤ {1.1 * many / few:.0f}, ≤ 1024 MiB",
    )


def whole_way(folder: Path, scratch: Path) -> None:
    """Regrade a copy of the lake and say how long it took, then where the time goes."""
    copy = scratch / "lake"
    shutil.copytree(folder, copy)
    profile = [read_v1_profile("baseline")]
    took = timed(lambda: regrade.regrade(copy, profile, force=True))
    rows = lake.scan(copy, "driver_metrics").select(pl.len()).collect().item()
    print(f"\nlake → events and grades in the lake, {rows} grades: {ms(took)} ms")
    seen = lake.snapshot(folder)
    tables = {name: lake.collect(seen.scan(name), folder).lazy() for name in NORMALIZED}
    print("\n| step, on finished inputs | ms (processor) |\n|---|---|")
    for name, call in stages(tables).items():
        print(f"| {name} | {ms(median(timed(call) for _ in range(3)))} |", flush=True)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("lake", nargs="?", type=Path)
    arguments.add_argument("--quick", action="store_true", help="few rounds, small tiles")
    arguments.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.child:
        run_child()
        return
    if chosen.lake is None:
        arguments.error("name the lake")
    seen = lake.snapshot(chosen.lake)
    files = {name: list(seen.files(name).values()) for name in STORED}
    versions = ", ".join(f"{m.__name__} {m.__version__}" for m in (pl, duckdb, pa))
    print(f"Python {platform.python_version()}, {versions}")
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; times are ms (processor ms)\n")
    print(
        "| what | time | against | ratio | of processor time | target |\n|---|---|---|---|---|---|"
    )
    quick = chosen.quick
    with tempfile.TemporaryDirectory() as scratch:
        against_references(files, 4 if quick else 24, Path(scratch))
        many_profiles(files, (10, 1000) if quick else (10, 100, 1000), 1 if quick else 5)
        tiled(files, *((1, 10) if quick else (10, 100)), Path(scratch))
        whole_way(chosen.lake, Path(scratch))
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
