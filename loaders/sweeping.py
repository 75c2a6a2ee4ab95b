"""Sweeping: freeing sessions whose loader neither works nor ends.

Locks end with their transaction, and transactions with their process or its connection. Only a
client that was frozen in the middle of sending rows keeps its transaction for ever: none of the
server's limits applies while it waits for the rest. Such holders can be listed and ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loaders.connection import open_connection, run_file, transaction, warehouse_address

if TYPE_CHECKING:
    import polars as pl

    from loaders.settings import Settings

OLDER_THAN_S: Final = 300.0
"""A session's load ends within this time or is ended by the server; a bulk load may take longer."""


def sweep(
    settings: Settings, *, older_than_s: float = OLDER_THAN_S, is_terminating: bool = False
) -> pl.DataFrame:
    """List who has held the locks of sessions for long, and end them if told to.

    Args:
        settings: where the warehouse is.
        older_than_s: only transactions that began longer ago, s.
        is_terminating: end their server processes. What they have not committed is undone, and
            a client that comes back to life is told that its connection is gone.

    Returns:
        One row per holder, the oldest first: `pid` (of the server's process),
        `application_name`, `sessions` (ids, separated by blanks), `started_at`, `held_s`,
        `state` and `waits_for` as PostgreSQL tells them, `is_terminated`.

    Raises:
        WarehouseError: the server cannot be reached, or does not let this user end the holder.
    """
    with (
        warehouse_address(settings) as address,
        open_connection(address, "drivegrade db sweep") as connection,
        transaction(connection, "sweeping for holders of sessions"),
    ):
        return run_file(connection, "queries/holders", older_than_s, is_terminating)
