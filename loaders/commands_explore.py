"""The commands that look at results: grades, standings, and questions to the lake.

Imports of anything heavy stand inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path  # noqa: TC003 - Typer reads the annotations of commands
from typing import TYPE_CHECKING, Annotated, Final

import typer

from engine.errors import DriveGradeError
from loaders.terminal import Json, print_json, read_settings, say

if TYPE_CHECKING:
    import polars as pl

    from loaders.settings import Settings

SHOWN_ROWS: Final = 200
"""Rows of an answer that a terminal gets; --csv and --json give all."""

SHOWN_DECIMALS: Final = 4
"""Decimals of an answer that a terminal gets."""

DATABASE: Final = "explore.duckdb"
"""File below the home that `explore` writes unless it is told another."""


def grades(
    season: Annotated[
        int, typer.Argument(metavar="SEASON", min=1950, max=2100, help="championship year")
    ],
    round_number: Annotated[int | None, typer.Argument(metavar="[ROUND]", min=1, max=40)] = None,
    session: Annotated[str | None, typer.Option("--session", help="race or sprint")] = None,
    *,
    teams: Annotated[bool, typer.Option("--teams", help="the season's standing by team")] = False,
    every_race: Annotated[bool, typer.Option("--all", help="every race of the season")] = False,
    as_json: Json = False,
) -> None:
    """Show the standing of a season, or the grades of a round, under the active profile."""
    from engine.tables import SESSION_KINDS

    if session not in {None, *SESSION_KINDS}:
        raise typer.BadParameter(f"{session!r} is none of {', '.join(SESSION_KINDS)}")
    if teams and (every_race or round_number is not None):
        raise typer.BadParameter("--teams is for the standing of a whole season")
    if round_number is None and not every_race:
        found = show_standings(read_settings(), season, session, of_teams=teams, as_json=as_json)
    else:
        found = show_grades(read_settings(), season, round_number, session, as_json=as_json)
    if not found:
        wanted = f"{season}" if round_number is None else f"{season} round {round_number}"
        raise DriveGradeError(
            f"no grades of {wanted} are stored; load them with: drivegrade ingest SEASON ROUND"
        )


def sql(
    question: Annotated[
        str | None, typer.Argument(metavar="[SELECT]", help="one SELECT; lists the views if none")
    ] = None,
    *,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="print CSV")] = False,
) -> None:
    """Ask the lake a question in SQL; no server is needed, and nothing can be changed."""
    from loaders import explore

    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    with explore.connect(read_settings()) as connection:
        answer = explore.query(connection, question or explore.CATALOGUE)
    if as_json:
        typer.echo(answer.write_ndjson(), nl=False)
    elif as_csv:
        typer.echo(_csv(answer), nl=False)
    else:
        _print_answer(answer)


def explore(
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="only write the database, into this file")
    ] = None,
) -> None:
    """Open the lake in the duckdb shell, or write a DuckDB file of views over it."""
    from loaders import explore

    settings = read_settings()
    path = (write or settings.home / DATABASE).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    seen = explore.write_database(settings, path).row(0, named=True)
    seasons = f"{seen['first_season']}–{seen['last_season']}" if seen["sessions"] else "no season"
    say(
        f"{path}: views over {seen['sessions']} sessions of {seasons} in {seen['lake']}\n"
        "They show the lake as it is now. When it has changed, write them again."
    )
    shell = shutil.which("duckdb")
    if write is None and shell is not None:
        raise typer.Exit(subprocess.run([shell, "-readonly", path], check=False).returncode)  # noqa: S603 - the user's own shell
    say(f"Open it with: duckdb -readonly {path}   (or duckdb.connect in Python)")


def show_grades(
    settings: Settings,
    season: int,
    round_number: int | None,
    session_kind: str | None,
    *,
    as_json: bool,
) -> bool:
    """Print one table a session; whether there was any."""
    from rich.console import Console

    from loaders import administration
    from loaders.display import grades_table

    frame = administration.read_grades(settings, season, round_number, session_kind)
    if as_json:
        print_json(frame.iter_rows(named=True))
        return frame.height > 0
    console = Console()
    for rows in frame.partition_by("season", "round", "session_kind", maintain_order=True):
        console.print(grades_table(rows.to_dicts(), console.width))
    return frame.height > 0


def show_standings(
    settings: Settings, season: int, session_kind: str | None, *, of_teams: bool, as_json: bool
) -> bool:
    """Print a standing each of races and sprints; whether there was any."""
    from rich.console import Console

    from loaders import postgres
    from loaders.display import standings_table

    with postgres.connect(settings) as connection:
        frame = postgres.read(connection, "season_standings", season, session_kind, None, of_teams)
    if as_json:
        print_json(frame.iter_rows(named=True))
        return frame.height > 0
    console = Console()
    for rows in frame.partition_by("session_kind", "model_version", maintain_order=True):
        console.print(standings_table(rows.to_dicts(), console.width, of_teams=of_teams))
    return frame.height > 0


def _print_answer(answer: pl.DataFrame) -> None:
    """Print the first rows as a table, numbers rounded, and say how many more there are."""
    import polars.selectors as cs
    from rich.console import Console

    from loaders.display import plain_table

    shown = answer.head(SHOWN_ROWS).with_columns(cs.float().round(SHOWN_DECIMALS))
    Console().print(plain_table(shown.to_dicts(), ""))
    if answer.height > SHOWN_ROWS:
        typer.echo(f"{answer.height - SHOWN_ROWS} more rows; --csv or --json gives all", err=True)


def _csv(answer: pl.DataFrame) -> str:
    """Write an answer as CSV.

    Raises:
        DriveGradeError: a column holds lists or structures, which CSV cannot.
    """
    if nested := [name for name, dtype in answer.schema.items() if dtype.is_nested()]:
        raise DriveGradeError(
            f"CSV has no place for the lists in {', '.join(nested)}; unnest them in the "
            "question, or take --json"
        )
    return answer.write_csv()
