"""Optional libraries: a missing one is an error that names the extra which brings it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import DriveGradeError

if TYPE_CHECKING:
    from collections.abc import Iterator


class MissingExtraError(DriveGradeError):
    """A library of an extra is not installed; the text says how to install it."""

    exit_code = 12


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Guard the import of an extra's libraries, done inside the block.

    Args:
        name: an extra of pyproject.toml.

    Raises:
        MissingExtraError: one of them is not installed. Another module that is missing is told
            as Python tells it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("engine", "loaders"):
            raise
        raise MissingExtraError(
            f"this needs {error.name}, which is not installed. Install it with: "
            f"pip install 'drive-grade[{name}]'"
        ) from None
