"""How large the reliability tests are, from which seed they draw, and what they found."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Figure = Callable[[str, object], None]

T = TypeVar("T")

IS_SOAK: Final = os.environ.get("DRIVEGRADE_SOAK") == "1"
"""Whether the long sets run: `make soak`."""

SEED: Final = int(os.environ.get("DRIVEGRADE_SEED", "20261122"))
"""What all chance in these tests comes from; a failing run is replayed with the same one."""


def runs(usual: int, soak: int) -> int:
    """Choose how often something is tried."""
    return soak if IS_SOAK else usual


def chance(name: str) -> random.Random:
    """Give a test its own source of chance, the same in every run with the same seed."""
    return random.Random(f"{SEED} {name}")  # noqa: S311 - no secret hangs on it


def some(cases: Sequence[T], usual: int) -> Sequence[T]:
    """Choose the first of the cases that something is tried with; all of them in a soak."""
    return cases if IS_SOAK else cases[:usual]
