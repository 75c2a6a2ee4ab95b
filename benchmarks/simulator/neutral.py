"""Neutralizations: yellow flags, the safety car, the virtual safety car, the red flag."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from benchmarks.simulator.cars import Visit, fitting_compound
from benchmarks.simulator.control import CLEAR, RED, SAFETY_CAR, SECTORS, VSC, VSC_ENDING, YELLOW

if TYPE_CHECKING:
    from benchmarks.simulator.cars import Car
    from benchmarks.simulator.race import Race
    from benchmarks.simulator.world import Neutralization

PACE_FACTOR: Final = {CLEAR: 1.0, SAFETY_CAR: 1.55, RED: 1.60, VSC: 1.35}
"""Lap time against racing pace under each track status; the others leave it as it is."""

CATCH_UP_FACTOR: Final = 1.25
"""Lap time against racing pace of a car that still has to catch the safety car's queue."""

QUEUE_GAP_S: Final = (0.9, 1.5)
"""Distance kept in that queue, in seconds."""

EARLY_STOP_LAPS: Final = 12
EARLY_STOP_CHANCE: Final = {SAFETY_CAR: 0.8, VSC: 0.5}
"""A stop planned within so many laps is made under a neutralization, so often."""

COMMITTED: Final = 0.15
"""A car with less than this share of its lap left can no longer turn into the pits."""

RESTART_SLOT_S: Final = 1.0
"""Distance between cars that leave the pits after a red flag, in seconds."""

YELLOW_S: Final = 50.0
"""How long a yellow flag stays out, in seconds."""

CALL_S: Final = 12.0
"""From the yellow flag to the safety car, the virtual one or the red flag, in seconds."""

VSC_ENDING_S: Final = 11.0
"""How long "VSC ending" shows before racing resumes, in seconds."""

RESUME_NOTICE_S: Final = 600.0
"""How long before a resumption it is announced, in seconds."""
