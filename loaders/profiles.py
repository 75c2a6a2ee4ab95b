"""Calibration profiles in the warehouse: imported, versioned, and one of them active.

A stored version never changes; another body under the same name becomes the next version, so
that a stored grade can always say what it was computed with.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from pydantic import ValidationError

from engine.errors import ProfileError
from engine.tables import SLUG_PATTERN
from engine.v1.calibration import MODEL_VERSION, CalibrationProfile
from engine.v2.calibration import MODEL_VERSION_V2, CalibrationProfileV2
from loaders import outbox
from loaders.connection import run_file, transaction
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    import polars as pl

    from loaders.connection import Connection

BUNDLED: Final = RESOURCES / "data" / "calibration"
"""Folder of the profiles that come with the project, one JSON file each."""

Profile: TypeAlias = CalibrationProfile | CalibrationProfileV2
"""Constants of one of the models; those of v2 say so in `model_version`."""

DEFAULT: Final = "v2"
"""Profile that is activated when the warehouse has no active one."""

OF_MODEL: Final = {MODEL_VERSION: "baseline", MODEL_VERSION_V2: "v2"}
"""Bundled profile of each model."""


def read_profile(name_or_path: str | Path) -> Profile:
    """Read a profile from a JSON file.

    Args:
        name_or_path: a file, or the name of a bundled profile.

    Raises:
        ProfileError: there is no such file, or it is not a profile.
    """
    path = Path(name_or_path)
    is_name = isinstance(name_or_path, str) and re.fullmatch(SLUG_PATTERN, name_or_path)
    if is_name and not path.is_file():
        path = BUNDLED / f"{name_or_path}.json"
    try:
        return parse_profile(path.read_bytes())
    except ValidationError as error:
        raise ProfileError(f"{path}: {faults(error)}") from None
    except (OSError, ValueError):  # also a name that no file can have
        bundled = ", ".join(path.stem for path in bundled_files()) or "none"
        raise ProfileError(
            f"{name_or_path} cannot be read; name a JSON file or a bundled profile: {bundled}"
        ) from None


def read_v1_profile(name_or_path: str | Path) -> CalibrationProfile:
    """Read a profile of model v1: `read_profile`.

    Raises:
        ProfileError: it is of another model, too.
    """
    profile = read_profile(name_or_path)
    if isinstance(profile, CalibrationProfile):
        return profile
    raise ProfileError(
        f"{name_or_path} has constants of model {profile.model_version}, and only those of model "
        f"{MODEL_VERSION} can be used here; name another profile"
    )


def parse_profile(body: str | bytes) -> Profile:
    """Read a profile from JSON, by the model that it names; without one it is of model v1.

    Raises:
        ValidationError: it is not a profile of that model.
    """
    try:
        is_later = "model_version" in json.loads(body)
    except (ValueError, TypeError):
        is_later = False
    kind = CalibrationProfileV2 if is_later else CalibrationProfile
    return kind.model_validate_json(body)


def model_of(profile: Profile) -> str:
    """Name the model that a profile has the constants of."""
    return MODEL_VERSION if isinstance(profile, CalibrationProfile) else profile.model_version


def bundled_files(folder: Path = BUNDLED) -> list[Path]:
    """List the files of profiles in a folder, by name."""
    return sorted(folder.glob("*.json"))


def import_profile(connection: Connection, profile: Profile) -> tuple[str, int, bool]:
    """Store a profile, unless a version of it with the same constants is stored already.

    Args:
        connection: without an open transaction.
        profile: its own version counts only if it is the first of its name.

    Returns:
        Name, version, and whether it was stored now.

    Raises:
        WarehouseError: the server refused.
    """
    with transaction(connection, f"importing profile {profile.name}"):
        run_file(connection, "statements/lock_profiles")
        return _import(connection, profile)


def activate(connection: Connection, name: str, version: int | None = None) -> tuple[str, int]:
    """Make a stored profile the only active one.

    Args:
        connection: without an open transaction.
        name: what the profile is called.
        version: the newest if None.

    Returns:
        Name and version.

    Raises:
        ProfileError: it is not stored; the text lists what is.
    """
    with transaction(connection, f"activating profile {name}"):
        run_file(connection, "statements/lock_profiles")
        return _activate(connection, name, version)


def list_profiles(connection: Connection) -> pl.DataFrame:
    """List all versions of all profiles: profile_name, profile_version, is_active, created_at."""
    with transaction(connection, "listing profiles"):
        return run_file(connection, "queries/profiles")


def get_profile(connection: Connection, name: str | None = None) -> Profile:
    """Read a profile from the warehouse.

    Args:
        connection: without an open transaction.
        name: the newest version of this profile; None is the active one, whichever version.

    Raises:
        ProfileError: there is none, or what is stored is not a profile of this version.
    """
    with transaction(connection, "reading a profile"):
        if name is None:
            found = run_file(connection, "queries/active_profile")
        else:
            found = run_file(connection, "queries/newest_profile", name)
        if found.is_empty() and name is not None:
            raise _unknown(connection, name)
    if found.is_empty():
        raise ProfileError(
            "no calibration profile is active; choose one with: drivegrade profile activate NAME"
        )
    try:
        return parse_profile(found["body"].item())
    except ValidationError as error:
        raise ProfileError(
            f"the stored profile {name or 'that is active'} cannot be used: {faults(error)}. "
            "Import a corrected one and activate it"
        ) from None


def ensure_profiles(connection: Connection, folder: Path = BUNDLED) -> None:
    """Import what a folder has and the warehouse lacks, and see that one profile is active.

    A choice somebody made is never changed: `DEFAULT` is activated only if nothing is.

    Raises:
        ProfileError: a file is not a profile, or `DEFAULT` is missing and nothing is active.
    """
    profiles = [read_profile(path) for path in bundled_files(folder)]
    with transaction(connection, "importing the bundled profiles"):
        run_file(connection, "statements/lock_profiles")
        for profile in profiles:
            _import(connection, profile)
        if run_file(connection, "queries/active_profile").is_empty():
            _activate(connection, DEFAULT, None)


def _import(connection: Connection, profile: Profile) -> tuple[str, int, bool]:
    body = profile.model_dump_json()
    equal = run_file(connection, "queries/equal_profile", profile.name, body)
    if not equal.is_empty():
        return profile.name, int(equal.item()), False
    stored = run_file(connection, "statements/insert_profile", profile.name, body)
    return profile.name, int(stored.item()), True


def _activate(connection: Connection, name: str, version: int | None) -> tuple[str, int]:
    stored = run_file(connection, "queries/profiles").rows_by_key("profile_name")
    versions = [row[0] for row in stored.get(name, [])]
    if not versions or (version is not None and version not in versions):
        raise _unknown(connection, name if version is None else f"{name} {version}")
    chosen = int(max(versions) if version is None else version)
    run_file(connection, "statements/deactivate_profiles", name, chosen)
    run_file(connection, "statements/activate_profile", name, chosen)
    outbox.record_activation(connection)
    return name, chosen


def _unknown(connection: Connection, wanted: str) -> ProfileError:
    rows = run_file(connection, "queries/profiles").rows()
    known = ", ".join(f"{name} {version}" for name, version, *_ in rows) or "none"
    return ProfileError(
        f"no calibration profile {wanted!r} is stored; there are: {known}. Import a file with: "
        "drivegrade profile import FILE"
    )


def faults(error: ValidationError) -> str:
    """Say what is wrong with a profile, one phrase a field."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}"
        for fault in error.errors()
    )
