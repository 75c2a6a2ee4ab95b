"""What README.md and docs/ say to type is typed here, on the bundled weekends.

How a page says that a command cannot be run stands in `tests/documents.py`.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import warnings
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import AliasChoices

from engine.tables import SessionKey
from loaders import administration, dictionary, lake, postgres
from loaders import library as dg
from loaders.__main__ import app
from loaders.one_file_tables import TARGETS
from loaders.settings import Settings
from tests.documents import (
    NO_TEST,
    NOT_RUN,
    PAGES,
    ROOT,
    Fence,
    fences,
    program,
    with_bundled_calls,
    with_bundled_races,
    with_bundled_url,
)
from tests.real_races import copy_cache
from tests.soak import IS_SOAK
from tests.typed import Typist
from tests.warehouse import ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH: Final = "100"
LEAST_COMMANDS: Final = 25
"""Fewer in all pages together mean that they are not found any more."""

LARGEST_SHARE_NOT_RUN: Final = 0.5
UNTESTED: Final = 6
"""Fences that nothing covers, at most."""

LASTING: Final = ("serve", "worker", "--loop")
"""What makes a command last until it is ended: its options are read and nothing more, with
`--help`. That it does its work is for the tests of the service and the queue."""

DRAWN: Final[set[str]] = set()
"""Kinds of pictures that a page had drawn: what else is asked for is read like a lasting command,
but in a soak. Each picture is the same work again."""

OPERATORS: Final = frozenset(("|", ">", ">>", "<", "&", "&&", "||", ";"))

REMEDY: Final = (
    "Write it so that it runs on the bundled weekends (tests/documents.py says what is replaced), "
    "or say above its fence why not, and what covers it:\n"
    "  <!-- not run: REASON; tested by test_NAME -->"
)

COLUMNS: Final = """
select attrelid::regclass::text || '.' || attname as place
from pg_attribute
join pg_class on pg_class.oid = attrelid
where attnum > 0 and not attisdropped and relkind = 'r'
"""

EVERY: Final = [fence for page in PAGES for fence in fences(page)]
RUNNABLE: Final = [page for page in PAGES if any(f.commands or f.is_program for f in fences(page))]


@pytest.fixture(scope="module")
def home(settings: Settings) -> Iterator[Settings]:
    """The home of somebody who began with `make demo`, and whose only source that is."""
    with pytest.MonkeyPatch.context() as patch:
        for field in Settings.model_fields.values():
            assert isinstance(field.validation_alias, AliasChoices)
            patch.delenv(str(field.validation_alias.choices[0]), raising=False)
        patch.setenv("DRIVEGRADE_HOME", str(settings.home))
        patch.setenv("DRIVEGRADE_PROVIDERS", "simulated")
        patch.setenv("DRIVEGRADE_OFFLINE", "1")
        patch.setenv("COLUMNS", WIDTH)
        patch.chdir(settings.home)  # where a page may call the lake "lake"
        demo(settings.home)
        shutil.copytree(settings.lake, settings.home / "first")
        yield settings


@cache
def demo(home: Path) -> str:
    """Type `drivegrade demo`, once in a home however often pages do: what it prints."""
    code, said = drivegrade(["demo"], {})
    assert code == 0, f"{home}: {said}"
    return said


def drivegrade(words: list[str], variables: dict[str, str]) -> tuple[int, str]:
    """Run `drivegrade …`: exit code and all it prints."""
    done = Typist().invoke(app, words, env=variables)
    if isinstance(done.exception, dg.DriveGradeError):
        return done.exception.exit_code, f"{done.output}{done.exception}"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


class Reader:
    """Somebody who types what a page says, line after line.

    Attributes:
        said: what the last fence printed.
    """

    def __init__(self) -> None:
        self.said = ""
        self._variables: dict[str, str] = {}
        self._names: dict[str, Any] = {"__name__": "page"}

    def follow(self, fence: Fence) -> None:
        """Run a fence, or compare it with what was printed."""
        if fence.is_output:
            assert_shown(fence, fence.body, self.said)
        elif fence.reason is None and fence.is_program:
            self.said = self._program(fence)
        elif fence.reason is None and fence.commands:
            self.said = "".join(self._command(fence, line) for line in fence.commands)
            assert_shown(fence, fence.shown, self.said)

    def _program(self, fence: Fence) -> str:
        """Run Python, after what the page ran before."""
        printed = io.StringIO()
        code = compile(with_bundled_calls(fence.body), fence.where, "exec")
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.NothingKnownWarning)
            exec(code, self._names)  # noqa: S102 - our own page
        return printed.getvalue()

    def _command(self, fence: Fence, line: str) -> str:
        """Run a shell line: what it prints."""
        words = shlex.split(line, comments=True)
        where = f"{fence.where}: {line}"
        variables = dict(self._variables)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            variables[name] = value
        if words[0] == "export":
            for word in words[1:]:
                name, _, value = word.partition("=")
                self._variables[name] = value
            return ""
        assert not OPERATORS & set(words), f"{where}\nhas an operator of the shell. {REMEDY}"
        if words == ["drivegrade", "demo"]:
            return demo(Settings().home)
        if program(line) == "drivegrade":
            is_read_only = any(word in LASTING for word in words) or is_drawn_already(words)
            asked_for = [*with_bundled_races(words[1:]), *["--help"] * is_read_only]
            code, said = drivegrade(asked_for, variables)
            assert code == 0, f"{where}\nends with {code}: {said}\n{REMEDY}"
            return said
        if words[:2] == ["pip", "install"]:
            return installed(where, words[2:])
        if words[0] == "curl":
            return asked(where, words[1:])
        assert words[0] == "make", f"{where}\nis not known here. {REMEDY}"
        return made(where, words[1:])


def is_drawn_already(words: list[str]) -> bool:
    """Tell whether a command draws a kind of picture that was drawn before; never in a soak."""
    if IS_SOAK or words[1] != "plot":
        return False
    is_known = words[2] in DRAWN
    DRAWN.add(words[2])
    return is_known


def made(where: str, targets: list[str]) -> str:
    """Ask `make` what it would do; each command of ours among that is one that runs here."""
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", *targets],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{where}\n{done.stderr}"
    return done.stdout


def installed(where: str, wanted: list[str]) -> str:
    """See that what is to be installed is this project, with extras that it has."""
    declared = metadata.metadata("drive-grade").get_all("Provides-Extra") or []
    for requirement in wanted:
        found = re.fullmatch(r"drive-grade\[([\w,]+)\]", requirement)
        assert found is not None, f"{where}\nis not this project with an extra. {REMEDY}"
        assert set(found[1].split(",")) <= set(declared), f"{where}\nnames no extra of {declared}"
    return ""


def asked(where: str, words: list[str]) -> str:
    """Ask the API, in this process, what `curl` would ask: the body, or with -i all of it."""
    from fastapi.testclient import TestClient  # noqa: PLC0415 - only where a page asks

    from loaders.service.app import create_app  # noqa: PLC0415 - the same

    headers = [words[place + 1] for place, word in enumerate(words[:-1]) if word == "-H"]
    urls = [with_bundled_url(word) for word in words if word.startswith("http")]
    assert len(urls) == 1, f"{where}\nasks {len(urls)} addresses. {REMEDY}"
    with TestClient(create_app(Settings()), base_url="/".join(urls[0].split("/")[:3])) as client:
        answer = client.get(urls[0], headers=[tuple(one.split(": ", 1)) for one in headers])
    assert answer.status_code < 400, f"{where}\n{answer.status_code} {answer.text}\n{REMEDY}"
    lines = [f"HTTP/1.1 {answer.status_code}", *(f"{k}: {v}" for k, v in answer.headers.items())]
    head = "\n".join(lines) + "\n\n" if {"-i", "-si"} & set(words) else ""
    return f"{head}{answer.text}\n"


def assert_shown(fence: Fence, expected: str, said: str) -> None:
    """What a page shows is what is printed, spaces aside; `…` stands for anything."""
    parts = [re.escape(" ".join(part.split())) for part in expected.split("…")]
    found = " ".join(said.split())
    assert re.search(".*?".join(parts), found), (
        f"{fence.where} shows\n{expected}\nbut this is printed:\n{said}"
    )


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_says_to_type_runs(home: Settings, page: Path) -> None:
    """In the order of the page; what is printed is what it shows. Each begins with that lake."""
    shutil.rmtree(home.lake)
    shutil.copytree(home.home / "first", home.lake)
    reader = Reader()
    for fence in fences(page):
        reader.follow(fence)


@pytest.mark.realdata
def test_the_first_real_race_of_the_readme(
    home: Settings, realdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands there, replaced by nothing, from FastF1's recorded answers."""
    copy_cache(realdata, tmp_path, SessionKey(2025, 1))
    monkeypatch.setenv("FASTF1_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("DRIVEGRADE_PROVIDERS", "fastf1")
    lines = [line for fence in fences(PAGES[0]) for line in fence.commands if " 2025 1" in line]
    said = []
    for line in lines:
        code, text = drivegrade(shlex.split(line, comments=True)[1:], {})
        assert code == 0, f"{line}\n{text}"
        said.append(text)
    assert len(said) == 4
    assert "2025-1 from fastf1: 20 drivers graded" in said[0]
    assert "Australian Grand Prix 2025" in said[1]
    assert "Lando Norris, McLaren" in said[2]
    assert "report.html: Australian Grand Prix 2025" in said[3]


def defined_tests() -> set[str]:
    """Names of all test functions and test files."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= {path.stem, *re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)}
    return found


def test_what_is_not_run_has_a_reason_that_holds() -> None:
    """It stands above commands, names tests that there are, and is not the rule."""
    excused = [fence for fence in EVERY if fence.reason is not None]
    known = defined_tests()
    for fence in excused:
        assert fence.commands or fence.is_program, f"{fence.where}: there is nothing to run"
        unknown = set(fence.tests) - known - {NO_TEST}
        assert not unknown, f"{fence.where}: no test {', '.join(unknown)}"
    written = sum(len(NOT_RUN.findall(page.read_text(encoding="utf-8"))) for page in PAGES)
    assert written == len(excused), "a comment <!-- not run … --> stands above no fence"
    assert sum(fence.tests == (NO_TEST,) for fence in excused) <= UNTESTED
    left = sum(len(fence.commands) for fence in excused)
    every = sum(len(fence.commands) for fence in EVERY)
    assert every >= LEAST_COMMANDS
    assert left / every <= LARGEST_SHARE_NOT_RUN


def test_make_has_the_targets_that_pages_name() -> None:
    """`make demo` is the command that all other pages begin with."""
    assert "drivegrade demo" in made("README.md", ["demo"])
    named = {
        word
        for fence in EVERY
        for line in fence.commands
        if program(line) == "make"
        for word in shlex.split(line, comments=True)[1:]
        if "=" not in word
    }
    assert {"demo", "test"} <= named
    for target in named:
        made("a page", [target])


def test_the_library_gives_what_the_commands_stored(home: Settings) -> None:
    """Five lines, PostgreSQL and lake agree to the last bit."""
    race = dg.load_race(2099, 3)
    computed = dg.evidence(race)
    assert computed["grade_evidence"]["state_session_id"].unique().to_list() == ["2099-2"]
    stored = administration.read_grades(home, 2099, 3, "race").filter(profile_name="v2")
    numbers = [
        *("driver_id", "grade", "grade_low", "grade_high", "total_grade"),
        *("consistency_score", "racecraft_score", "penalty_score"),
    ]
    assert_frame_equal(
        computed["driver_metrics"].select(numbers),
        stored.sort("driver_id").select(numbers),
        check_exact=True,
    )
    in_lake = lake.read_session(home.lake, race.session)
    for name, frame in computed.items():
        is_ours = pl.col("profile_name") == "v2" if "profile_name" in frame.columns else True
        assert_frame_equal(frame, in_lake[name].filter(is_ours), check_exact=True)


def test_the_dictionary_names_columns_that_exist(home: Settings) -> None:
    """Every place in PostgreSQL that it tells is in the migrated database."""
    with postgres.connect(home) as connection:
        there = set(ask(connection, COLUMNS)["place"])
    told = [facts.postgresql for facts in dictionary.columns() if facts.postgresql]
    assert len(told) > len(TARGETS)
    assert {place.removeprefix("public.") for place in told} - there == set()
    tables = {place.rpartition(".")[0] for place in there}
    assert {n.removeprefix("public.") for n in dictionary.only_in_postgresql()} <= tables
