"""C04: who reads while sessions are swapped sees one version or the other, never some of each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import pytest

from loaders import administration, revisions
from loaders.arrow import Grading
from loaders.connection import transaction
from loaders.postgres import connect, read
from loaders.revisions import gradings_json
from tests.frames import frame
from tests.soak import IS_SOAK, runs
from tests.warehouse import MELBOURNE, load, metrics_row, session_tables, start_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import polars as pl

    from loaders.connection import Connection
    from loaders.settings import Settings
    from tests.soak import Figure

    Ask = Callable[[Connection], object]
    Version = dict[str, pl.DataFrame]

READS: Final = runs(100, 3_000)

SWAPS: Final = runs(3, 50)
"""Swaps that there are at least, however fast the readers are."""

GRADINGS: Final = gradings_json([Grading("baseline", 1, "v1")])


def version(drivers: tuple[str, ...], grade: float, lap_count: int) -> Version:
    """Write the session with other drivers, laps and grades."""
    rows = [metrics_row({"driver_id": driver}, total_grade=grade) for driver in drivers]
    metrics = frame("driver_metrics", rows)
    return session_tables(MELBOURNE, drivers, lap_count, driver_metrics=metrics)


VERSIONS: Final = (
    version(("norris", "piastri"), 0.25, 3),
    version(("norris", "piastri", "leclerc"), 0.75, 4),
)


@pytest.fixture
def writer(settings: Settings) -> Iterator[Connection]:
    """An empty warehouse that knows the baseline profile."""
    with connect(settings, "writer") as connection:
        start_over(connection)
        yield connection


def grades(connection: Connection) -> object:
    """Read grades the way `drivegrade grades` does."""
    found = read(connection, "grades", 2025, 1, "race", "baseline")
    return found.select("driver_id", "team_id", "total_grade").rows()


def counts(connection: Connection) -> object:
    """Read how many rows there are of every table."""
    return read(connection, "season_counts", "[2025]", GRADINGS).rows()


def three_statements(connection: Connection) -> object:
    """Ask one thing after another, as nobody should: the control."""
    found = []
    with transaction(connection, "asking one by one"), connection.cursor() as cursor:
        for question in CONTROL:
            cursor.execute(question)
            found.append(cursor.fetchone())
    return found


CONTROL: Final = (
    "select count(*) from core.entries",
    "select count(*) from public.lap_times",
    "select max(total_grade) from core.driver_metrics",
)


def swapped(
    settings: Settings, writer: Connection, asks: tuple[Ask, ...]
) -> tuple[int, int, int, int]:
    """Let three readers ask while versions are swapped: reads, mixed answers, kinds, swaps."""
    known = []
    for number, tables in enumerate(VERSIONS):
        load(writer, tables, data_hash=f"known {number}")
        known.append([ask(writer) for ask in asks])
    done, answers = Event(), [0, 0, 0]

    def reads(number: int) -> tuple[int, set[int]]:
        mixed, kinds = 0, set()
        with connect(settings, "reader") as own:
            while not done.is_set():
                which = answers[number] % len(asks)
                answer = asks[which](own)
                seen = [kind for kind, told in enumerate(known) if told[which] == answer]
                mixed += not seen
                kinds |= set(seen)
                answers[number] += 1
        return mixed, kinds

    swaps = 0
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(reads, number) for number in range(3)]
        try:
            while (sum(answers) < READS or swaps < SWAPS) and not any(r.done() for r in running):
                load(writer, VERSIONS[swaps % 2], data_hash=f"swap {swaps}")
                swaps += 1
        finally:
            done.set()
        found = [each.result() for each in running]
    kinds = set().union(*(seen for _, seen in found))
    return sum(answers), sum(mixed for mixed, _ in found), len(kinds), swaps


def test_no_reader_sees_some_of_each(
    settings: Settings, writer: Connection, figure: Figure
) -> None:
    """C04: three readers ask for grades and for the rows of all tables, on and on."""
    reads, mixed, kinds, swaps = swapped(settings, writer, (grades, counts))
    figure("C04", f"{reads} reads during {swaps} swaps, {mixed} mixed")
    assert reads >= READS
    assert (mixed, kinds) == (0, 2)


def test_statements_one_by_one_do_see_some_of_each(
    settings: Settings, writer: Connection, figure: Figure
) -> None:
    """C04, the control: three statements in READ COMMITTED; by chance, so it counts in a soak."""
    if not IS_SOAK:
        pytest.skip("the control is left to chance: make soak")
    reads, mixed, _, swaps = swapped(settings, writer, (three_statements,))
    figure("C04 control", f"{reads} reads during {swaps} swaps, {mixed} mixed")
    assert mixed > 0


def test_a_diff_is_of_the_revisions_it_names(
    settings: Settings, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C04: a load that lands between its two questions makes a revision that it does not show."""
    for number, tables in enumerate(VERSIONS):
        load(writer, tables, data_hash=f"{number}")
    _, alone = administration.read_diff(settings, MELBOURNE, None, None)
    real = revisions.diff_header

    def overtaken(*arguments: Any) -> pl.DataFrame:
        header = real(*arguments)
        load(writer, version(("norris",), 0.5, 5), data_hash="later")
        return header

    monkeypatch.setattr(revisions, "diff_header", overtaken)
    header, rows = administration.read_diff(settings, MELBOURNE, None, None)
    assert header["data_revision"].to_list() == [1, 2]
    assert rows.equals(alone)
