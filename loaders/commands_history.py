"""The commands of ``drivegrade history``: all seasons at once.

Imports of anything heavy stand inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - Typer reads the annotations of commands
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Collection

    from loaders.history import HistoryReport

SHOWN: Final = 10
"""Sessions that are named before the rest is counted."""

app = typer.Typer(help="All of history, from a dump.", no_args_is_help=True)


@app.callback()
def history() -> None:
    """Bring in all seasons at once."""


@app.command("import")
def import_history(
    path: Annotated[
        Path, typer.Argument(help="folder or zip of Jolpica's dump, CSV or Parquet tables")
    ],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="also sessions of which the lake knows more")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for machines")] = False,
) -> None:
    """Bring every session of a dump into the lake; regrade then grades them."""
    from rich.console import Console

    from loaders import history
    from loaders.settings import Settings

    with Console(stderr=True).status("starting …") as status:
        report = history.import_history(
            path,
            Settings(),
            replace=replace,
            progress=lambda step: status.update(f"{step} …"),
        )
    if as_json:
        typer.echo(json.dumps(report.as_row(), allow_nan=False))
    else:
        _show(report, path)


def _show(report: HistoryReport, path: Path) -> None:
    """Print what the lake has now, season by season, and what is worth a look."""
    from rich.console import Console

    from loaders.display import plain_table
    from loaders.history import STATES

    total = {"season": "all", **report.seasons.drop("season").sum().row(0, named=True)}
    rows = [*report.seasons.to_dicts(), {**total, "drivers": None}]
    Console().print(plain_table(rows, "In the lake"))
    counts = ", ".join(f"{report.count(state)} {state}" for state in STATES)
    typer.echo(f"{report.sessions.height} sessions in {path}: {counts}")
    for line in _remarks(report):
        typer.echo(line)


def _remarks(report: HistoryReport) -> list[str]:
    """Say in a line each what was kept, derived or left out, and what the dump lacks."""
    lines = []
    if report.kept:
        sources = ", ".join(sorted(set(report.kept.values())))
        lines.append(f"kept as the lake has them, from {sources}: {_some(report.kept)}")
    if derived := report.derived_laps:
        lines.append(
            f"{sum(derived.values())} laps of {len(derived)} races were derived, not timed: "
            "lap 1, and laps without an official time"
        )
    lines += [
        f"left out of {left.table}, {left.rows} ×: {left.reason}: {', '.join(left.first)}"
        for left in report.left_out
    ]
    if report.not_in_dump:
        lines.append(f"not in the dump, left in the lake: {_some(report.not_in_dump)}")
    return lines


def _some(names: Collection[str]) -> str:
    """Name the first few and say how many more there are."""
    shown = ", ".join(list(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
