"""Explaining a grade of model v2: which stored rows it is made of, read from the lake alone.

Every line of an explanation has its numbers, and names the warehouse's table (`table`) and the
row or rows in it (`key`; a list stands for several) that they are read from or summed over. The
parts are added up again and held against what is stored: an explanation that would not add up is
refused.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import ENTRY, NO_START, SESSION, SessionKey
from engine.v2.calibration import MODEL_VERSION_V2, CalibrationProfileV2
from engine.v2.rating import SEGMENTS, STATE_SCHEMA, rate
from loaders import lake
from loaders.explain_drive import Drive, ExplainError
from loaders.explain_sections import sections
from loaders.profiles import model_of, read_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loaders.explain_drive import Line
    from loaders.explain_sections import Sections
    from loaders.lake import Snapshot
    from loaders.settings import Settings

__all__ = ["ExplainError", "explain"]

READ: Final = ("sessions", "entries", "laps", "penalty_events", "strategy_events")
"""Tables that are read whole."""

READ_BY_PROFILE: Final = (
    "driver_metrics",
    "grade_evidence",
    "pass_events",
    "slow_laps",
    "pit_cycles",
)
"""Tables that are read under one profile."""


def explain(
    settings: Settings, session: SessionKey, driver: str, profile: str = MODEL_VERSION_V2
) -> tuple[Line, Sections]:
    """Explain the grade of a driver in a session.

    Args:
        settings: where the lake is.
        session: the session.
        driver: id, three-letter code, family or full name; capitals and accents do not matter.
        profile: bundled profile or JSON file that it was graded with.

    Returns:
        Who drove what and how it was graded (ids, names, places, profile, model, data source,
        `state_session_id`); and the lines of each section by its name.

    Raises:
        ProfileError: there is no such profile.
        ExplainError: the profile is of another model; the lake has no such session, driver or
            grade; or what it has does not add up.
        LakeError: the lake cannot be read.
    """
    constants = read_profile(profile)
    if not isinstance(constants, CalibrationProfileV2):
        raise ExplainError(
            f"profile {profile} is of model {model_of(constants)}: only grades of model "
            f"{MODEL_VERSION_V2} can be explained. Name a profile of that model, or none"
        )
    seen = lake.snapshot(settings.lake)
    frames = _read(seen, session, constants)
    if frames["sessions"].is_empty():
        option = "" if session.session_kind == "race" else f" --session {session.session_kind}"
        raise ExplainError(
            f"lake {seen.lake}: no session {session.session_id}. Bring it in with: drivegrade "
            f"ingest {session.season} {session.round}{option}, or: drivegrade history import PATH"
        )
    entry = _find_driver(frames["entries"], driver, session)
    grades = _of(frames["driver_metrics"], entry["driver_id"])
    evidence = _of(frames["grade_evidence"], entry["driver_id"])
    if grades is None or evidence is None:
        raise _not_graded(seen, session, entry, frames, profile)
    before = _of(ratings_before(seen, frames, constants), entry["driver_id"])
    drive = Drive(frames, constants, entry, grades, evidence, before)
    return _head(drive), sections(drive)


def _read(
    seen: Snapshot, session: SessionKey, profile: CalibrationProfileV2
) -> dict[str, pl.DataFrame]:
    """Read the session's rows by table, those of grades under the profile."""
    named = {"profile_name": profile.name, "model_version": MODEL_VERSION_V2}
    plans = {name: seen.scan(name, sessions=[session]) for name in READ}
    plans |= {
        name: seen.scan(name, sessions=[session]).filter(
            pl.col(column) == value for column, value in named.items()
        )
        for name in READ_BY_PROFILE
    }
    return {name: lake.collect(plan, seen.lake) for name, plan in plans.items()}


def _of(frame: pl.DataFrame, driver_id: object) -> Line | None:
    """Give a driver's row of a table with one row an entry."""
    rows = frame.filter(pl.col("driver_id") == driver_id).to_dicts()
    return rows[0] if rows else None


def _find_driver(entries: pl.DataFrame, wanted: str, session: SessionKey) -> Line:
    """Find the entry that is meant: by id, else by code, else by name.

    Raises:
        ExplainError: nobody, or more than one; the text lists who was entered.
    """
    rows = entries.sort("position", "driver_id", nulls_last=True).to_dicts()
    text = _plain(wanted)
    known_as: tuple[Callable[[Line], bool], ...] = (
        lambda row: _plain(row["driver_id"]) == text,
        lambda row: _plain(row["driver_code"] or "") == text,
        lambda row: f" {_plain(row['driver_name'])}".endswith(f" {text}"),
    )
    for is_meant in known_as:
        found = [row for row in rows if text and is_meant(row)]
        if len(found) == 1:
            return dict(found[0])
        if found:
            raise ExplainError(
                f"{wanted!r} may be {_listed(found)} in {session.session_id}; name one by id"
            )
    raise ExplainError(
        f"no driver {wanted!r} in {session.session_id}. There drove {_listed(rows) or 'nobody'}; "
        "name one by id, code or family name"
    )


def _plain(text: str) -> str:
    """Take off accents and capitals."""
    split = unicodedata.normalize("NFKD", text.strip())
    return "".join(letter for letter in split if not unicodedata.combining(letter)).casefold()


def _listed(rows: list[Line]) -> str:
    """List drivers with id, code and name."""
    return ", ".join(
        f"{row['driver_id']} ({' '.join(filter(None, (row['driver_code'], row['driver_name'])))})"
        for row in rows
    )


def _not_graded(
    seen: Snapshot, session: SessionKey, entry: Line, frames: dict[str, pl.DataFrame], profile: str
) -> ExplainError:
    """Say why there is no grade, and what to do."""
    where = f"lake {seen.lake}: no grade of model {MODEL_VERSION_V2} under profile {profile} of"
    if frames["laps"].is_empty():
        return ExplainError(f"{where} {session.session_id}, of which it has no laps")
    if entry["status"] in NO_START:
        return ExplainError(f"{where} {entry['driver_name']}, who did not start")
    option = "--model v2" if profile == MODEL_VERSION_V2 else f"--profile {profile}"
    return ExplainError(
        f"{where} {session.session_id}. Make them with: "
        f"drivegrade regrade --season {session.season} {option}"
    )


def ratings_before(
    seen: Snapshot, frames: Mapping[str, pl.DataFrame], profile: CalibrationProfileV2
) -> pl.DataFrame:
    """Carry ratings and cars up to a session, and nothing more.

    Args:
        seen: the lake that `frames` were read from.
        frames: the session's tables of `READ` and `READ_BY_PROFILE`.
        profile: that the grades were made with.

    Returns:
        Rows of `engine.v2.rating.RATING_SCHEMA`, one a driver, as expected; none where the state
        that the session was rated from is not in the lake.
    """
    ids = dict.fromkeys(ENTRY, pl.String())
    named = frames["grade_evidence"]["state_session_id"].drop_nulls().unique().to_list()
    if len(named) != 1:
        return pl.DataFrame(schema=ids)
    states = seen.scan("rating_states", sessions=[SessionKey.parse(named[0])]).filter(
        pl.col("has_qualifying"),
        pl.col("profile_name") == profile.name,
        pl.col("model_version") == MODEL_VERSION_V2,
    )
    state = lake.collect(states.select(STATE_SCHEMA.names()), seen.lake)
    if state.is_empty():
        return pl.DataFrame(schema=ids)
    unseen = frames["entries"].select(
        *ENTRY,
        pace_pct=pl.lit(None, pl.Float64()),
        effective_laps=pl.lit(None, pl.Float64()),
    )
    nobody = pl.DataFrame(schema={**ids, **dict.fromkeys(SEGMENTS, pl.Int32())})
    return rate(
        unseen,
        frames["entries"],
        frames["sessions"],
        nobody,
        state=state,
        constants=profile.rating,
    ).entries


def _head(drive: Drive) -> Line:
    """Say who drove what, and how it was graded."""
    race = drive.frames["sessions"].row(0, named=True)
    of_race = (*SESSION, "season", "round", "session_kind", "event_name", "circuit_name")
    of_entry = (
        "driver_id",
        "driver_code",
        "driver_name",
        "team_id",
        "team_name",
        "grid_position",
        "is_pit_lane_start",
        "position",
        "is_classified",
        "status",
        "status_text",
        "completed_laps",
    )
    of_grade = ("profile_name", "profile_version", "model_version", "data_source")
    trained = drive.profile.provenance
    return {
        **{name: race[name] for name in of_race},
        **{name: drive.entry[name] for name in of_entry},
        **{name: drive.grades[name] for name in of_grade},
        "state_session_id": drive.evidence["state_session_id"],
        "first_training_season": trained.first_season,
        "last_training_season": trained.last_season,
    }
