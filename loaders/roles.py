"""The roles of the database: who may change its shape, who its rows, and who may only read.

    drivegrade_migrate    owns schemas and tables; applies migrations
    drivegrade_ingest     reads everything, writes rows; adds to the record of loads, never edits it
    drivegrade_api        reads sessions, grades and profiles, within limits

A role is of the whole server, and making one needs more rights than a migration has; so they are
made by a command of their own, `drivegrade db roles`, not by a migration. It can be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loaders import postgres
from loaders.connection import run_file, transaction

if TYPE_CHECKING:
    import polars as pl

    from loaders.settings import Settings

FILES: Final = ("create", "migrate", "ingest", "api")
"""Files of `sql/roles` in the order in which they are run, all in one transaction."""


def grant_roles(settings: Settings) -> pl.DataFrame:
    """Make the roles where they are missing, and give each exactly its rights.

    Args:
        settings: `DATABASE_URL` of a superuser, or of the tables' owner who may create roles; or
            the embedded server.

    Returns:
        One row per role: `role_name`, and the number of tables it `owns`, `reads` and `writes`.

    Raises:
        WarehouseError: migrations are missing, or the server refused; nothing was changed.
    """
    with (
        postgres.connect(settings) as connection,
        transaction(connection, "making the roles"),
    ):
        for file in FILES:
            run_file(connection, f"roles/{file}")
        return run_file(connection, "roles/granted")
