"""Drive Grade as a library: load a race, grade it, get a Polars frame. No server, no database.

    from loaders import library as dg

    race = dg.load_race(2023, 10)          # or dg.from_fastf1(session), a session loaded already
    grades = dg.grade(race)                # one row per driver, the best first
    bolder = dg.profile("v2", weights={"consistency": 0.4, "racecraft": 0.6})
    dg.grade(race, bolder)                 # what other constants would say

Everything here is what the command line uses, and gives what it stores. Nothing is written but
by `keep` and `regrade`, and these write to the lake alone. Settings are read from the
environment unless they are given.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from pydantic import ValidationError

from engine.errors import DriveGradeError, ProfileError
from engine.tables import SESSION_KINDS, SessionKey
from loaders import explore, lake, profiles
from loaders.fallback import fetch_session, gaps
from loaders.keeping import keep_session
from loaders.library_race import SHOWN, NothingKnownWarning, Race, graded, shown
from loaders.providers import ProviderError
from loaders.regrade import regrade as regrade_lake
from loaders.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Collection

    from loaders.profiles import Profile

__all__ = [
    "SHOWN",
    "DriveGradeError",
    "NothingKnownWarning",
    "Race",
    "Settings",
    "evidence",
    "from_fastf1",
    "grade",
    "keep",
    "load_race",
    "profile",
    "regrade",
    "sql",
]

_KINDS: Final = {"Race": "race", "Sprint": "sprint"}
"""FastF1's names of the sessions that are graded."""


def load_race(
    season: int,
    round_number: int,
    session_kind: str = "race",
    *,
    provider: str | None = None,
    fill_gaps: bool | None = None,
    settings: Settings | None = None,
) -> Race:
    """Fetch a session from the first provider that has it complete, as `drivegrade ingest` does.

    Args:
        season: championship year.
        round_number: round within the season.
        session_kind: `race` or `sprint`.
        provider: the only one to ask; those of the settings, in order, if None.
        fill_gaps: fill what is lacking from the later providers; as the settings say if None.
        settings: read from the environment if None.

    Raises:
        ProviderError: nobody has a usable session; the text has every reason.
    """
    if session_kind not in SESSION_KINDS:
        raise ProviderError(f"{session_kind!r} is none of {', '.join(SESSION_KINDS)}")
    chosen = settings or Settings()
    session = SessionKey(season, round_number, session_kind)
    names = chosen.provider_names if provider is None else (provider,)
    filling = chosen.fill_gaps if fill_gaps is None else fill_gaps
    fetched = fetch_session(session, chosen, names, fill_gaps=filling)
    return Race(session, fetched.tables, fetched.gaps, fetched.refused)


def from_fastf1(session: Any) -> Race:
    """Take over a FastF1 session that is loaded already.

    Messages of race control should be loaded with it (FastF1 does so unless it is told
    otherwise): penalties are read from them. Telemetry is not used. The session has no
    qualifying, which the rating uses: the lake's is taken, if it has the session.

    Args:
        session: a `fastf1.core.Session` of a Grand Prix or sprint, after its `load()`.

    Raises:
        ProviderError: it is another kind of session, is not loaded, or has no official result.
        ContractError: its values break a table's contract.
    """
    from loaders.providers import fastf1  # noqa: PLC0415 - needs FastF1, which takes a second
    from loaders.providers.fastf1_child import raw_tables  # noqa: PLC0415 - the same
    from loaders.providers.fastf1_raw import UnusableError  # noqa: PLC0415 - the same

    if session.name not in _KINDS:
        raise ProviderError(
            f"fastf1: {session.name} of {session.event['EventName']} is not graded; take the "
            "session 'R' or 'S'"
        )
    key = SessionKey(
        int(session.event.year), int(session.event["RoundNumber"]), _KINDS[session.name]
    )
    try:
        tables = fastf1.parse(key, raw_tables(session))
    except UnusableError as error:
        raise ProviderError(
            f"fastf1 {key.session_id}: {error.cause}.\nNothing was taken over. Call the session's "
            f"load() first. {error.remedy}"
        ) from None
    return Race(key, tables, gaps(tables))


def profile(
    base: str | Path | Profile = profiles.DEFAULT, *, name: str = "changed", **changes: Any
) -> Profile:
    """Make a calibration profile that differs from another.

    `grade`, 0 to 100, keeps the scale of the profile's training years: with other weights it
    orders drivers, but is no longer a share of drives. `total_grade` is what the weights give.

    Args:
        base: a bundled profile's name, a JSON file, or a profile.
        name: what the new one is called.
        changes: constants by name; of a group only those that change:
            ``weights={"racecraft": 0.5}``.

    Raises:
        ProfileError: there is no such profile or constant, or a value is out of bounds.
    """
    old = _profile(base)
    constants = old.model_dump(mode="json")
    for constant, value in changes.items():
        group = constants.get(constant)
        both = isinstance(group, dict) and isinstance(value, dict)
        constants[constant] = {**(group or {}), **value} if both else value
    try:
        return type(old).model_validate_json(json.dumps({**constants, "name": name}))
    except ValidationError as error:
        raise ProfileError(f"profile {name}: {profiles.faults(error)}") from None


def grade(
    race: Race,
    profile: str | Path | Profile = profiles.DEFAULT,
    *,
    settings: Settings | None = None,
) -> pl.DataFrame:
    """Grade a race; the numbers are those that `drivegrade ingest` stores, to the last bit.

    Args:
        race: from `load_race` or `from_fastf1`.
        profile: a bundled profile's name, a JSON file, or a profile.
        settings: where the lake lies that model v2 goes on from; read from the environment if
            None.

    Returns:
        One row per driver who took part, the best first, with the columns `SHOWN`. A number is
        null where nothing supports it; `grade` and the intervals are of model v2, team strategy
        of v1. `rating_state` is the session that the rating went on from, null if from none.

    Warns:
        NothingKnownWarning: model v2 has no earlier session to go on from.

    Raises:
        ProfileError: there is no such profile.
        ContractError: the race breaks a contract.
    """
    tables, derived = graded(race, _profile(profile), settings or Settings())
    return shown({**tables, **derived})


def evidence(
    race: Race,
    profile: str | Path | Profile = profiles.DEFAULT,
    *,
    settings: Settings | None = None,
) -> dict[str, pl.DataFrame]:
    """Give all that `grade` computes: `engine.tables.DERIVED` by name, each sorted by its key.

    Arguments, warnings and errors are those of `grade`; docs/dictionary.md names the columns.
    """
    _, derived = graded(race, _profile(profile), settings or Settings())
    return derived


def keep(
    race: Race,
    profile: str | Path | Profile = profiles.DEFAULT,
    *,
    settings: Settings | None = None,
) -> pl.DataFrame:
    """Grade a race and write both to the lake, so that later races go on from it.

    What was there of the race is replaced; its grades under other profiles stay while their
    inputs do. Arguments, warnings and result are those of `grade`.

    Raises:
        LakeError: the disk refused; nothing was written.
    """
    chosen = settings or Settings()
    tables, derived = graded(race, _profile(profile), chosen)
    keep_session(chosen.lake, race.session, tables, derived)
    return shown({**tables, **derived})


def regrade(
    *named: str | Path | Profile,
    seasons: Collection[int] | None = None,
    settings: Settings | None = None,
) -> pl.DataFrame:
    """Grade seasons of the lake under profiles, and write the grades beside those of others.

    Args:
        named: bundled profiles' names, JSON files, or profiles; the default profile if none.
        seasons: only these; None for all.
        settings: where the lake lies; read from the environment if None.

    Returns:
        The grades under these profiles, as `grade` gives them, race by race.

    Raises:
        DriveGradeError: the lake has no laps of these seasons.
        LakeError: a file is damaged, or the disk refused.
    """
    chosen = settings or Settings()
    wanted = [_profile(one) for one in named or (profiles.DEFAULT,)]
    regrade_lake(chosen.lake, wanted, seasons=seasons)
    seen = lake.snapshot(chosen.lake)
    tables = {
        name: lake.collect(seen.scan(name, seasons), chosen.lake)
        for name in ("sessions", "entries", "driver_metrics", "grade_evidence")
    }
    names = [one.name for one in wanted]
    ours = tables["driver_metrics"].filter(pl.col("profile_name").is_in(names))
    return shown({**tables, "driver_metrics": ours})


def sql(question: str = explore.CATALOGUE, *, settings: Settings | None = None) -> pl.DataFrame:
    """Ask the lake a question in DuckDB's SQL; without one, list the views.

    Raises:
        ExploreError: it is not one SELECT, or DuckDB refuses it.
        LakeError: a file of the lake is damaged or missing.
    """
    with explore.connect(settings or Settings()) as connection:
        return explore.query(connection, question)


def _profile(named: str | Path | Profile) -> Profile:
    return profiles.read_profile(named) if isinstance(named, (str, Path)) else named
