"""Errors of the warehouse that a user can act on."""

from __future__ import annotations

from typing import Final

from engine.errors import DriveGradeError

_TRANSIENT_SQLSTATES: Final = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03"})
"""Serialization failure, dead-lock, lock time-out, and three ways of a server to shut down."""

_CONNECTION_EXCEPTION: Final = "08"
"""SQLSTATE class of a connection that could not be made or was lost."""


class WarehouseError(DriveGradeError):
    """PostgreSQL could not be reached or refused a statement; nothing of the batch was stored.

    Attributes:
        sqlstate: PostgreSQL's five-character code; None if the server could not answer.
        is_transient: the same call may succeed later. Everything here may be called again:
            loading twice what was already stored changes nothing.
    """

    exit_code = 7

    def __init__(
        self, message: str, *, sqlstate: str | None = None, is_transient: bool = False
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.is_transient = is_transient or is_retriable(sqlstate)


class SessionBusyError(WarehouseError):
    """Another process is loading the same session; the text says which and since when."""

    exit_code = 6


def is_retriable(sqlstate: str | None) -> bool:
    """Tell whether PostgreSQL's code stands for a condition that passes by itself."""
    return sqlstate is not None and (
        sqlstate in _TRANSIENT_SQLSTATES or sqlstate.startswith(_CONNECTION_EXCEPTION)
    )
