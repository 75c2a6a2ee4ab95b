"""``drivegrade plot``: pictures of a season, a driver, a race, as SVG or PNG.

Imports of anything heavy stand inside the commands, as in `loaders.__main__`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from loaders.terminal import read_settings, say

if TYPE_CHECKING:
    import altair as alt

    from engine.tables import SessionKey
    from loaders.pictures.frames import Graded, RaceFrames, SeasonFrames

app = typer.Typer(help="Pictures of grades, drawn from the lake: SVG or PNG.", no_args_is_help=True)

EXTRA: Final = "report"
"""Extra that brings the drawing libraries."""

FORMATS: Final = (".svg", ".png")

Season = Annotated[
    int, typer.Argument(metavar="SEASON", min=1950, max=2100, help="championship year")
]
Round = Annotated[
    int, typer.Argument(metavar="ROUND", min=1, max=40, help="round within the season")
]
MaybeRound = Annotated[
    int | None,
    typer.Argument(metavar="[ROUND]", min=1, max=40, help="the whole season without one"),
]
Kind = Annotated[str, typer.Option("--session", help="race or sprint")]
Profile = Annotated[
    str, typer.Option(help="bundled profile or JSON file that the grades were made with")
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="what to write: .svg or .png")
]
Scale = Annotated[
    float, typer.Option(min=0.5, max=8, help="PNG: pixels of the file per pixel of the picture")
]


@app.command()
def season(
    season: Season,
    output: Output,
    *,
    session: Kind = "race",
    profile: Profile = "v2",
    scale: Scale = 2.0,
) -> None:
    """Grades of a season: drivers by rounds, the best mean on top."""
    _check(session, output)
    from loaders.extras import extra

    with extra(EXTRA):
        from loaders.pictures.heat_map import heat_map_picture
    frames = _season(season, session, profile)
    _write(heat_map_picture(frames), output, scale)


@app.command()
def trend(
    drivers: Annotated[
        list[str], typer.Argument(metavar="DRIVER…", help="id, code or family name; up to six")
    ],
    output: Output,
    first: Annotated[
        int | None, typer.Option("--from", metavar="SEASON", min=1950, max=2100)
    ] = None,
    last: Annotated[int | None, typer.Option("--to", metavar="SEASON", min=1950, max=2100)] = None,
    *,
    session: Kind = "race",
    profile: Profile = "v2",
    scale: Scale = 2.0,
) -> None:
    """Grades of drivers over a season or a career, with their intervals."""
    _check(session, output)
    from loaders.extras import extra
    from loaders.pictures.frames import career_frames

    with extra(EXTRA):
        from loaders.pictures.trend import trend_picture
    frames = career_frames(
        read_settings().lake, drivers, first, last, profile_name=profile, session_kind=session
    )
    who = ", ".join(frames.driver_ids)
    _has_grades(frames, f"{who} in these {session}s", first or int(frames.sessions["season"].max()))  # type: ignore[arg-type]  # a driver found has sessions
    _write(trend_picture(frames), output, scale)


@app.command()
def components(
    season: Season,
    round_number: Round,
    output: Output,
    *,
    session: Kind = "race",
    profile: Profile = "v2",
    scale: Scale = 2.0,
) -> None:
    """What each grade of a race is made of."""
    key = _check(session, output, season, round_number)
    from loaders.extras import extra

    with extra(EXTRA):
        from loaders.pictures.components import components_picture
    _write(components_picture(_race(key, profile)), output, scale)


@app.command()
def laps(
    season: Season,
    round_number: Round,
    output: Output,
    *,
    session: Kind = "race",
    profile: Profile = "v2",
    scale: Scale = 2.0,
) -> None:
    """A race lap by lap: places, stops, passes, safety cars, grades."""
    key = _check(session, output, season, round_number)
    from loaders.extras import extra
    from loaders.pictures.frames import PictureError, race_frames

    with extra(EXTRA):
        from loaders.pictures.lap_chart import lap_chart_picture
    settings = read_settings()
    frames = race_frames(settings.lake, key, profile)
    if frames.laps.is_empty():
        raise PictureError(
            f"lake {settings.lake}: no laps of {key.session_id}. Lap times begin with 1996; "
            f"fetch them with: {_ingest(key)}"
        )
    _write(lap_chart_picture(frames), output, scale)


@app.command()
def plane(
    season: Season,
    output: Output,
    round_number: MaybeRound = None,
    *,
    session: Kind = "race",
    profile: Profile = "v2",
    scale: Scale = 2.0,
) -> None:
    """Drivers by their rating and the level of their car, of a race or a season."""
    key = _check(session, output, season, round_number or 1)
    from loaders.extras import extra

    with extra(EXTRA):
        from loaders.pictures.car_plane import car_plane_picture
    frames = _race(key, profile) if round_number else _season(season, session, profile)
    _write(car_plane_picture(frames), output, scale)


@app.command()
def sensitivity(
    season: Season,
    output: Output,
    round_number: MaybeRound = None,
    by: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="by which share constants are moved")
    ] = 0.2,
    *,
    session: Kind = "race",
    profile: Profile = "v2",
    scale: Scale = 2.0,
) -> None:
    """How the grades of a race or season hang on each constant of the profile."""
    key = _check(session, output, season, round_number or 1)
    from loaders.extras import extra
    from loaders.pictures.frames import training_evidence

    with extra(EXTRA):
        from loaders.pictures.sensitivity import sensitivity_picture
    frames = _race(key, profile) if round_number else _season(season, session, profile)
    training = training_evidence(read_settings().lake, frames.profile)
    _write(sensitivity_picture(frames, training, by), output, scale)


def _check(session: str, output: Path, season: int = 1950, round_number: int = 1) -> SessionKey:
    """See that the kind of session and of file exist, before anything is read."""
    from engine.tables import SESSION_KINDS, SessionKey

    if session not in SESSION_KINDS:
        raise typer.BadParameter(f"{session!r} is none of {', '.join(SESSION_KINDS)}")
    if output.suffix.lower() not in FORMATS:
        raise typer.BadParameter(f"{output} ends in neither {' nor '.join(FORMATS)}")
    return SessionKey(season, round_number, session)


def _race(key: SessionKey, profile: str) -> RaceFrames:
    """Read a race that has grades.

    Raises:
        PictureError: it has none, or the lake has no such session.
    """
    from loaders.pictures.frames import race_frames

    frames = race_frames(read_settings().lake, key, profile)
    if frames.laps.is_empty():
        _has_grades(frames, f"{key.session_id}, of which the lake has no laps", key.season)
    _has_grades(frames, key.session_id, key.season)
    return frames


def _season(season: int, session: str, profile: str) -> SeasonFrames:
    """Read a season that has grades.

    Raises:
        PictureError: it has none, or the lake has no such sessions.
    """
    from loaders.pictures.frames import season_frames

    frames = season_frames(read_settings().lake, season, profile, session)
    _has_grades(frames, f"the {session}s of {season}", season)
    return frames


def _has_grades(frames: Graded, what: str, season: int) -> None:
    from loaders.pictures.frames import PictureError

    if not frames.has_grades:
        profile = frames.profile.name
        option = "--model v2" if profile == "v2" else f"--profile {profile}"
        raise PictureError(
            f"no grade under profile {profile} of {what} is in the lake. Make them with: "
            f"drivegrade regrade --season {season} {option}"
        )


def _ingest(key: SessionKey) -> str:
    option = "" if key.session_kind == "race" else f" --session {key.session_kind}"
    return f"drivegrade ingest {key.season} {key.round}{option}"


def _write(chart: alt.TopLevelMixin, output: Path, scale: float) -> None:
    """Write a picture whole or not at all, in the format of the file's ending.

    Raises:
        PictureError: the file cannot be written.
    """
    from loaders.durable import write_file
    from loaders.pictures.frames import PictureError
    from loaders.pictures.render import as_png, as_svg

    is_svg = output.suffix.lower() == ".svg"
    body = as_svg(chart).encode() if is_svg else as_png(chart, scale)
    try:
        write_file(output, body)
    except OSError as error:
        raise PictureError(
            f"{output} cannot be written: {error.strerror}. Name a file in a folder that exists "
            "and that you may write to"
        ) from None
    say(f"{output}: {len(body) / 1024:.0f} KiB")
