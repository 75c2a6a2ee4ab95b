"""A server whose disk is full: the load is refused with that reason, and the old rows are there.

The disk is a small one of its own, in memory, which holds a tablespace; only who may mount one can
run this.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from engine.tables import SessionKey
from loaders.embedded import embedded_postgres
from loaders.errors import WarehouseError
from loaders.postgres import connect
from tests.warehouse import dump, load, session_tables, start_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loaders.settings import Settings
    from tests.soak import Figure

HELD: Final = SessionKey(2025, 1)
LONG: Final = SessionKey(2025, 2)
DRIVERS: Final = [f"driver_{number}" for number in range(60)]

FILLS: Final = {
    "tables": (
        "alter table public.lap_times set tablespace small",
        "alter table public.lap_times set tablespace pg_default",
    ),
    "staging": (
        "alter database postgres set temp_tablespaces = small",
        "alter database postgres reset temp_tablespaces",
    ),
}
"""What is put on the small disk, and taken away again."""


@contextmanager
def small_disk(folder: Path, owner: int) -> Iterator[None]:
    """Mount a disk of 1 MiB that is a user's; skips where that is not allowed."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=1m,uid={owner}", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run(settings: Settings, *statements: str) -> None:
    """Run what no transaction may hold."""
    with connect(settings) as connection:
        connection.adbc_connection.set_autocommit(enabled=True)
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@pytest.mark.parametrize("what", FILLS)
def test_a_full_disk_is_named_and_nothing_is_lost(
    settings: Settings, what: str, figure: Figure
) -> None:
    """A09: it is not tried again; once there is room the next load is stored."""
    folder = settings.home / f"small_{what}"
    files = settings.home / "pg"
    with embedded_postgres(files), small_disk(folder, (files / "data").stat().st_uid):
        put, take = FILLS[what]
        run(settings, f"create tablespace small location '{folder}'", put)
        with connect(settings) as connection:
            start_over(connection)
            load(connection, session_tables(HELD), HELD)
            before = dump(connection)
            with pytest.raises(WarehouseError, match="No space left on device") as refusal:
                load(connection, session_tables(LONG, DRIVERS, lap_count=250), LONG)
            assert refusal.value.sqlstate == "53100"
            assert not refusal.value.is_transient
            assert dump(connection) == before
            run(settings, take)
            assert load(connection, session_tables(LONG), LONG).status == "loaded"
        run(settings, "drop tablespace small")
    figure("A09", f"{what} on a full disk: refused, old rows there, the next load is stored")
