"""The commands of ``drivegrade profile``: stored calibration profiles, of which one is active.

Imports of anything heavy stand inside the commands, as in `loaders.__main__`.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations of commands
from typing import Annotated

import typer

from loaders.terminal import Json, read_settings, say, show_rows

app = typer.Typer(help="Calibration profiles.", no_args_is_help=True)


@app.command("list")
def list_profiles(*, as_json: Json = False) -> None:
    """List the stored profiles; one is active."""
    from loaders import administration

    profiles = administration.list_profiles(read_settings()).to_dicts()
    show_rows(profiles, "Calibration profiles", as_json=as_json)


@app.command("show")
def show_profile(
    name: Annotated[str | None, typer.Argument(help="the active one if not given")] = None,
) -> None:
    """Print a stored profile as JSON."""
    from loaders import administration

    typer.echo(administration.get_profile(read_settings(), name).model_dump_json(indent=2))


@app.command("import")
def import_profile(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON file")],
) -> None:
    """Store a profile; a changed one of the same name becomes its next version."""
    from loaders import administration

    name, version, is_new = administration.import_profile(read_settings(), file)
    say(f"{name} version {version} " + ("stored" if is_new else "was stored already"))


@app.command("activate")
def activate_profile(
    name: str,
    version: Annotated[int | None, typer.Option(min=1, help="the newest if not given")] = None,
) -> None:
    """Make a stored profile the one that ingest grades with."""
    from loaders import administration

    chosen, its_version = administration.activate_profile(read_settings(), name, version)
    say(f"{chosen} version {its_version} is active; sessions ingested from now on use it")
