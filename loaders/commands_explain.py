"""``drivegrade explain``: where each component of a driver's grade comes from.

Imports of anything heavy stand inside the command, as in `loaders.__main__`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from loaders.terminal import Json, print_json, read_settings


def explain(
    season: Annotated[
        int, typer.Argument(metavar="SEASON", min=1950, max=2100, help="championship year")
    ],
    round_number: Annotated[
        int, typer.Argument(metavar="ROUND", min=1, max=40, help="round within the season")
    ],
    driver: Annotated[str, typer.Argument(metavar="DRIVER", help="id, code or family name")],
    session: Annotated[str, typer.Option("--session", help="race or sprint")] = "race",
    profile: Annotated[
        str, typer.Option(help="bundled profile or JSON file that the grade was made with")
    ] = "v2",
    *,
    as_json: Json = False,
) -> None:
    """Show what a driver's grade of model v2 is made of, down to the stored rows."""
    from rich.console import Console

    from engine.tables import SESSION_KINDS, SessionKey
    from loaders import explain_grade
    from loaders.display_explain import explanation

    if session not in SESSION_KINDS:
        raise typer.BadParameter(f"{session!r} is none of {', '.join(SESSION_KINDS)}")
    key = SessionKey(season, round_number, session)
    head, sections = explain_grade.explain(read_settings(), key, driver, profile)
    if as_json:
        print_json([{"section": "head", **head}])
        print_json({"section": name, **line} for name, lines in sections.items() for line in lines)
        return
    console = Console()
    for part in explanation(head, sections):
        console.print(part, highlight=False)
