"""``drivegrade validity``: the proof of the grades on history, as one table.

Imports of anything heavy stand inside the commands, as in `loaders.__main__`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from loaders.terminal import Json, print_json, read_settings, say, waiting

app = typer.Typer(help="The proof of the grades on history.")


@app.callback(invoke_without_command=True)
def validity(
    context: typer.Context,
    *,
    seasons: Annotated[str, typer.Option(help="tested: 2015-2020, or one")] = "2015-2020",
    model: Annotated[list[str] | None, typer.Option(help="only this model; repeatable")] = None,
    profile: Annotated[list[str] | None, typer.Option(help="only this profile; repeatable")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="only this metric; repeatable")] = None,
    grade: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="session_id, driver_id, value; repeatable"),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="the same, known before the race; repeatable"),
    ] = None,
    driver_of_the_day: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="votes to compare with")
    ] = None,
    ranking: Annotated[
        list[str] | None, typer.Option(help="imported ranking to compare with; repeatable")
    ] = None,
    output: Annotated[Path, typer.Option(help="Parquet file of all figures")] = Path(
        "validity.parquet"
    ),
    stability: Annotated[
        bool, typer.Option("--stability", help="grade again with a lap missing")
    ] = False,
    keep: Annotated[bool, typer.Option("--store", help="also keep the figures in PostgreSQL")] = (
        False
    ),
    as_json: Json = False,
) -> None:
    """Measure how well grades predict, repeat and leave out the car, beside baselines."""
    if context.invoked_subcommand is not None:
        return
    from loaders import validity as job
    from loaders.display_validity import show_proof

    settings = read_settings()
    wanted = job.Examination(
        seasons=read_seasons(seasons),
        models=tuple(model or ()),
        profiles=tuple(profile or ()),
        metrics=tuple(metric or ()),
        grades=_files(grade),
        states=_files(state),
        votes=driver_of_the_day,
        rankings=tuple(ranking or ()),
        with_stability=stability,
    )
    with waiting(f"proof on {seasons}"):
        report = job.examine(settings, wanted)
        report.proof.write_parquet(output)
    stored = job.store(settings, report.proof) if keep else 0
    if as_json:
        print_json(report.proof.to_dicts())
        return
    show_proof(report.proof.to_dicts(), report.gates, seasons)
    say(f"{report.proof.height} figures: {output}")
    if keep:
        say(f"{stored} figures stored in validation.validation_metrics")


@app.command("import-ranking")
def import_ranking(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV: season, driver_id, rank")
    ],
    source: Annotated[str, typer.Option(help="who ranked: small letters, digits, _ and -")],
) -> None:
    """Store somebody's ranking of drivers, instead of what was stored from the same source."""
    from engine.tables import SLUG_PATTERN
    from loaders import validity as job

    if not re.fullmatch(SLUG_PATTERN, source):
        raise typer.BadParameter(f"{source!r} must be like autosport or team-principals")
    rows = job.import_ranking(read_settings(), file, source)
    say(f"{source}: {rows} drivers ranked")


def read_seasons(text: str) -> range:
    """Read ``2015-2020`` or ``2019``.

    Raises:
        BadParameter: it is neither, or runs backwards.
    """
    found = re.fullmatch(r"(\d{4})(?:-(\d{4}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if not 1950 <= first <= last <= 2100:
        raise typer.BadParameter(f"{text!r} is no season or span like 2015-2020")
    return range(first, last + 1)


def _files(named: list[str] | None) -> dict[str, Path]:
    """Read ``NAME=FILE``, each name once."""
    files: dict[str, Path] = {}
    for text in named or ():
        name, _, path = text.partition("=")
        if not name or not Path(path).is_file() or name in files:
            raise typer.BadParameter(f"{text!r} is not NAME=FILE with a new name and a file")
        files[name] = Path(path)
    return files
