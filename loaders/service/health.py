"""Whether the service can answer: its database, the database's schema, and how far behind it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from loaders.connection import run_file, transaction
from loaders.errors import WarehouseError
from loaders.migrations import FOLDER
from loaders.service.faults import ApiError

if TYPE_CHECKING:
    from loaders.connection import Connection
    from loaders.service.service import Service

MAX_OUTBOX_AGE_S: Final = 600.0
"""The reconciler runs every five minutes; what has waited for twice that is not being handled."""

OUTBOX_DELAYED: Final = "outbox_delayed"
"""Told, but no reason to be taken out of service: a key names its version, so no answer is old."""

UNDEFINED_TABLE: Final = "42P01"
"""SQLSTATE of a database without any schema."""


async def readiness(service: Service) -> tuple[bool, bytes]:
    """Find out whether the service is ready.

    Returns:
        Whether it is, and the answer: the status, and the reasons by name, nothing else.
    """
    try:
        reasons = await service.flights.fly("readiness", lambda: service.database.run(_reasons))
        if service.cache is None:  # nobody is to be told of changes
            reasons = [reason for reason in reasons if reason != OUTBOX_DELAYED]
    except ApiError:
        reasons = ["database_unavailable"]
    is_ready = set(reasons) <= {OUTBOX_DELAYED}
    status = "ready" if is_ready else "not_ready"
    return is_ready, json.dumps({"status": status, "reasons": reasons}).encode()


def _reasons(connection: Connection) -> list[str]:
    known = {path.stem for path in FOLDER.glob("*.sql")}
    try:
        with transaction(connection, "reading the migrations"):
            applied = set(run_file(connection, "api/migrations")["migration_id"])
            if known - applied:
                return ["migrations_pending"]
            age_s = run_file(connection, "api/outbox_age").item()
    except WarehouseError as error:
        if error.sqlstate == UNDEFINED_TABLE:
            return ["migrations_pending"]
        raise
    return [OUTBOX_DELAYED] if age_s is not None and age_s > MAX_OUTBOX_AGE_S else []
