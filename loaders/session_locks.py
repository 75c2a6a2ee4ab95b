"""Locks of sessions: one process at a time loads a session, and others are told who does.

A lock is never waited for. It ends with its transaction, however that ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loaders.connection import run_file
from loaders.errors import SessionBusyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.tables import SessionKey
    from loaders.connection import Connection


def lock_sessions(connection: Connection, sessions: Iterable[SessionKey]) -> None:
    """Keep other loads of the sessions out until the transaction ends.

    Raises:
        SessionBusyError: one is under way.
    """
    wanted = " ".join(sorted(session.session_id for session in sessions))
    busy = run_file(connection, "queries/lock_session", wanted).to_series().to_list()
    if not busy:
        return
    holders = run_file(connection, "queries/lock_holder", busy[0]).to_dicts()
    who = "another process, which has just ended"
    if holders:
        holder = holders[0]
        since = holder["started_at"]  # hidden from a role that is not the holder's
        when = f"since {since:%Y-%m-%d %H:%M:%S} UTC" if since else "as another role"
        who = (
            f"{holder['application_name'] or 'an unnamed program'} (server process "
            f"{holder['pid']}) {when}"
        )
    more = f", and {len(busy) - 1} more are" if len(busy) > 1 else ""
    raise SessionBusyError(
        f"{busy[0]} is being loaded by {who}{more}. Nothing was changed; try again when it has "
        "ended",
        is_transient=True,
    )
