"""The command ``drivegrade dictionary``: every table and column.

Imports of anything heavy stand inside the command, as in `loaders.__main__`.
"""

from __future__ import annotations

import typer

from loaders.terminal import Json, print_json


def dictionary(*, as_json: Json = False) -> None:
    """Print every table and column: meaning, unit, type, nulls, bounds, key, where it lies."""
    from loaders import dictionary

    if as_json:
        print_json(facts._asdict() for facts in dictionary.columns())
    else:
        typer.echo(dictionary.markdown(), nl=False)
