"""What `docs/reliability.md` promises is held by tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")

ROWS = re.findall(r"^\| (P\d+) \|(.*)$", PAGE, re.MULTILINE)


def test_every_promise_is_listed_once() -> None:
    """Twenty-four, in order."""
    assert [name for name, _ in ROWS] == [f"P{number}" for number in range(1, 25)]


def test_every_promise_has_a_test_that_exists() -> None:
    """A test that is renamed or moved takes its place in the table along."""
    files = {path.name: path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    for promise, row in ROWS:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named, promise
        assert len(named) == row.count("::"), promise
        for file, test in named:
            assert re.search(rf"^def {test}\(", files[file], re.MULTILINE), (promise, file, test)


def test_every_module_that_keeps_a_promise_exists() -> None:
    """The table leads to the code."""
    for module in re.findall(r"`((?:loaders|engine)(?:\.\w+)+)`", PAGE):
        path = ROOT / module.replace(".", "/")
        owner = path.parent.with_suffix(".py")
        is_module = path.is_dir() or path.with_suffix(".py").is_file()
        assert is_module or f"def {path.name}(" in owner.read_text("utf-8"), module
    for folder in re.findall(r"`(sql/\w+)`", PAGE):
        assert (ROOT / folder).is_dir(), folder
