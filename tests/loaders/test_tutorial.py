"""The ten questions of docs/explore.md: they run, and their answers are right.

On the bundled weekends each answer is made again in Polars from the stored tables, without the
views. Over all of history (`DRIVEGRADE_HISTORY_HOME`, a home whose lake holds it, graded) answers
are golden; `pytest --update-golden` rewrites them, and the tables in the document.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.season import driver_standings
from engine.tables import STORED
from loaders import explore, lake
from loaders.grading import grade_session
from loaders.providers import simulated
from loaders.settings import Settings
from tests.conftest import GOLDEN
from tests.profiles import BASELINE_PROFILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from duckdb import DuckDBPyConnection

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "explore.md"
QUESTIONS: Final = dict(
    re.findall(r"```sql\n-- (\w+)\n(.+?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
)
SHOWN_DECIMALS: Final = 3

Tables = dict[str, pl.DataFrame]


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose lake holds the bundled weekends."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), database_url=None)
    sessions = simulated.sessions()
    parts = [simulated.fetch(session, settings) for session in sessions]
    tables = {name: pl.concat(part[name] for part in parts) for name in parts[0]}
    derived = grade_session(tables, BASELINE_PROFILE, "bundled")
    lake.write(settings.lake, sessions, {**tables, **derived})
    return settings


@pytest.fixture(scope="module")
def tables(bundled: Settings) -> Tables:
    """What is stored of the races, by table; entries know their season and event."""
    stored = {name: lake.scan(bundled.lake, name).collect() for name in STORED}
    races = stored["sessions"].filter(pl.col("session_kind") == "race")
    kept = {name: table.join(races, on="session_id", how="semi") for name, table in stored.items()}
    known = races.select("session_id", "season", "round", "event_name", "circuit_id")
    kept["entries"] = kept["entries"].join(known, on="session_id")
    return kept


@pytest.fixture(scope="module")
def connection(bundled: Settings) -> Iterator[DuckDBPyConnection]:
    """The views over that lake."""
    with explore.connect(bundled) as opened:
        yield opened


def entry(tables: Tables, name: str) -> pl.DataFrame:
    """A table's rows beside their entries."""
    return tables[name].join(tables["entries"], on=["session_id", "driver_id"], suffix="_of_entry")


def standing(tables: Tables) -> pl.DataFrame:
    """The engine's standing of drivers, with the names of the last race."""
    names = tables["entries"].sort("season", "round").group_by("season", "driver_id")
    found = driver_standings(
        tables["driver_metrics"].lazy(),
        tables["entries"].drop("season").lazy(),
        tables["sessions"].lazy(),
    ).collect()
    return found.join(
        names.agg(pl.col("driver_name", "team_name").last()), on=["season", "driver_id"]
    )


def best_season(tables: Tables) -> pl.DataFrame:
    """Of those with a rank, the ten highest means."""
    return (
        standing(tables)
        .drop_nulls("rank")
        .sort(-pl.col("total_grade_mean").round(9), "season", "driver_id")
        .head(10)
        .select("season", "driver_name", "team_name", "races_counted", "total_grade_mean", "points")
    )


def starts(tables: Tables) -> pl.DataFrame:
    """Grid minus place after lap 1."""
    gained = (pl.col("grid_position") - pl.col("position")).cast(pl.Int64)
    return (
        entry(tables, "laps")
        .filter(pl.col("lap_number") == 1)
        .select("driver_id", "driver_name", gained=gained)
        .drop_nulls()
        .group_by("driver_id", "driver_name")
        .agg(starts=pl.len(), mean=pl.col("gained").mean(), gained=pl.col("gained").sum())
        .sort("gained", "driver_id", descending=[True, False])
        .head(10)
        .select("driver_name", "starts", "gained", "mean")
    )


def team_mates(tables: Tables) -> pl.DataFrame:
    """Pairs within a team and race, both with a total and a quarter of the distance."""
    runs = entry(tables, "driver_metrics").drop_nulls("total_grade")
    winner = runs.filter(pl.col("position") == 1).select("session_id", full="completed_laps")
    runs = runs.join(winner, on="session_id").filter(pl.col("completed_laps") >= pl.col("full") / 4)
    gap = pl.col("total_grade") - pl.col("total_grade_mate")
    names = pl.col("driver_name"), pl.col("driver_name_mate")
    return (
        runs.join(runs, on=["session_id", "team_id"], suffix="_mate")
        .filter(pl.col("driver_id") < pl.col("driver_id_mate"))
        .group_by("season", "team_id", "team_name", "driver_id", "driver_id_mate")
        .agg(
            *(name.first() for name in names),
            races=pl.len(),
            won=pl.max_horizontal((gap > 0).sum(), (gap < 0).sum()),
            gap=gap.mean(),
        )
        .filter(pl.col("races") >= pl.col("races").max().over("season") / 2)
        .sort(-pl.col("gap").abs().round(9), "season", "driver_id", "driver_id_mate")
        .head(10)
        .select(
            "season",
            "team_name",
            pl.when(pl.col("gap") > 0).then(names[0]).otherwise(names[1]).alias("better"),
            pl.when(pl.col("gap") > 0).then(names[1]).otherwise(names[0]).alias("worse"),
            "races",
            "won",
            pl.col("gap").abs().alias("difference"),
        )
    )


def on_track(tables: Tables) -> pl.DataFrame:
    """Passes on track by race, counted from the events themselves."""
    passes = tables["overtakes"].filter(pl.col("kind") == "on_track")
    counted = passes.group_by("session_id").agg(passes=pl.len())
    return tables["sessions"].join(counted, on="session_id")


def circuits(tables: Tables) -> pl.DataFrame:
    """Every bundled race knows its crossings of the line."""
    by_circuit = on_track(tables).group_by("circuit_id")
    return by_circuit.agg(races=pl.len(), passes_per_race=pl.col("passes").mean()).sort(
        pl.col("passes_per_race").round(9), "circuit_id"
    )


def consistency(tables: Tables) -> pl.DataFrame:
    """Pearson's, over the drivers with a rank."""
    ranked = standing(tables).drop_nulls(["rank", "consistency_score_mean", "points"])
    by_season = ranked.group_by("season").agg(
        drivers=pl.len(),
        consistency_to_points=pl.corr("consistency_score_mean", "points"),
        grade_to_points=pl.corr("total_grade_mean", "points"),
    )
    return by_season.sort("season")


def laps_led(tables: Tables) -> pl.DataFrame:
    """Laps at whose end the driver was first."""
    first = tables["laps"].filter(pl.col("position") == 1)
    names = tables["entries"].select("session_id", "driver_id", "driver_name")
    return (
        first.join(names, on=["session_id", "driver_id"])
        .group_by("driver_id", "driver_name")
        .agg(laps_led=pl.len(), races_led=pl.col("session_id").n_unique())
        .sort("laps_led", "driver_id", descending=[True, False])
        .head(10)
        .drop("driver_id")
    )


def passes(tables: Tables) -> pl.DataFrame:
    """Events, counted by season."""
    by_season = on_track(tables).group_by("season")
    return by_season.agg(
        races=pl.len(),
        passes=pl.col("passes").sum(),
        passes_per_race=pl.col("passes").sum() / pl.len(),
    ).sort("season")


def stints(tables: Tables) -> pl.DataFrame:
    """Laps on one set, by number."""
    laps = entry(tables, "laps").drop_nulls("stint_number").sort("lap_number")
    return (
        laps.group_by("session_id", "driver_id", "stint_number")
        .agg(
            pl.col("season", "round", "event_name", "driver_name").first(),
            compound=pl.col("compound").drop_nulls().first(),
            first_lap=pl.col("lap_number").min(),
            last_lap=pl.col("lap_number").max(),
            lap_count=pl.len(),
        )
        .sort(-pl.col("lap_count").cast(pl.Int64), "season", "round", "driver_id", "stint_number")
        .head(10)
        .drop("session_id", "driver_id", "stint_number", "round")
    )


def safety_car(tables: Tables) -> pl.DataFrame:
    """Three of the winner's laps, none of them in, out or first, took 1.3 of his median."""
    winner = entry(tables, "laps").filter(pl.col("position_of_entry") == 1)
    plain = (pl.col("lap_number") > 1) & ~pl.col("is_in_lap") & ~pl.col("is_out_lap")
    is_slow = (pl.col("lap_time_ms") > 1.3 * pl.col("lap_time_ms").median()) & plain
    races = winner.group_by("session_id").agg(was_slowed=is_slow.sum() >= 3)
    grade = tables["driver_metrics"].group_by("session_id").agg(pl.col("total_grade").mean())
    return (
        races.join(on_track(tables), on="session_id")
        .join(grade, on="session_id")
        .group_by("was_slowed")
        .agg(
            races=pl.len(),
            passes_per_race=pl.col("passes").mean(),
            mean_grade=pl.col("total_grade").mean(),
        )
        .sort("was_slowed")
    )


def career(tables: Tables) -> pl.DataFrame:
    """The driver with the most races, the first by id of several."""
    found = standing(tables)
    counted = found.group_by("driver_id").agg(pl.col("races_counted").sum())
    longest = counted.sort("races_counted", "driver_id", descending=[True, False]).head(1)
    return (
        found.join(longest, on="driver_id", how="semi")
        .sort("season")
        .select(
            *("season", "driver_name", "team_name", "rank", "races_counted", "total_grade_mean"),
            *("consistency_score_mean", "racecraft_score_mean", "points"),
        )
    )


RESTATED: Final[dict[str, Callable[[Tables], pl.DataFrame]]] = {
    function.__name__: function
    for function in (
        *(best_season, starts, team_mates, circuits, consistency),
        *(laps_led, passes, stints, safety_car, career),
    )
}


def test_there_are_ten_questions_with_a_place_for_each_answer() -> None:
    """None without a restatement, none without an answer's place."""
    assert list(QUESTIONS) == list(RESTATED)
    places = re.findall(r"<!-- answer (\w+) -->", DOCUMENT.read_text(encoding="utf-8"))
    assert places == list(QUESTIONS)


@pytest.mark.parametrize("name", RESTATED)
def test_an_answer_is_right(connection: DuckDBPyConnection, tables: Tables, name: str) -> None:
    """On the bundled weekends, to 1e-9: the same rows in the same order as made by other means."""
    found = explore.query(connection, QUESTIONS[name])
    expected = RESTATED[name](tables)
    assert found.height > 0
    plain = expected.select(found.columns).cast(found.schema)
    assert_frame_equal(found, plain, check_exact=False, rel_tol=0, abs_tol=1e-9)


@pytest.fixture(scope="module")
def history(realdata: Path) -> Iterator[DuckDBPyConnection]:
    """The views over all of history; skips, and says so, where there is none."""
    home = os.environ.get("DRIVEGRADE_HISTORY_HOME")
    if not home:
        pytest.skip("DRIVEGRADE_HISTORY_HOME is not set: no home with all of history, graded")
    with explore.connect(Settings(home=Path(home))) as opened:
        yield opened


@pytest.mark.realdata
@pytest.mark.parametrize("name", RESTATED)
def test_an_answer_over_history_stays(
    history: DuckDBPyConnection,
    golden: Callable[[str, pl.DataFrame], None],
    request: pytest.FixtureRequest,
    name: str,
) -> None:
    """What the document says is what the engine gives."""
    golden(f"tutorial/{name}", explore.query(history, QUESTIONS[name]))
    if request.config.getoption("--update-golden"):
        DOCUMENT.write_text(with_answer(name), encoding="utf-8")


@pytest.mark.parametrize("name", RESTATED)
def test_the_document_shows_the_golden_answers(name: str) -> None:
    """Table by table; a place without a golden answer is empty."""
    assert DOCUMENT.read_text(encoding="utf-8") == with_answer(name)


def with_answer(name: str) -> str:
    """The document with the golden answer to one question, floats to three decimals."""
    path = GOLDEN / "tutorial" / f"{name}.csv"
    table = markdown(pl.read_csv(path)) if path.exists() else ""
    return re.sub(
        rf"(<!-- answer {name} -->\n).*?(<!-- end -->)",
        lambda found: found[1] + table + found[2],
        DOCUMENT.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )


def markdown(frame: pl.DataFrame) -> str:
    """Write a frame as a table."""
    rows = [frame.columns, ["---"] * frame.width, *(map(_cell, row) for row in frame.rows())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.{SHOWN_DECIMALS}f}".rstrip("0").rstrip(".")
    return "–" if value is None else str(value)
