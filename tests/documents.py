"""The documents as tests read them: pages, their fences, and the commands in these.

Every shell line and every Python block of README.md and docs/ is run by
`tests/test_docs_commands.py`. What cannot be says so in a comment right above its fence, with the
reason and the test that covers it instead:

    <!-- not run: it serves until it is stopped; tested by test_name, test_other -->

A text block under `<!-- output -->` is what the fence before it prints; `…` stands for anything.
Seasons, rounds and drivers of real races are replaced by those of the bundled weekends.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

SHELL: Final = ("sh", "bash", "shell", "console")
PROGRAMS: Final = (
    *("drivegrade", "make", "python", "python3", "pip", "uv", "marimo", "sphinx-build", "pytest"),
    *("curl", "wget", "docker", "docker-compose", "git", "systemctl", "journalctl", "sudo"),
    *("psql", "pg_dump", "pg_restore", "createdb", "redis-cli", "uvicorn", "rq", "duckdb"),
    *("export", "cd", "cp", "mkdir", "rsync", "tar"),
)
"""What a line of a fence without a language begins with if it is a command."""

NOT_RUN: Final = re.compile(r"<!-- not run: (.+?); tested by (.+?) -->", re.DOTALL)
OUTPUT: Final = "<!-- output -->"
NO_TEST: Final = "nothing"
"""What stands for the test where there is none."""

_FENCE: Final = re.compile(
    r"^(?P<ticks>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=ticks)[ ]*$", re.MULTILINE | re.DOTALL
)
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_YEAR: Final = re.compile(r"(19|20)\d\d")
_CALL_OF_RACE: Final = re.compile(r"\((?!2099)(?:19|20)\d\d, \d{1,2}\b")

SEASON: Final = "2099"
ROUNDS: Final = ("1", "2", "3")
DRIVERS: Final = ("talvane", "fennimar", "quillon")
CODES: Final = ("TAL", "FEN", "QUI")
"""Of the bundled weekends; a code stands for a code, and different drivers stay different."""

REAL_DRIVERS: Final = (
    *("ver", "ham", "nor", "lec", "alo", "pia", "rus"),
    *("max_verstappen", "verstappen", "hamilton", "norris", "leclerc", "alonso", "piastri"),
    "russell",
)
"""Real drivers, by code or name in small letters, that the documents name."""


@dataclass(frozen=True)
class Fence:
    """A block between ticks.

    Attributes:
        page: its file.
        line: number of its first line inside, from 1 on.
        language: what stands after the ticks.
        body: its text.
        reason: why it is not run; None if it is to be run.
        tests: what covers it instead.
        is_output: it is what the fence before prints.
    """

    page: Path
    line: int
    language: str
    body: str
    reason: str | None
    tests: tuple[str, ...]
    is_output: bool

    @property
    def where(self) -> str:
        """Place of the fence, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_program(self) -> bool:
        """Whether it is Python."""
        return self.language in {"python", "py"}

    @property
    def commands(self) -> list[str]:
        """The shell lines, continued ones joined."""
        if self.is_output or self.language not in {"", *SHELL}:
            return []
        lines = [line.strip() for line in self.body.replace("\\\n", " ").splitlines()]
        if any(line.startswith("$ ") for line in lines):
            return [line[2:] for line in lines if line.startswith("$ ")]
        lines = [line for line in lines if line and not line.startswith("#")]
        return lines if self.language else [line for line in lines if program(line) in PROGRAMS]

    @property
    def shown(self) -> str:
        """What a console shows after its commands; empty if it shows nothing."""
        if not any(line.startswith("$ ") for line in self.body.splitlines()):
            return ""
        return "\n".join(line for line in self.body.splitlines() if not line.startswith("$ "))


def program(line: str) -> str:
    """Name the program that a shell line begins with; empty if it is no shell line."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return ""
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    return words[0].removeprefix(".venv/bin/") if words else ""


def fences(page: Path) -> list[Fence]:
    """Take the fences out of a page, each with the comment right above it."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()].rstrip()
        above = before[before.rfind("<!--") :] if before.endswith("-->") else ""
        excuse = NOT_RUN.fullmatch(above)
        named = tuple(name.strip(" `") for name in excuse[2].split(",")) if excuse else ()
        found.append(
            Fence(
                page,
                text.count("\n", 0, match.start("body")) + 1,
                match["info"].strip(),
                match["body"],
                " ".join(excuse[1].split()) if excuse else None,
                named,
                above == OUTPUT,
            )
        )
    return found


def with_bundled_races(words: list[str]) -> list[str]:
    """Replace season, round and driver of a command by those of a bundled weekend."""
    real = list(dict.fromkeys(word for word in words if word.lower() in REAL_DRIVERS))
    made = [_bundled_driver(word, real) for word in words]
    for place, word in enumerate(made):
        if word in {"SEASON", "ROUND"}:
            made[place] = SEASON if word == "SEASON" else ROUNDS[0]
        if not _YEAR.fullmatch(word):
            continue
        made[place] = SEASON
        following = made[place + 1] if place + 1 < len(made) else ""
        if following.isdigit():
            is_known = word == SEASON and following in ROUNDS
            first = "2" if "sprint" in made else ROUNDS[0]
            made[place + 1] = following if is_known else first
    return made


def with_bundled_url(url: str) -> str:
    """Replace season, round and drivers in the path and query of a URL."""
    address, mark, query = url.partition("?")
    path = "/".join(with_bundled_races(address.split("/")))
    parts = [part.partition("=") for part in query.split("&")]
    values = with_bundled_races([value for _, _, value in parts])
    named = (f"{name}{sign}{value}" for (name, sign, _), value in zip(parts, values, strict=True))
    return path + mark + "&".join(named)


def with_bundled_calls(code: str) -> str:
    """Replace season and round of calls like ``load_race(2023, 10)`` by those of a weekend."""
    return _CALL_OF_RACE.sub(f"({SEASON}, {ROUNDS[0]}", code)


def _bundled_driver(word: str, real: list[str]) -> str:
    if word not in real:
        return word
    return (CODES if word.isupper() else DRIVERS)[real.index(word) % len(DRIVERS)]
