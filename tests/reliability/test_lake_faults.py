"""The lake is killed, its disk filled, its operations refused one by one, its bits flipped.

Whatever happens, readers have one whole version, old or new, or are told which file is not what was
written. Children that die are forked and only publish bytes, so that they need no data frames.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from engine.tables import STORED, SessionKey
from loaders import lake, manifest
from loaders.manifest import MANIFEST_NAME, Content, LakeError, Place
from tests.soak import chance, runs
from tests.warehouse import MELBOURNE, session_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.soak import Figure

PLACES: Final = tuple(
    Place(table, season) for table in ("sessions", "entries", "laps") for season in (2024, 2025)
)


def version(number: int) -> dict[Place, Content | None]:
    """Write a version of all places: bytes that say which it is, of 40 kB together."""
    return {
        place: Content(f"{place.table} {place.season} {number} ".encode() * 400, number)
        for place in PLACES
    }


def publish(folder: Path, number: int) -> None:
    """Put a version in place."""
    with manifest.lock(folder):
        manifest.publish(folder, version(number))


def version_of(folder: Path) -> int:
    """Read the lake as readers do, verify every byte, and say which one version it is."""
    manifest._verified.clear()
    seen = manifest.read_manifest(folder)
    numbers = set()
    for place in PLACES:
        path = manifest.verified_path(folder, place, seen.of(place.table)[place.season])
        numbers.add(int(path.read_bytes().split()[2]))
    assert len(numbers) == 1, f"mixed: {numbers}"
    return numbers.pop()


def torsos(folder: Path) -> list[Path]:
    """List files that nobody finished."""
    return list(folder.rglob(".*.unfinished"))


def in_a_child(work: Callable[[], None], told: int = 2) -> int:
    """Do something in a forked process; if the lake refuses, write that to a descriptor."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except LakeError as error:
        os.write(told, str(error).encode())
        code = LakeError.exit_code
    finally:
        os._exit(code)


def test_a_killed_writer_leaves_one_whole_version(tmp_path: Path, figure: Figure) -> None:
    """A10: killed at any moment of a publication of six files; the next one sweeps what is left."""
    rng, kills, found = chance("A10"), runs(6, 120), Counter[str]()
    publish(tmp_path, 0)
    started = time.perf_counter()
    publish(tmp_path, 1)
    lasts = time.perf_counter() - started
    for number in range(10, 10 + kills):
        before = version_of(tmp_path)
        new = before + 1

        def go_on(first: int = new) -> None:
            for later in range(first, first + 1_000):
                publish(tmp_path, later)

        child = in_a_child(go_on)
        time.sleep(rng.uniform(0, 10 * lasts))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        after = version_of(tmp_path)
        found["old" if after == before else "new"] += 1
        found["torsos"] += len(torsos(tmp_path))
        found["unnamed files"] += sum(
            state.state == "unnamed" for state in manifest.examine(tmp_path)
        )
        publish(tmp_path, after + number)
        assert version_of(tmp_path) == after + number
        assert torsos(tmp_path) == []
        with manifest.lock(tmp_path):
            pass
        manifest.remove_unnamed(tmp_path, manifest.GRACE * 0)
        assert all(state.state == "ok" for state in manifest.examine(tmp_path))
    figure("A10", f"{kills} kills while publishing, 0 mixed, {dict(found)}")


@pytest.mark.parametrize("room", [0, 100, 4_096, 6_000])
def test_a_full_disk_leaves_the_old_version(tmp_path: Path, room: int) -> None:
    """A11: no file may grow beyond some bytes; what does not fit is named, and no torso is left."""
    folder = tmp_path / "lake"
    publish(folder, 1)
    before = files(folder)
    reader, writer = os.pipe()

    def overflow() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        publish(folder, 22_222)

    _, status = os.waitpid(in_a_child(overflow, writer), 0)
    told = os.read(reader, 4_096).decode()
    os.close(reader)
    os.close(writer)
    assert os.WEXITSTATUS(status) == LakeError.exit_code
    assert told.startswith(f"{folder}/sessions/season=2024/")
    assert ".parquet could not be written: File too large\nThe lake is as it was." in told
    assert files(folder) == before
    assert version_of(folder) == 1


def files(folder: Path) -> dict[Path, bytes]:
    """Read all files but the lock."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != manifest.LOCK_NAME
    }


class Disk:
    """Counts the lake's operations, and refuses one of them, or all from one on."""

    def __init__(self, refused: int, *, for_ever: bool) -> None:
        self.done: list[str] = []
        self.refused, self.for_ever = refused, for_ever
        self.hit = ""

    def do(self, name: str) -> None:
        """Count an operation.

        Raises:
            OSError: it is to be refused.
        """
        self.done.append(name)
        number = len(self.done)
        if number == self.refused or (self.for_ever and number > self.refused):
            self.hit = self.hit or name
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, disk: Disk, folder: Path) -> Iterator[None]:
    """Let every operation below a folder go past a disk."""

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(path, int) or str(path).startswith(str(folder)):
                disk.do(name)
            return real(path, *args, **kwargs)

        return call

    real_open = Path.open

    def opened(path: Path, mode: str = "r", **kwargs: Any) -> Any:
        if "w" not in mode:
            return real_open(path, mode, **kwargs)
        disk.do("open")
        return Written(real_open(path, mode, **kwargs), disk)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "mkdir"), (Path, "unlink")):
            patch.setattr(owner, name, counted(name, getattr(owner, name)))
        yield


class Written:
    """A file whose disk may be full."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self.file, self.disk = file, disk

    def __enter__(self) -> Written:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, content: bytes) -> None:
        """Write half, ask the disk, write the rest."""
        self.file.write(content[: len(content) // 2])
        self.disk.do("write")
        self.file.write(content[len(content) // 2 :])


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "from then on"])
def test_every_operation_may_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure, *, for_ever: bool
) -> None:
    """A04, A11: the first operation, then the second, … until a publication passes.

    The version is the old one each time, but where only the confirmation of the new manifest was
    refused; the error names a path of the lake; a disk that mends leaves no torso.
    """
    original = tmp_path / "original"
    publish(original, 1)
    with manifest.lock(original):  # one file whose season is new, so that folders are made too
        manifest.publish(original, {Place("laps", 2023): Content(b"laps 2023 1", 1)})
    hits = Counter[str]()
    for number in range(1, 1_000):
        folder = tmp_path / f"lake {number}"
        shutil.copytree(original, folder)
        disk = Disk(number, for_ever=for_ever)
        refusal = ""
        try:
            with failing(monkeypatch, disk, folder):
                new = {**version(2), Place("weather", 2025): Content(b"weather 2025 2", 1)}
                with manifest.lock(folder):
                    manifest.publish(folder, new)
        except LakeError as error:
            refusal = str(error)
        if not disk.hit:
            break
        hits[disk.hit] += 1
        after = version_of(folder)
        assert after == 1 if "The lake is as it was" in refusal else after == 2, (number, refusal)
        assert not refusal or refusal.startswith(str(folder)), refusal
        assert refusal or disk.hit == "unlink", disk.hit
        if not for_ever:
            assert torsos(folder) == []
        publish(folder, 3)
        assert version_of(folder) == 3
        manifest.remove_unnamed(folder)
        assert torsos(folder) == []
        shutil.rmtree(folder)
    assert version_of(folder) == 2
    assert min(hits[name] for name in ("open", "write", "fsync", "replace", "mkdir")) > 0
    figure("A11", f"refused {'from then on' if for_ever else 'once'}: {dict(hits)}, 0 torn")


def test_a_file_of_the_version_before_outlives_a_refused_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Back to older content, whose files still lie there for readers: a refusal keeps them."""
    publish(tmp_path, 1)
    held = manifest.read_manifest(tmp_path)
    publish(tmp_path, 2)
    real = Path.replace

    def refuse_the_manifest(path: Path, target: Path) -> Path:
        if target.name == MANIFEST_NAME:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", refuse_the_manifest)
    with pytest.raises(LakeError, match=r"manifest\.json could not be written: Input/output"):
        publish(tmp_path, 1)
    for place in PLACES:
        manifest.verified_path(tmp_path, place, held.of(place.table)[place.season])
    assert version_of(tmp_path) == 2


def read_all(folder: Path) -> None:
    """Open every file of a lake the way a scan does."""
    seen = lake.snapshot(folder)
    for table in STORED:
        seen.files(table)


def test_a_flipped_bit_is_refused_with_its_file(tmp_path: Path, figure: Figure) -> None:
    """A12: one bit anywhere in any file that was published, the manifest among them."""
    tables = session_tables()
    stored = {name: frame for name, frame in tables.items() if name in STORED}
    lake.write(tmp_path, [MELBOURNE], stored)
    lake.write(tmp_path, [other := SessionKey(2024, 1)], {
        name: frame for name, frame in session_tables(other).items() if name in STORED
    })  # fmt: skip
    paths = sorted(files(tmp_path))
    assert len(paths) == 1 + 2 * sum(frame.height > 0 for frame in stored.values())
    rng, flips, refused = chance("A12"), runs(50, 500), Counter[str]()
    for number in range(flips):
        path = tmp_path / MANIFEST_NAME if number % 5 == 0 else rng.choice(paths)
        whole = path.read_bytes()
        bit = rng.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(LakeError) as refusal:
            read_all(tmp_path)
        assert str(refusal.value).startswith(str(path)), refusal.value
        refused[path.suffix] += 1
        path.write_bytes(whole)
    assert lake.read_session(tmp_path, MELBOURNE)["laps"].equals(tables["laps"])
    figure("A12", f"{flips} bits flipped, all refused by name: {dict(refused)}")


def test_a_manifest_from_before_seals_is_read_and_sealed(tmp_path: Path) -> None:
    """A lake of an earlier version goes on; its next write seals it."""
    publish(tmp_path, 1)
    path = tmp_path / MANIFEST_NAME
    before = manifest.read_manifest(tmp_path)
    path.write_text(before.model_dump_json(exclude={"seal"}, indent=1))
    assert version_of(tmp_path) == 1
    assert manifest.read_manifest(tmp_path).seal is None
    publish(tmp_path, 2)
    assert manifest.read_manifest(tmp_path).seal is not None
