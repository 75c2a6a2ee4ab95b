"""``drivegrade report``: a race on one page that needs no network.

Imports of anything heavy stand inside the command, as in `loaders.__main__`.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations of commands
from typing import Annotated

import typer

from loaders.terminal import read_settings, say, waiting


def report(
    season: Annotated[
        int, typer.Argument(metavar="SEASON", min=1950, max=2100, help="championship year")
    ],
    round_number: Annotated[
        int, typer.Argument(metavar="ROUND", min=1, max=40, help="round within the season")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="the page; replaced if there")
    ],
    session: Annotated[str, typer.Option("--session", help="race or sprint")] = "race",
    profile: Annotated[
        str, typer.Option(help="bundled profile or JSON file that the grades were made with")
    ] = "v2",
) -> None:
    """Write the report of a race: grades, pictures and evidence on one page, from the lake."""
    from engine.tables import SESSION_KINDS, SessionKey
    from loaders.extras import extra
    from loaders.report.race import ReportError, regrade_command

    if session not in SESSION_KINDS:
        raise typer.BadParameter(f"{session!r} is none of {', '.join(SESSION_KINDS)}")
    with extra("report"):
        from loaders.report.make import make_report
    key = SessionKey(season, round_number, session)
    with waiting(f"the report of {key.session_id}"):
        page, race = make_report(read_settings(), key, profile)
    if race.is_regradable:
        raise ReportError(
            f"{key.session_id}: its laps are in the lake, and nobody is graded under profile "
            f"{profile} yet. Nothing was written. Grade them with: {regrade_command(race)}"
        )
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ReportError(
            f"{output} cannot be written: {error.strerror or error}. Name another file"
        ) from None
    for name in race.refused:
        typer.echo(
            f"warning: the evidence of {name} does not add up to the grade and was left out; "
            f"drivegrade explain {season} {round_number} says why",
            err=True,
        )
    graded = f"{len(race.graded)} of {len(race.drivers)} drivers graded"
    say(f"{output}: {race.session['event_name']} {season}, {graded}")
