"""Files that are on the disk when it is said that they are.

A file is written under a hidden name, brought to the disk, and renamed; a name is on the disk when
its folder is brought there too, which is left to the caller, so that many files cost one `sync`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

UNFINISHED: Final = ".{name}.unfinished"
"""Name under which a file is written."""


def write_file(path: Path, content: bytes) -> None:
    """Put a file in its place, whole; its folder must exist, and be synced by the caller.

    Raises:
        OSError: the disk refused; nothing of the file is left, and its old content is.
    """
    unfinished = path.with_name(UNFINISHED.format(name=path.name))
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):  # a disk that refuses everything; whoever sweeps finds it
            unfinished.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def make_folder(folder: Path) -> set[Path]:
    """Make a folder and its parents; give the folders that have a new name in them, to sync."""
    if folder.is_dir():
        return set()
    changed = make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    return changed | {folder.parent}


def sync(folder: Path) -> None:
    """Bring the names in a folder to the disk.

    Raises:
        OSError: the disk refused; it names the folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        os.close(descriptor)
