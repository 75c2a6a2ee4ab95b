"""How large the reliability tests are, from which seed they draw, and what they found."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Figure = Callable[[str, object], None]

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
