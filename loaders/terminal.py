"""What every command of the command line needs: settings, options, and ways to print.

Imports of anything heavy stand inside the functions, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    from loaders.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="print JSON lines for machines")]
"""The option of every command that shows rows."""


def read_settings() -> Settings:
    """Read the settings from the environment."""
    from loaders.settings import Settings

    return Settings()


def waiting(what: str) -> AbstractContextManager[object]:
    """Show on standard error what is being waited for, as long as the block runs."""
    from rich.console import Console

    return Console(stderr=True).status(f"{what} …")


def say(text: str, *, quiet: bool = False) -> None:
    """Print a line, unless it is to be quiet."""
    if not quiet:
        typer.echo(text)


def show_rows(rows: list[dict[str, object]], title: str, *, as_json: bool) -> None:
    """Print rows as a table under a title, or as JSON lines."""
    from rich.console import Console

    from loaders.display import plain_table

    if as_json:
        print_json(rows)
    elif rows:
        Console().print(plain_table(rows, title))
    else:
        say(f"{title}: nothing")


def print_json(rows: Iterable[Mapping[str, object]]) -> None:
    """Print rows as JSON lines; dates as text, and no number that JSON does not know."""
    for row in rows:
        typer.echo(json.dumps(row, default=str, allow_nan=False))
