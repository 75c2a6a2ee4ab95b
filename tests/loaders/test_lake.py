"""The lake keeps what was written, whole, and opens only what is asked for."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock
from polars.testing import assert_frame_equal

from engine.errors import ContractError
from engine.tables import NORMALIZED, STORED, SessionKey, empty, polars_schema
from loaders import lake, manifest
from loaders.lake import read_session, scan, sessions, write_session
from loaders.manifest import LOCK_NAME, MANIFEST_NAME, LakeError
from loaders.providers import simulated
from loaders.settings import Settings
from tests.soak import runs, some

ROOT = Path(__file__).parent.parent.parent
RACE = SessionKey(2099, 1)
SPRINT = SessionKey(2099, 2, "sprint")
OLDER = SessionKey(2098, 7)


def bundled(session: SessionKey = RACE) -> dict[str, pl.DataFrame]:
    """Give the tables of a bundled session."""
    return dict(simulated.fetch(session, Settings()))


def renamed(tables: dict[str, pl.DataFrame], session: SessionKey) -> dict[str, pl.DataFrame]:
    """Give the same tables as those of another session."""
    frames = {
        name: frame.with_columns(session_id=pl.lit(session.session_id))
        for name, frame in tables.items()
    }
    frames["sessions"] = frames["sessions"].with_columns(
        season=pl.lit(session.season, pl.Int16), round=pl.lit(session.round, pl.Int16)
    )
    return frames


def inputs_row() -> pl.DataFrame:
    """Give one driver's inputs: lists, an empty list and nulls."""
    row = {
        "session_id": RACE.session_id,
        "driver_id": "sim_talvane",
        "car_base_delta_s": -0.25,
        "lap_deltas_s": [0.1, -0.2],
        "optimal_pit_laps": [],
        "actual_pit_laps": [23.0],
        "penalty_time_losses_s": [5.0],
        "has_lap_clocks": True,
        "has_race_control": False,
    }
    return pl.DataFrame([row], schema=polars_schema("driver_inputs"))


def file_of(folder: Path, table: str, season: int = 2099) -> Path:
    """Where a table's season lies."""
    return lake.snapshot(folder).files(table)[season]


def all_files(folder: Path) -> dict[str, bytes]:
    """Give every file below a folder with its bytes, the lock left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK_NAME
    }


# what is written is what is read ------------------------------------------------------------


def test_a_session_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Every value and dtype, Enum, list, date and UTC timestamp included; nulls stay null."""
    tables = bundled() | {"driver_inputs": inputs_row(), "overtakes": empty("overtakes")}
    write_session(tmp_path, RACE, tables)
    read = read_session(tmp_path, RACE)
    assert list(read) == list(STORED)
    for name, frame in read.items():
        assert frame.schema == polars_schema(name)
        assert_frame_equal(frame, tables.get(name, empty(name)), check_exact=True)


def test_a_table_lies_by_season_under_the_name_of_its_content(tmp_path: Path) -> None:
    """One file per table and season, named for its SHA-256, and the manifest that names it."""
    write_session(tmp_path, SPRINT, {"sessions": bundled(SPRINT)["sessions"]})
    path = file_of(tmp_path, "sessions")
    assert path.parent == tmp_path / "sessions" / "season=2099"
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(path.stem)
    assert sorted(all_files(tmp_path)) == [MANIFEST_NAME, str(path.relative_to(tmp_path))]


def test_sessions_of_a_season_share_a_file_and_do_not_touch_each_other(tmp_path: Path) -> None:
    """A second session is added; written again, only its own rows are replaced."""
    write_session(tmp_path, RACE, bundled())
    write_session(tmp_path, SPRINT, bundled(SPRINT))
    changed = bundled(SPRINT)
    changed["laps"] = changed["laps"].head(5)
    write_session(tmp_path, SPRINT, changed)
    assert list(lake.snapshot(tmp_path).files("laps")) == [2099]
    assert_frame_equal(read_session(tmp_path, RACE)["laps"], bundled()["laps"])
    assert read_session(tmp_path, SPRINT)["laps"].height == 5


def test_many_sessions_are_written_at_once(tmp_path: Path) -> None:
    """Of two seasons: all are there, and what was there of one of them before is gone."""
    write_session(tmp_path, RACE, bundled())
    both = [bundled(), renamed(bundled(), OLDER)]
    tables = {name: pl.concat([one[name] for one in both]) for name in ("sessions", "laps")}
    tables["weather"] = empty("weather")
    rows = lake.write(tmp_path, [RACE, OLDER], tables)
    assert rows == {"sessions": 2, "laps": tables["laps"].height, "weather": 0}
    assert sessions(tmp_path) == [OLDER, RACE]
    assert read_session(tmp_path, RACE)["weather"].is_empty()
    assert read_session(tmp_path, RACE)["entries"].height == bundled()["entries"].height
    assert lake.snapshot(tmp_path).files("weather") == {}


def test_rows_are_sorted_by_key_so_that_order_leaves_no_trace(tmp_path: Path) -> None:
    """Shuffled rows, shuffled columns and chunks give the same bytes."""
    laps = bundled()["laps"]
    shuffled = laps.sample(fraction=1, shuffle=True, seed=5).select(sorted(laps.columns))
    write_session(tmp_path / "a", RACE, {"laps": laps})
    write_session(tmp_path / "b", RACE, {"laps": pl.concat([shuffled[:7], shuffled[7:]])})
    assert all_files(tmp_path / "a") == all_files(tmp_path / "b")


def test_a_file_that_would_not_change_is_left_alone(tmp_path: Path) -> None:
    """Only the corrected table gets a new file; the other keeps its inode."""
    tables = {name: bundled()[name] for name in ("laps", "entries")}
    write_session(tmp_path, RACE, tables)
    before = {name: file_of(tmp_path, name).stat().st_ino for name in tables}
    tables["entries"] = tables["entries"].with_columns(points=pl.lit(0.0))
    write_session(tmp_path, RACE, tables)
    after = {name: file_of(tmp_path, name).stat().st_ino for name in tables}
    assert after["laps"] == before["laps"]
    assert after["entries"] != before["entries"]
    assert read_session(tmp_path, RACE)["entries"]["points"].sum() == 0


def test_tables_that_are_not_given_stay(tmp_path: Path) -> None:
    """Grading again writes grades; the laps are still there."""
    write_session(tmp_path, RACE, {"laps": bundled()["laps"]})
    write_session(tmp_path, RACE, {"weather": bundled()["weather"]})
    there = read_session(tmp_path, RACE)
    assert {name for name, frame in there.items() if frame.height} == {"laps", "weather"}


def test_sessions_are_listed_in_the_order_they_were_driven(tmp_path: Path) -> None:
    """By season and round, not by text; a sprint before its race; an absent lake has none."""
    assert sessions(tmp_path / "absent") == []
    late = SessionKey(2099, 10)
    for session in (late, SPRINT, OLDER, RACE):
        source = bundled(SPRINT if session == SPRINT else RACE)
        write_session(tmp_path, session, renamed({"sessions": source["sessions"]}, session))
    race = SessionKey(2099, 2)
    write_session(tmp_path, race, {"sessions": bundled(race)["sessions"]})
    assert sessions(tmp_path) == [OLDER, RACE, SPRINT, race, late]


def test_a_session_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    """The message says what to choose from."""
    with pytest.raises(LakeError, match="no session 2098-7; there are none"):
        read_session(tmp_path, OLDER)
    write_session(tmp_path, RACE, bundled())
    with pytest.raises(LakeError, match=r"no session 2098-7; there are 2099-1$"):
        read_session(tmp_path, OLDER)


# scanning -----------------------------------------------------------------------------------


@pytest.mark.parametrize("table", STORED)
def test_an_absent_table_scans_as_an_empty_one(tmp_path: Path, table: str) -> None:
    """Without a lake, a file or a season there are no rows, but all columns."""
    for seasons in (None, [], [2099]):
        frame = scan(tmp_path / "absent", table, seasons)
        assert frame.collect_schema() == polars_schema(table)
        assert frame.collect().is_empty()


def test_a_scan_gives_all_sessions_under_the_contract(tmp_path: Path) -> None:
    """The contract's columns in order, no column of the folder's name; `season` is the file's."""
    both = [bundled(), renamed(bundled(), OLDER)]
    write_session(tmp_path, RACE, both[0])
    write_session(tmp_path, OLDER, both[1])
    for name in NORMALIZED:
        frame = scan(tmp_path, name).collect()
        assert frame.schema == polars_schema(name)
        expected = pl.concat([tables[name] for tables in both])
        key = STORED[name].primary_key()
        assert_frame_equal(frame.sort(key), expected.sort(key), check_exact=True)


def test_other_seasons_are_not_opened(tmp_path: Path) -> None:
    """The plan names the files of the season alone; a damaged file of another does not matter."""
    write_session(tmp_path, RACE, bundled())
    write_session(tmp_path, OLDER, renamed(bundled(), OLDER))
    older, newer = (file_of(tmp_path, "laps", season) for season in (2098, 2099))
    assert str(older) in scan(tmp_path, "laps").explain()
    older.write_bytes(b"damaged")
    pruned = scan(tmp_path, "laps", seasons=[2099])
    assert str(newer) in pruned.explain()
    assert "2098" not in pruned.explain()
    assert_frame_equal(pruned.collect(), bundled()["laps"])
    assert scan(tmp_path, "laps", seasons=[2097]).collect().is_empty()
    one = lake.snapshot(tmp_path).scan("laps", sessions=[RACE])
    assert_frame_equal(one.collect(), bundled()["laps"])
    assert lake.snapshot(tmp_path).scan("laps", [2098], [RACE]).collect().is_empty()


def test_a_snapshot_does_not_see_what_is_written_later(tmp_path: Path) -> None:
    """The files it names stay for a while; a new look sees the new ones."""
    write_session(tmp_path, RACE, bundled())
    seen = lake.snapshot(tmp_path)
    changed = bundled()
    changed["laps"] = changed["laps"].head(5)
    write_session(tmp_path, RACE, changed)
    assert_frame_equal(seen.scan("laps").collect(), bundled()["laps"])
    assert scan(tmp_path, "laps").collect().height == 5


def test_a_scan_reads_only_the_columns_that_are_used(tmp_path: Path) -> None:
    """Projection reaches the files."""
    write_session(tmp_path, RACE, bundled())
    plan = scan(tmp_path, "laps").select("driver_id", "lap_time_ms").explain()
    assert f"PROJECT 2/{len(polars_schema('laps'))} COLUMNS" in plan


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    """Brackets and stars in the lake's path are not patterns."""
    odd = tmp_path / "lake [1] *"
    write_session(odd, RACE, bundled())
    assert_frame_equal(scan(odd, "laps").collect(), bundled()["laps"])
    assert_frame_equal(read_session(odd, RACE)["laps"], bundled()["laps"])


# what is refused ----------------------------------------------------------------------------


HOSTILE = [
    SessionKey("../../outside", 1),  # type: ignore[arg-type]
    SessionKey(2099, "1/../../../outside"),  # type: ignore[arg-type]
    SessionKey(2099, 1, "../../../outside"),
    SessionKey(2099, 1, "sprint\n"),
    SessionKey(2099, "1\x00"),  # type: ignore[arg-type]
    SessionKey(2099, 1, "Sprint"),
    SessionKey(20990, 1),
    SessionKey(2099, -1),
    SessionKey(2099, 100),
]


@pytest.mark.parametrize("session", HOSTILE, ids=lambda key: repr(key.session_id))
def test_a_name_that_is_no_session_never_becomes_a_path(
    tmp_path: Path, session: SessionKey
) -> None:
    """Refused for writing and reading; nothing is created, inside the lake or out."""
    folder = tmp_path / "a" / "b" / "lake"
    tables = bundled()
    with pytest.raises(LakeError, match="no session can be called"):
        write_session(folder, session, {"laps": tables["laps"]})
    with pytest.raises(LakeError, match="no session can be called"):
        read_session(folder, session)
    assert list(tmp_path.iterdir()) == []


def test_only_tables_of_the_contract_have_a_place(tmp_path: Path) -> None:
    """A path is no table, for writing or scanning."""
    with pytest.raises(LakeError, match=re.escape("no table '../laps'; there are sessions")):
        write_session(tmp_path, RACE, {"../laps": bundled()["laps"]})
    with pytest.raises(LakeError, match="no table"):
        scan(tmp_path, "../laps")
    assert list(tmp_path.iterdir()) == []


def test_one_bad_table_keeps_all_from_being_written(tmp_path: Path) -> None:
    """Contracts are checked before the first file is touched."""
    tables = bundled()
    tables["weather"] = tables["weather"].with_columns(humidity_pct=pl.lit(101.0))
    with pytest.raises(ContractError, match="humidity_pct"):
        write_session(tmp_path, RACE, tables)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_session_are_refused(tmp_path: Path) -> None:
    """A file holds one session, the one it is named for."""
    with pytest.raises(
        ContractError, match="20 of 20 rows are not of session 2098-7 but of 2099-1"
    ):
        write_session(tmp_path, OLDER, {"entries": bundled()["entries"]})
    assert list(tmp_path.iterdir()) == []


def torn(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[:1000])


def flipped(path: Path) -> None:
    """Change one bit in the middle, which Parquet itself would not notice."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "state"), [(torn, "damaged"), (flipped, "damaged"), (Path.unlink, "missing")]
)
def test_a_file_that_is_not_what_was_written_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], state: str
) -> None:
    """Half a file is not half a session; the message says which file and what to do."""
    write_session(tmp_path, RACE, bundled())
    path = file_of(tmp_path, "laps")
    damage(path)
    with pytest.raises(LakeError, match=f"{re.escape(str(path))} is {state}.*\n.*season 2099"):
        read_session(tmp_path, RACE)
    with pytest.raises(LakeError, match=state):
        scan(tmp_path, "laps")
    found = {state.path: state.state for state in manifest.examine(tmp_path)}
    assert found.pop(path) == state
    assert set(found.values()) == {"ok"}
    assert len(found) == len([name for name in NORMALIZED if bundled()[name].height]) - 1


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"layout": 1}', b'{"files": {"laps": {"2099": {"sha256": "../x"}}}}']
)
def test_a_damaged_manifest_is_named(tmp_path: Path, content: bytes) -> None:
    """It is no empty lake, and a name in it never becomes a path."""
    write_session(tmp_path, RACE, bundled())
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(LakeError, match=r"manifest\.json cannot be read"):
        sessions(tmp_path)
    with pytest.raises(LakeError, match=r"manifest\.json cannot be read"):
        write_session(tmp_path, RACE, bundled())


def test_a_file_from_before_a_change_of_the_contract_is_named(tmp_path: Path) -> None:
    """A column that is missing is not made up."""
    write_session(tmp_path, RACE, bundled())
    buffer = io.BytesIO()
    bundled()["laps"].drop("is_generated").write_parquet(buffer)
    content = manifest.Content(buffer.getvalue(), 1)
    manifest.publish(tmp_path, {manifest.Place("laps", 2099): content})
    with pytest.raises(LakeError, match=r"cannot be read: .*is_generated"):
        read_session(tmp_path, RACE)


def test_what_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Rows computed from a season that somebody else has written to since are refused."""
    write_session(tmp_path, RACE, bundled())
    write_session(tmp_path, OLDER, renamed(bundled(), OLDER))
    seen = lake.snapshot(tmp_path)
    fewer = {"laps": bundled()["laps"].head(5)}
    write_session(tmp_path, RACE, fewer)
    with pytest.raises(LakeError, match="has written to 2099 meanwhile"):
        lake.write(tmp_path, [RACE], {"driver_inputs": inputs_row()}, since=seen)
    assert read_session(tmp_path, RACE)["driver_inputs"].is_empty()
    lake.write(tmp_path, [OLDER], {"laps": empty("laps")}, since=seen)
    assert read_session(tmp_path, OLDER)["laps"].is_empty()


def test_files_that_nobody_names_are_removed_in_time(tmp_path: Path) -> None:
    """Not before readers of the manifest before have ended; what is not ours stays."""
    write_session(tmp_path, RACE, bundled())
    old = file_of(tmp_path, "laps")
    changed = bundled()
    changed["laps"] = changed["laps"].head(5)
    write_session(tmp_path, RACE, changed)
    stranger = old.with_name("notes.parquet")
    stranger.write_bytes(b"mine")
    assert {s.path for s in manifest.examine(tmp_path) if s.state == "unnamed"} == {old, stranger}
    assert manifest.remove_unnamed(tmp_path) == []
    an_hour_ago = time.time() - 3600
    os.utime(old, (an_hour_ago, an_hour_ago))
    os.utime(stranger, (an_hour_ago, an_hour_ago))
    assert [state.path for state in manifest.remove_unnamed(tmp_path)] == [old]
    assert stranger.exists()
    assert scan(tmp_path, "laps").collect().height == 5


def test_damaged_files_can_be_forgotten_and_written_again(tmp_path: Path) -> None:
    """Afterwards the season has no such rows, and a session can be written again."""
    write_session(tmp_path, RACE, bundled())
    write_session(tmp_path, OLDER, renamed(bundled(), OLDER))
    flipped(file_of(tmp_path, "laps"))
    with pytest.raises(LakeError, match="is damaged"):
        write_session(tmp_path, SPRINT, bundled(SPRINT))
    forgotten = manifest.forget_damaged(tmp_path)
    assert [(s.place, s.state) for s in forgotten] == [(("laps", 2099), "damaged")]
    assert read_session(tmp_path, RACE)["laps"].is_empty()
    assert read_session(tmp_path, OLDER)["laps"].height == bundled()["laps"].height
    write_session(tmp_path, RACE, bundled())
    assert read_session(tmp_path, RACE)["laps"].height == bundled()["laps"].height


# whole or not at all ------------------------------------------------------------------------


CHILD = """
import os, resource, signal, sys
from pathlib import Path
import polars as pl
from engine.tables import SessionKey
from loaders.lake import write_session

folder, point, versions = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
frames = [pl.read_parquet(version) for version in versions]
replace, open_file = Path.replace, Path.open

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def write_half(path, *args, **kwargs):
    file = open_file(path, *args, **kwargs)
    if not path.name.endswith(".unfinished"):
        return file
    file.write(b"PAR1 torn")
    file.flush()
    die()

def replace_and_die(path, target):
    replace(path, target)
    die()

if point == "half written":
    Path.open = write_half
elif point == "not synced":
    os.fsync = die
elif point == "not renamed":
    Path.replace = die
elif point == "renamed":
    Path.replace = replace_and_die
elif point == "manifest renamed":
    Path.replace = lambda path, target: (
        replace_and_die(path, target) if target.name == "manifest.json" else replace(path, target)
    )
elif point == "disk full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
if point == "any moment":
    print("ready", flush=True)
while True:
    for frame in frames:
        write_session(folder, SessionKey(2099, 1), {"laps": frame})
    if point != "any moment":
        break
"""
"""Writes laps until it is killed, or dies by itself at a point in the middle of a write."""


@pytest.fixture
def versions(tmp_path: Path) -> list[Path]:
    """Make two versions of the laps that differ in every row, outside the lake."""
    laps = bundled()["laps"]
    paths = [tmp_path / "old.parquet", tmp_path / "new.parquet"]
    laps.write_parquet(paths[0])
    laps.with_columns(stint_number=pl.lit(99, pl.Int16)).write_parquet(paths[1])
    return paths


Writer = subprocess.Popen[str]
Start = Callable[..., Writer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start writers of a lake in processes of their own; none outlives the test."""
    started: list[Writer] = []

    def child(folder: Path, point: str, *versions: Path) -> Writer:
        command = [sys.executable, "-c", CHILD, str(folder), point, *map(str, versions)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield child
    for writer in started:
        writer.kill()
        with writer:
            pass


def laps_of(folder: Path) -> pl.DataFrame:
    """Read the laps in a lake."""
    return read_session(folder, RACE)["laps"]


def unfinished(folder: Path) -> list[Path]:
    """List the files that a writer did not finish."""
    return list(folder.rglob("*.unfinished"))


def test_a_writer_killed_in_the_middle_leaves_the_old_file_or_the_new(
    tmp_path: Path, versions: list[Path], start: Start
) -> None:
    """Whatever it was doing, the file is whole; the next writer sweeps what was left."""
    old, new = (pl.read_parquet(path) for path in versions)
    points = [
        ("half written", old),
        ("manifest renamed", new),
        ("renamed", old),
        ("not synced", old),
        ("not renamed", old),
    ]
    expected = dict(some(points, 3))
    folders = {point: tmp_path / point for point in expected}
    for folder in folders.values():
        write_session(folder, RACE, {"laps": old})
    writers = {point: start(folder, point, versions[1]) for point, folder in folders.items()}
    for point, writer in writers.items():
        writer.communicate(timeout=60)
        assert writer.returncode == -signal.SIGKILL
        assert_frame_equal(laps_of(folders[point]), expected[point])
        assert scan(folders[point], "laps").collect().height == old.height
        assert len(unfinished(folders[point])) == (point not in {"renamed", "manifest renamed"})
        write_session(folders[point], RACE, {"laps": new})
        assert unfinished(folders[point]) == []
        assert_frame_equal(laps_of(folders[point]), new)


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(
    tmp_path: Path, versions: list[Path], start: Start
) -> None:
    """Writers in turn go back and forth between two versions until killed by chance.

    Whoever reads meanwhile sees one version or the other.
    """
    old, new = (pl.read_parquet(path) for path in versions)
    seed = time.time_ns()
    moments = random.Random(seed)  # noqa: S311 - no secret hangs on it
    folders = [tmp_path / f"lake {number}" for number in range(runs(1, 4))]
    for folder in folders:
        write_session(folder, RACE, {"laps": old})
    for folder in folders:
        writer = start(folder, "any moment", *versions)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        end = time.monotonic() + moments.uniform(0.0, 0.2)
        while time.monotonic() < end:
            laps = laps_of(folder)
            assert laps.equals(old) or laps.equals(new), f"mixed; seed {seed}"
            laps = scan(folder, "laps").collect()
            assert laps.equals(old) or laps.equals(new), f"mixed; seed {seed}"
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate(timeout=60)
        laps = laps_of(folder)
        assert laps.equals(old) or laps.equals(new), f"torn; seed {seed}"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, versions: list[Path], start: Start
) -> None:
    """The writer says which file; the old one is whole and no torso is left."""
    folder = tmp_path / "lake"
    old = pl.read_parquet(versions[0])
    write_session(folder, RACE, {"laps": old})
    writer = start(folder, "disk full", versions[1])
    _, told = writer.communicate(timeout=60)
    assert writer.returncode == 1
    assert "loaders.manifest.LakeError: " in told
    assert re.search(r"laps/season=2099/\w+.parquet could not be written: File too large", told)
    assert "The lake is as it was." in told
    assert unfinished(folder) == []
    assert_frame_equal(laps_of(folder), old)


def test_tables_that_are_written_together_are_seen_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that fails on its last file leaves the lake as it was, to the last byte."""
    write_session(tmp_path, RACE, bundled())
    before = all_files(tmp_path)
    changed = {
        name: frame.with_columns(session_id=pl.lit(SPRINT.session_id))
        for name, frame in bundled().items()
    }
    replaced = []
    replace = Path.replace

    def refuse_the_manifest(path: Path, target: Path) -> Path:
        replaced.append(target)
        if target.name == MANIFEST_NAME:
            raise OSError(28, "No space left on device", str(target))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse_the_manifest)
    with pytest.raises(LakeError, match="No space left on device"):
        write_session(tmp_path, SPRINT, changed)
    monkeypatch.undo()
    assert len(replaced) == len(NORMALIZED) + 1
    assert all_files(tmp_path) == before
    write_session(tmp_path, SPRINT, bundled(SPRINT))
    assert sessions(tmp_path) == [RACE, SPRINT]


def test_writers_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one writes, another waits, and gives up with a message; readers are not held up."""
    write_session(tmp_path, RACE, bundled())
    monkeypatch.setattr(manifest, "LOCK_TIMEOUT_S", 0.1)
    with FileLock(tmp_path / LOCK_NAME):
        with pytest.raises(LakeError, match="another process has been writing"):
            write_session(tmp_path, RACE, bundled())
        assert read_session(tmp_path, RACE)["laps"].height == bundled()["laps"].height


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the lake's folder should be is the user's to mend."""
    (tmp_path / "lake").write_text("not a folder")
    with pytest.raises(LakeError, match="lake could not be written"):
        write_session(tmp_path / "lake", RACE, bundled())


@pytest.mark.skipif(sys.platform != "linux", reason="reads the names of open files from /proc")
def test_what_is_written_is_brought_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file before it is renamed, its folder after, and every new folder's parent."""
    synced = []
    fsync = os.fsync

    def remember(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    write_session(tmp_path / "lake", RACE, {"laps": bundled()["laps"]})
    path = file_of(tmp_path / "lake", "laps").relative_to(tmp_path)
    assert synced == [
        Path(),
        path.with_name(f".{path.name}.unfinished"),
        Path("lake"),
        Path("lake/laps"),
        path.parent,
        Path("lake/.manifest.json.unfinished"),
        Path("lake"),
    ]
