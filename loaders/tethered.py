"""The command line in a process that ends with the one that started it.

`python -m loaders.tethered …` is `python -m loaders …` with its standard input as a tether: who
started it holds the other end and writes nothing. When that end closes, however its holder ended,
the process and all of its group are killed, so that no ingest goes on for a worker that is gone.
On Linux the kernel is asked to end it too, for a driver may keep the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Final

from loaders.__main__ import main

_PR_SET_PDEATHSIG: Final = 1
"""`prctl`: the signal to be sent when the thread that started this process ends."""


def _end_with_holder() -> None:
    """Wait until the other end is closed, then kill the group."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main_tethered() -> None:
    """Run the command line until it ends, or until its holder does.

    Raises:
        RuntimeError: it does not lead a group of its own, and would kill others with it.
    """
    if os.getpgrp() != os.getpid():
        raise RuntimeError("a tethered command must be started in a process group of its own")
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with_holder, daemon=True).start()
    main()


if __name__ == "__main__":
    main_tethered()
