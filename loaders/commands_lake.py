"""The commands that work on the lake: regrading it, and looking after its files.

Imports of anything heavy stand inside the commands, as in `loaders.__main__`.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loaders.terminal import Json, print_json, read_settings, say, show_rows

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from engine.tables import SessionKey
    from loaders.profiles import Profile
    from loaders.regrade import Grader, RegradeReport
    from loaders.settings import Settings


class Engine(StrEnum):
    """Where a regrade is computed."""

    local = "local"
    ray = "ray"


class Model(StrEnum):
    """Which scoring formulas."""

    v1 = "v1"
    v2 = "v2"


app = typer.Typer(help="The Parquet files of the lake.", no_args_is_help=True)

Seasons = Annotated[
    list[int] | None, typer.Option("--season", min=1950, max=2100, help="only this; repeatable")
]


def regrade(
    season: Seasons = None,
    round_number: Annotated[
        int | None, typer.Option("--round", min=1, max=40, help="only this round of one season")
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="a stored profile or a JSON file; repeatable")
    ] = None,
    model: Annotated[
        list[Model] | None, typer.Option(help="the model's bundled profile; repeatable")
    ] = None,
    sweep: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON grid of profiles")
    ] = None,
    *,
    output: Annotated[Path, typer.Option(help="Parquet file of a sweep")] = Path("sweep.parquet"),
    every: Annotated[bool, typer.Option("--all", help="all seasons of the lake")] = False,
    engine: Annotated[
        Engine, typer.Option(help="here, or on a Ray cluster (RAY_ADDRESS)")
    ] = Engine.local,
    force: Annotated[bool, typer.Option("--force", help="also what is up to date")] = False,
    as_json: Json = False,
) -> None:
    """Grade the sessions of the lake again, under the active profile or those named."""
    if every == bool(season):
        raise typer.BadParameter("name seasons with --season, or all of them with --all")
    if round_number is not None and len(season or ()) != 1:
        raise typer.BadParameter("--round needs just one --season")
    settings = read_settings()
    if sweep is not None:
        _sweep(settings, sweep, output, season, as_json=as_json)
        return
    sessions = _of_round(season, round_number)
    profiles = _profiles(settings, profile, model)
    with _grader(engine) as grader:
        report = _regrade(settings, profiles, season, sessions, force=force, grader=grader)
    if as_json:
        print_json([asdict(report)])
        return
    say(f"unchanged: {len(report.unchanged_seasons)} seasons")
    say(f"graded with {', '.join(report.profiles)}: {len(report.graded_seasons)} seasons")
    for table, rows in report.rows.items():
        say(f"  {table}: {rows} rows")


@app.command()
def verify(
    *,
    forget: Annotated[
        bool, typer.Option("--forget", help="name damaged files no more, to write them again")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read every file of the lake and see that it holds what was written."""
    from loaders import manifest

    folder = read_settings().lake
    states = manifest.examine(folder)
    bad = [state for state in states if state.state in {"missing", "damaged"}]
    if forget:
        manifest.forget_damaged(folder)
    shown: list[dict[str, object]] = [
        {"file": state.path, "state": state.state, "bytes": state.bytes}
        for state in states
        if state.state != "ok"
    ]
    if not as_json:
        say(f"{len(states) - len(shown)} files of {folder} are what was written")
    if shown or as_json:
        show_rows(shown, "Other files", as_json=as_json)
    if bad and not forget:
        raise typer.Exit(manifest.LakeError.exit_code)


@app.command("gc")
def collect_garbage(*, as_json: Json = False) -> None:
    """Remove the files that no reader needs any more."""
    from loaders import manifest

    removed = manifest.remove_unnamed(read_settings().lake)
    freed = sum(state.bytes for state in removed)
    if as_json:
        print_json([{"removed": len(removed), "bytes": freed}])
    else:
        say(f"removed {len(removed)} files, {freed / 2**20:.1f} MiB")


def _regrade(
    settings: Settings,
    profiles: list[Profile],
    seasons: list[int] | None,
    sessions: list[SessionKey] | None,
    *,
    force: bool,
    grader: Grader | None,
) -> RegradeReport:
    """Regrade under a progress bar of seasons."""
    from rich.console import Console
    from rich.progress import Progress

    from loaders import regrade as job

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("seasons", total=None)
        return job.regrade(
            settings.lake,
            profiles,
            seasons=seasons,
            sessions=sessions,
            force=force,
            grader=grader,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _grader(engine: Engine) -> AbstractContextManager[Grader | None]:
    """Start or join a Ray cluster if that is wanted; None grades here."""
    if engine is Engine.local:
        return nullcontext()
    from loaders.cluster import cluster

    return cluster()


def _profiles(
    settings: Settings, named: list[str] | None, models: list[Model] | None
) -> list[Profile]:
    """Read the profiles named, from files or the warehouse; the active one if none is."""
    from loaders import administration
    from loaders.profiles import OF_MODEL, read_profile

    names = list(dict.fromkeys([*(named or ()), *(OF_MODEL[model] for model in models or ())]))
    if not names:
        return [administration.get_profile(settings, None)]
    return [
        read_profile(Path(name))
        if Path(name).is_file()
        else administration.get_profile(settings, name)
        for name in names
    ]


def _of_round(season: list[int] | None, round_number: int | None) -> list[SessionKey] | None:
    """Name the sessions of a round: its Grand Prix and, if there is one, its sprint."""
    from engine.tables import SESSION_KINDS, SessionKey

    if season is None or round_number is None:
        return None
    return [SessionKey(season[0], round_number, kind) for kind in SESSION_KINDS]


def _sweep(
    settings: Settings, grid: Path, output: Path, seasons: list[int] | None, *, as_json: bool
) -> None:
    """Evaluate a grid of profiles and write what each of them does."""
    from loaders import sweep
    from loaders.terminal import waiting

    profiles = sweep.read_grid(grid)
    with waiting(f"{len(profiles)} profiles"):
        found = sweep.run_sweep(settings.lake, profiles, seasons)
        found.write_parquet(output)
    if as_json:
        print_json([{"profiles": len(profiles), "rows": found.height, "file": output}])
    else:
        say(f"{len(profiles)} profiles, {found.height} rows: {output}")
