"""The process that runs FastF1: started, watched, killed at its limit, and read."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from loaders.providers import ProviderError
from loaders.quarantine import remember

if TYPE_CHECKING:
    from engine.tables import SessionKey
    from loaders.settings import Settings

_CHILD: Final = "loaders.providers.fastf1_child"
SHOWN_MESSAGES: Final = 5
"""How many of FastF1's first, and of its last, different messages an error repeats."""


def ask_child(session: SessionKey, settings: Settings, folder: Path) -> dict[str, pl.DataFrame]:
    """Run FastF1 in a process of its own and read the raw tables it left in the folder.

    Args:
        session: which session.
        settings: cache folder, offline switch and wall-clock limit (s).
        folder: empty, private; the process writes its tables and its log there.

    Returns:
        The raw tables of `fastf1_raw.RAW` by name.

    Raises:
        ProviderError: the process said why there is no session, died, or was killed.
    """
    cache = settings.fastf1_cache_dir or settings.home / "fastf1-cache"
    request = {
        **session._asdict(),
        "cache": str(cache.expanduser().absolute()),
        "answer": str(folder),
        "offline": settings.offline,
        "limit_s": settings.fastf1_timeout_s,
    }
    log, failure = folder / "log.txt", folder / "failure.json"
    cause = f"no answer within {settings.fastf1_timeout_s:g} s, the child process was killed"
    remedy = "Check the network, or raise DRIVEGRADE_FASTF1_TIMEOUT_S."
    with contextlib.suppress(subprocess.TimeoutExpired), log.open("wb") as out:
        child = subprocess.run(  # noqa: S603 -- our interpreter, our module, no shell
            [sys.executable, "-W", "ignore", "-m", _CHILD, json.dumps(request)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=settings.fastf1_timeout_s,
            cwd=Path(__file__).resolve().parents[2],  # where the child finds this `loaders`
            env={name: text for name, text in os.environ.items() if name != "FASTF1_DEBUG"},
            check=False,
        )
        if child.returncode == 0 and not failure.exists():
            files = sorted(folder.glob("*.arrow"))
            return {f.stem: pl.read_ipc(remember(f.name, f.read_bytes())) for f in files}
        cause = f"the child process died (exit code {child.returncode})"
        remedy = "If it happens again, delete the session's folder in FastF1's cache."
    if failure.exists():
        cause, remedy = json.loads(failure.read_text(encoding="utf-8"))
    text = log.read_text(encoding="utf-8", errors="replace")
    said = list(dict.fromkeys(f"\n    {line[:200]}" for line in text.splitlines() if line.strip()))
    shown = [*said[:SHOWN_MESSAGES], *said[SHOWN_MESSAGES:][-SHOWN_MESSAGES:]]
    raise ProviderError(
        f"fastf1 {session.session_id}: {cause}."
        + "".join(["\n  FastF1's first and last messages:", *shown] if shown else [])
        + f"\nNothing was loaded. {remedy}"
    )
