"""What the documents promise exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TRAPS = (ROOT / "docs" / "traps.md").read_text(encoding="utf-8")


def defined_tests() -> set[str]:
    """Names of all test functions."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return found


def test_every_trap_is_listed_once() -> None:
    """Sixty-three, numbered in order."""
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", TRAPS, re.MULTILINE)]
    assert numbers == list(range(1, 64))


def test_every_named_test_exists() -> None:
    """A renamed test takes its place in the table along."""
    named = set(re.findall(r"`(test_\w+)`", TRAPS))
    assert named - defined_tests() == set()


def test_every_trap_has_a_test_or_is_called_open() -> None:
    """No row is a promise without proof."""
    for row in re.findall(r"^\| \d+ \|.*$", TRAPS, re.MULTILINE):
        assert "`test_" in row or "open" in row, row
