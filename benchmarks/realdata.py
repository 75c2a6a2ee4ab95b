"""Where the real data lies that figures are measured on."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def folder() -> Path:
    """Give the folder `DRIVEGRADE_REALDATA` names, or end with what to do."""
    named = os.environ.get("DRIVEGRADE_REALDATA")
    if not named or not Path(named).is_dir():
        sys.exit("set DRIVEGRADE_REALDATA to the folder with the real races")
    return Path(named)
