"""One embedded server for all tests of the warehouse, and the command line as a call."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from loaders.__main__ import main
from tests.warehouse import temporary_warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loaders.settings import Settings

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def warehouse_settings() -> Iterator[Settings]:
    """Settings of an embedded server that runs as long as the tests do."""
    with temporary_warehouse() as settings:
        yield settings


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run `drivegrade …` against the module's own home: exit code, output, errors."""
    monkeypatch.setenv("DRIVEGRADE_HOME", str(settings.home))
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["drivegrade", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return call
