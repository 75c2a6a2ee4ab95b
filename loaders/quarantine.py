"""Quarantine: what a provider sent of a session that was refused, kept byte for byte.

    $DRIVEGRADE_HOME/quarantine/<session_id>/<time>-<provider>/reason.txt, 001-laps.json, …

While a provider works inside `watching`, whatever receives bytes calls `remember`. If the rows
break a contract, the bytes and the reason are written; otherwise they are forgotten.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from engine.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.tables import SessionKey

_received: ContextVar[list[tuple[str, bytes]] | None] = ContextVar("received", default=None)

MAX_NAME: Final = 60
"""Characters of a file's name that are taken from what it holds."""


def remember(name: str, content: bytes) -> bytes:
    """Note bytes as they came in, under a name that says what they are, and pass them on."""
    received = _received.get()
    if received is not None:
        received.append((name, content))
    return content


@contextmanager
def watching(folder: Path, session: SessionKey, provider: str) -> Iterator[None]:
    """Keep what comes in meanwhile if the session breaks a contract.

    Args:
        folder: the quarantine.
        session: which session is being fetched.
        provider: from whom.

    Raises:
        ContractError: the one that was raised inside, with the place of the bytes added.
    """
    received: list[tuple[str, bytes]] = []
    token = _received.set(received)
    try:
        yield
    except ContractError as error:
        place = _keep(folder, session, provider, str(error), received)
        raise ContractError(f"{error}\nWhat {provider} sent is kept in {place}") from error
    finally:
        _received.reset(token)


def _keep(
    folder: Path,
    session: SessionKey,
    provider: str,
    reason: str,
    received: list[tuple[str, bytes]],
) -> Path:
    """Write the bytes, then the reason; a folder without a reason is unfinished."""
    now = datetime.now(UTC)
    place = folder / session.session_id / f"{now:%Y%m%dT%H%M%S.%f}-{provider}"
    place.mkdir(parents=True, mode=0o700)
    for number, (name, content) in enumerate(received, start=1):
        plain = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[-MAX_NAME:]
        (place / f"{number:03d}-{plain or 'bytes'}").write_bytes(content)
    (place / "reason.txt").write_text(reason + "\n", encoding="utf-8")
    return place
