"""Commands typed in this process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

if TYPE_CHECKING:
    from typer import Typer
    from typer.testing import Result

_built = cache(get_command)


class Typist(CliRunner):
    """Types commands; their tree is built once, and not again for each that is typed."""

    def invoke(self, app: Typer, *arguments: Any, **named: Any) -> Result:
        """Run a command: what it prints and how it ends."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("typer.testing._get_command", _built)
            return super().invoke(app, *arguments, **named)
