"""The command ``drivegrade load``: from the lake into a warehouse.

Imports of anything heavy stand inside the command, so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations of commands
from typing import TYPE_CHECKING, Annotated, Final

import typer

from loaders.terminal import Json, print_json, read_settings, say

if TYPE_CHECKING:
    from loaders.lake_source import LakeLoad
    from loaders.one_file import Target
    from loaders.settings import Settings

load_app = typer.Typer(rich_markup_mode=None)


@load_app.command()
def load(
    season: Annotated[
        list[int] | None, typer.Option(min=1950, max=2100, help="only this one; repeatable")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="sqlite:///FILE, duckdb:///FILE or a PostgreSQL URL; else as DATABASE_URL says",
        ),
    ] = None,
    profile: Annotated[
        list[Path] | None,
        typer.Option(help="JSON file of a profile that a warehouse in one file is to know"),
    ] = None,
    *,
    at_once: Annotated[
        bool, typer.Option("--all", help="all seasons in one transaction, not one each")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="also what is unchanged, or newer in the warehouse")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy seasons of the lake, all by default, into PostgreSQL or a warehouse in one file."""
    from loaders import bulk_load, one_file
    from loaders.profiles import read_profile

    target = one_file.parse_target(to) if to else None
    if profile and target is None:
        raise typer.BadParameter("--profile is for a warehouse in one file; PostgreSQL has its own")
    if target is not None and at_once:
        raise typer.BadParameter("a warehouse in one file is always loaded in one transaction")
    settings = _settings(None if target else to)
    with _Progress() as progress:
        if target is None:
            report = bulk_load.load_lake(
                settings, seasons=season, at_once=at_once, force=force, progress=progress.tell
            )
        else:
            profiles = [read_profile(path) for path in profile or ()]
            report = one_file.load_file(
                target,
                settings,
                seasons=season,
                profiles=profiles,
                force=force,
                progress=progress.tell,
            )
    show_load(report, as_json=as_json)


SHORT: Final = {
    "unchanged": "same",
    "changed_rows": "changed",
    "sessions": "races",
    "pit_stops": "stops",
    "race_control": "msgs",
    "qualifying": "quali",
    "overtakes": "passes",
    "strategy_events": "tyres",
    "penalty_events": "pens",
    "driver_metrics": "grades",
}
"""Headings that leave room for the numbers in a terminal of 80 columns."""


def file_target(url: str | None) -> Target | None:
    """Read where a warehouse in one file lies; None if none is named.

    Raises:
        BadParameter: the URL is of nothing of the kind.
    """
    from loaders import one_file

    if url is None:
        return None
    if (target := one_file.parse_target(url)) is None:
        raise typer.BadParameter(f"{url} is neither sqlite:///FILE nor duckdb:///FILE")
    return target


def show_load(report: LakeLoad, *, as_json: bool) -> None:
    """Print a row a season: what became of its sessions, and its rows in lake and warehouse.

    The text leaves out tables of evidence that are equal everywhere; JSON has all.
    """
    from rich.console import Console

    from engine.tables import EVIDENCE
    from loaders.display import plain_table

    rows = report.by_season()
    if as_json:
        print_json(rows)
        return
    equal = {name for name in EVIDENCE if not any(isinstance(row.get(name), str) for row in rows)}
    table = plain_table(
        (
            {SHORT.get(name, name): value for name, value in row.items() if name not in equal}
            for row in rows
        ),
        "Lake and warehouse: rows in both, by season",
    )
    table.box = None
    table.padding = (0, 1, 0, 0)
    Console().print(table)
    changed = report.seasons["changed_rows"].sum()
    loaded, unchanged = (report.seasons[name].sum() for name in ("loaded", "unchanged"))
    say(
        f"{loaded} sessions loaded, {unchanged} unchanged, {changed} rows changed"
        if loaded
        else "nothing has changed since the last load"
    )
    for session_id, revision in report.older.items():
        say(
            f"{session_id}: left as it is; the warehouse has revision {revision}, which is newer "
            "than the lake. Ingest it again, or load the lake's with --force"
        )
    for row in report.differing.to_dicts():
        say(
            f"{row['season']} {row['table_name']}: {row['lake_rows']} rows in the lake, "
            f"{row['warehouse_rows']} in the warehouse"
        )


def _settings(url: str | None) -> Settings:
    """Read the settings, another PostgreSQL named or not."""
    settings = read_settings()
    if url is None:
        return settings
    from pydantic import SecretStr

    return settings.model_copy(update={"database_url": SecretStr(url)})


class _Progress:
    """Shows on standard error how many seasons are done."""

    def __enter__(self) -> _Progress:
        from rich.console import Console

        self._status = Console(stderr=True).status("reading the lake …")
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def tell(self, done: int, total: int) -> None:
        """Say how many of how many seasons are done."""
        self._status.update(f"{done} of {total} seasons loaded …")
