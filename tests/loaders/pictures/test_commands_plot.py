"""The command: files of both formats, and errors that say what to do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from loaders.__main__ import app
from tests.loaders.pictures.conftest import STILL
from tests.soak import runs
from tests.typed import Typist

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def home(drawn_lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the drawn lake."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(drawn_lake, folder / "lake")
    return folder


def plot(home: Path, *arguments: str) -> tuple[int, str]:
    """Run the command; its exit code and what it said."""
    done = Typist().invoke(app, ["plot", *arguments], env={"DRIVEGRADE_HOME": str(home)})
    told = " ".join(f"{done.exception} {done.output}".replace("│", " ").split())
    return getattr(done.exception, "exit_code", done.exit_code), told


@pytest.mark.parametrize(
    ("arguments", "ending", "starts"),
    [
        (("trend", "driver_a", "driver_b", "--from", "1960", "--to", "1960"), "svg", b"<svg"),
        (("plane", "1960"), "png", b"\x89PNG"),
    ],
)
def test_a_picture_is_written_in_the_format_of_its_name(
    home: Path, tmp_path: Path, arguments: tuple[str, ...], ending: str, starts: bytes
) -> None:
    """The file is there, whole, and nothing beside it."""
    file = tmp_path / f"picture.{ending}"
    code, told = plot(home, *arguments, "--scale", "1", "-o", str(file))
    assert (code, str(file) in told) == (0, True), told
    assert file.read_bytes().startswith(starts)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("season", "1999"), 1, "no race of 1999; it has those of 1960 to 1980"),
        (("season", "1960", "--session", "sprint"), 1, "no sprint of 1960; it has those of none"),
        (("season", "1960", "--session", "test"), 2, "is none of race, sprint"),
        (
            ("components", "1960", "39"),
            1,
            "no session 1960-39. Bring it in with: drivegrade ingest",
        ),
        (("laps", "1960", "39", "--session", "sprint"), 1, "ingest 1960 39 --session sprint"),
        (("trend", "nobody"), 1, "no driver 'nobody' was entered from 1960 to"),
        (("trend", "driver_a", "--profile", "baseline"), 1, "profile baseline is of model v1"),
        (("plane", "1960", "--profile", "none"), 5, "none cannot be read"),
    ],
)
def test_the_command_says_what_it_cannot_draw(
    home: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """With the exit code of the error, and no file."""
    found, told = plot(home, *arguments, "-o", str(tmp_path / "picture.svg"))
    assert (found, says in told) == (code, True), told
    assert not list(tmp_path.iterdir())


def test_a_race_without_laps_has_neither_grades_nor_a_lap_chart(home: Path, tmp_path: Path) -> None:
    """Each error names the command that helps."""
    where = (str(STILL.season), str(STILL.round), "-o", str(tmp_path / "picture.svg"))
    code, told = plot(home, "laps", *where)
    assert (code, "no laps of" in told, "drivegrade ingest" in told) == (1, True, True), told
    code, told = plot(home, "components", *where)
    assert (code, "regrade --season 1980 --model v2" in told) == (1, True), told


@pytest.mark.parametrize("kind", ["laps", "components", "plane", "sensitivity"][: runs(1, 4)])
def test_a_race_is_pictured(home: Path, tmp_path: Path, kind: str) -> None:
    """The first of the lake; one kind usually, each that shows a race in a soak."""
    file = tmp_path / "picture.svg"
    code, told = plot(home, kind, "1960", "1", "-o", str(file))
    assert (code, file.read_bytes()[:4]) == (0, b"<svg"), told


def test_other_endings_and_folders_that_do_not_exist_are_refused(
    home: Path, tmp_path: Path
) -> None:
    """Before anything is read, or with what to name instead."""
    code, told = plot(home, "season", "1960", "-o", str(tmp_path / "picture.pdf"))
    assert (code, "neither .svg nor .png" in told) == (2, True), told
    code, told = plot(home, "season", "1960", "-o", str(tmp_path / "none" / "picture.svg"))
    assert (code, "Name a file in a folder that exists" in told) == (1, True), told
