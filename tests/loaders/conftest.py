"""One embedded server for all tests of the warehouse; each test empties it first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.warehouse import temporary_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loaders.settings import Settings


@pytest.fixture(scope="session")
def warehouse_settings() -> Iterator[Settings]:
    """Settings of an embedded server that runs as long as the tests do."""
    with temporary_warehouse() as settings:
        yield settings
