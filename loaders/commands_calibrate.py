"""``drivegrade calibrate``: constants of model v2, fitted on the lake.

Imports of anything heavy stand inside the commands, as in `loaders.__main__`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from loaders.commands_validity import read_seasons
from loaders.terminal import Json, read_settings, say, show_rows, waiting

app = typer.Typer(help="Constants of model v2.", no_args_is_help=True)


@app.callback()
def calibrate() -> None:
    """Keep ``fit`` a command of its own, beside others to come under the same name."""


@app.command("fit")
def fit(
    *,
    train: Annotated[str, typer.Option(help="training years: 1996-2014, or one")],
    name: Annotated[str, typer.Option(help="what the profile is called")] = "v2",
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="file to write; NAME.json by default")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit a profile on seasons of the lake; what is not fitted is the bundled profile's."""
    from datetime import UTC, datetime

    from engine.tables import SLUG_PATTERN
    from loaders.fitting import bundled_profile, changes, fit_lake

    if not re.fullmatch(SLUG_PATTERN, name):
        raise typer.BadParameter(f"{name!r} must be like v2 or fitted-2014")
    seasons = read_seasons(train)
    carried = bundled_profile()
    called = "" if name == "v2" else f" --name {name}"
    with waiting(f"fit on {train}"):
        made = fit_lake(
            read_settings().lake,
            seasons,
            carried,
            name=name,
            fitted_on=datetime.now(UTC).date().isoformat(),
            command=f"drivegrade calibrate fit --train {train}{called}",
        )
    target = output or Path(f"{name}.json")
    target.write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")
    show_rows(changes(carried, made), "What moved against the bundled profile", as_json=as_json)
    fitted = made.provenance
    say(
        f"{name}, fitted on {fitted.driver_races} driver-races of {fitted.sessions} Grands Prix "
        f"{fitted.first_season}-{fitted.last_season}: {target}",
        quiet=as_json,
    )
