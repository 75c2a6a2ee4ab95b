"""The command line: it parses, calls a job and shows what came back.

Imports of anything heavy stand inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - Typer reads the annotations of commands
from typing import Annotated

import typer

from engine.errors import DriveGradeError
from loaders import (
    commands_cache,
    commands_calibrate,
    commands_dictionary,
    commands_explain,
    commands_explore,
    commands_history,
    commands_jobs,
    commands_lake,
    commands_load,
    commands_plot,
    commands_profile,
    commands_report,
    commands_serve,
    commands_validity,
)
from loaders.terminal import Json, print_json, read_settings, say, show_rows, waiting

app = typer.Typer(
    help="Grade Formula 1 drivers from real timing data.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode=None,  # formatting the help with Rich takes longer than all else
)
database_app = typer.Typer(help="The PostgreSQL database.", no_args_is_help=True)
calendar_app = typer.Typer(help="Seasons and their sessions.", no_args_is_help=True)
app.add_typer(commands_profile.app, name="profile")
app.add_typer(commands_plot.app, name="plot")
app.add_typer(commands_history.app, name="history")
app.add_typer(commands_lake.app, name="lake")
app.command()(commands_lake.regrade)
app.add_typer(commands_validity.app, name="validity")
app.add_typer(commands_calibrate.app, name="calibrate")
app.command()(commands_load.load)
app.command()(commands_explain.explain)
app.command()(commands_dictionary.dictionary)
app.command()(commands_report.report)
app.command()(commands_explore.grades)
app.command()(commands_explore.sql)
app.command()(commands_explore.explore)
app.add_typer(commands_cache.app, name="cache")
app.command()(commands_serve.serve)
app.command()(commands_jobs.worker)
app.command()(commands_jobs.schedule)
app.add_typer(calendar_app, name="calendar")
app.add_typer(database_app, name="db")

Season = Annotated[
    int, typer.Argument(metavar="SEASON", min=1950, max=2100, help="championship year")
]
Round = Annotated[
    int, typer.Argument(metavar="ROUND", min=1, max=40, help="round within the season")
]
Kind = Annotated[str, typer.Option("--session", help="race or sprint")]


@app.command()
def demo(*, as_json: Json = False) -> None:
    """Grade the bundled simulated weekends, through PostgreSQL and back."""
    from loaders import jobs
    from loaders.display import load_sentence

    settings = read_settings()
    reports = []
    with waiting("simulated weekends"):
        for report in jobs.demo(settings):
            reports.append(report)
            say(load_sentence(report), quiet=as_json)
    for season in sorted({report.session.season for report in reports}):
        commands_explore.show_grades(settings, season, None, None, as_json=as_json)


@app.command()
def ingest(
    season: Season,
    round_number: Round,
    session: Kind = "race",
    provider: Annotated[
        str | None, typer.Option(help="the only one to ask; else DRIVEGRADE_PROVIDERS in order")
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="load even if nothing changed")] = False,
    fill_gaps: Annotated[
        bool | None,
        typer.Option("--fill/--no-fill", help="fill gaps from the later providers, marked"),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="URL", help="sqlite:///FILE or duckdb:///FILE, no server")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a session, grade it with the active profile, and load it."""
    from engine.tables import SessionKey
    from loaders import jobs
    from loaders.display import load_sentence

    if provider and fill_gaps:
        raise typer.BadParameter("--provider asks one source, --fill several; leave one out")
    key = SessionKey(season, round_number, _session_kind(session))
    target = commands_load.file_target(to)
    settings = read_settings()
    with waiting(f"{key.session_id} from {provider or 'the first provider that has it'}"):
        if target is not None:
            loaded = jobs.ingest_file(
                key, settings, target, provider_name=provider, force=force, fill_gaps=fill_gaps
            )
            commands_load.show_load(loaded, as_json=as_json)
            return
        report = jobs.ingest(
            key, settings, provider_name=provider, force=force, fill_gaps=fill_gaps
        )
    if as_json:
        print_json([report.as_row()])
    else:
        say(load_sentence(report))


@app.command()
def compare(
    season: Season,
    round_number: Round,
    first: Annotated[str, typer.Option(help="one provider")] = "fastf1",
    second: Annotated[str, typer.Option(help="another provider")] = "openf1",
    session: Kind = "race",
    *,
    everything: Annotated[bool, typer.Option("--all", help="also what agrees")] = False,
    as_json: Json = False,
) -> None:
    """Show where two providers disagree about a session, down to the grades."""
    from engine.tables import SessionKey
    from loaders import jobs
    from loaders.display import show_comparison

    key = SessionKey(season, round_number, _session_kind(session))
    with waiting(f"{key.session_id} from {first} and {second}"):
        found = jobs.compare_providers(key, read_settings(), first, second)
    apart = ("differing", "rows_only_first", "rows_only_second")
    rows = [row for row in found.to_dicts() if everything or any(row[name] for name in apart)]
    if as_json:
        print_json(rows)
    else:
        show_comparison(rows, key.session_id, first, second)


@app.command()
def doctor(*, as_json: Json = False) -> None:
    """Check that everything Drive Grade needs is in working order."""
    from loaders.doctor import examine

    findings = [finding._asdict() for finding in examine(read_settings())]
    show_rows(findings, "Drive Grade", as_json=as_json)
    if any(finding["state"] == "failed" for finding in findings):
        raise typer.Exit(1)


@app.command()
def score(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines")],
    profile: Annotated[
        list[str] | None, typer.Option(help="a bundled profile's name or a JSON file; repeatable")
    ] = None,
) -> None:
    """Score a file of weekends and print JSON lines."""
    from loaders.profiles import read_v1_profile
    from loaders.weekends import score as score_file

    chosen = [read_v1_profile(name) for name in profile or ["baseline"]]
    print_json(score_file(file, chosen))


@app.command()
def diff(
    season: Season,
    round_number: Round,
    session: Kind = "race",
    older: Annotated[int | None, typer.Option(min=1, help="the one before by default")] = None,
    newer: Annotated[int | None, typer.Option(min=1, help="the last one by default")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show what moved between two revisions of a session's results and grades."""
    from engine.tables import SessionKey
    from loaders import administration

    key = SessionKey(season, round_number, _session_kind(session))
    header, moved = administration.read_diff(read_settings(), key, older, newer)
    if not as_json:
        columns = ("data_revision", "loaded_at", "data_source", "changed_rows")
        show_rows(
            header.select(columns).to_dicts(), f"Revisions of {key.session_id}", as_json=False
        )
    show_rows(moved.to_dicts(), "What moved", as_json=as_json)


@calendar_app.command("sync")
def sync_calendar(season: Season) -> None:
    """Fetch a season's calendar; stored races follow their event to its round."""
    from loaders import administration

    report = administration.sync_season(read_settings(), season)
    renamed = [f"{old} → {new}" for old, new in report.renamed.items()]
    for what, sessions in (
        ("added", report.added),
        ("renumbered", renamed),
        ("cancelled", report.cancelled),
        ("updated", report.updated),
    ):
        if sessions:
            say(f"{what}: {', '.join(sessions)}")
    say(f"unchanged: {report.unchanged} sessions")
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)


@calendar_app.command("show")
def show_calendar(season: Season, *, as_json: Json = False) -> None:
    """Show the stored calendar of a season, and what became of each session."""
    from loaders import administration

    rows = administration.read_calendar(read_settings(), season).to_dicts()
    show_rows(rows, f"Calendar {season}", as_json=as_json)


@calendar_app.command("due")
def show_due(*, as_json: Json = False) -> None:
    """Show the sessions that are over and not ingested, or to be fetched again."""
    from loaders import administration

    show_rows(administration.due_sessions(read_settings()).to_dicts(), "Due", as_json=as_json)


@database_app.command()
def migrate() -> None:
    """Bring the database's schema up to date."""
    from loaders import administration

    applied = administration.migrate_database(read_settings())
    say("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


@database_app.command()
def status(*, as_json: Json = False) -> None:
    """Show pending migrations and the newest loads."""
    from loaders import administration

    pending, loads = administration.database_status(read_settings())
    if as_json:
        print_json([{"pending": pending, "loads": loads.to_dicts()}])
        return
    say("pending migrations: " + (", ".join(pending) or "none"))
    show_rows(loads.to_dicts(), "Newest loads", as_json=False)


@database_app.command()
def roles(*, as_json: Json = False) -> None:
    """Make the roles that migrate, ingest and only read, each with its rights; repeatable."""
    from loaders.roles import grant_roles

    show_rows(grant_roles(read_settings()).to_dicts(), "Roles", as_json=as_json)
    say(
        "Without a password nobody logs in as one. In psql: \\password drivegrade_api",
        quiet=as_json,
    )


@database_app.command()
def sweep(
    older_than: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="holding a session for longer")
    ] = 300,
    *,
    terminate: Annotated[
        bool, typer.Option("--terminate", help="end them; what is not committed is undone")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show who has kept sessions busy for long, a frozen program say, and end them."""
    from loaders.sweeping import sweep as sweep_holders

    found = sweep_holders(read_settings(), older_than_s=older_than, is_terminating=terminate)
    show_rows(found.to_dicts(), "Holders of sessions", as_json=as_json)


def _session_kind(text: str) -> str:
    from engine.tables import SESSION_KINDS

    if text not in SESSION_KINDS:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(SESSION_KINDS)}")
    return text


def main() -> None:
    """Run the command line; a user's mistake ends with its message and exit code."""
    try:
        app()
    except DriveGradeError as error:
        typer.echo(f"drivegrade: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
