"""Questions to the lake: the views, what they are over, and what cannot be done with them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest
import typer
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from engine.season import (
    DriverStandings,
    Standings,
    TeamStandings,
    driver_standings,
    team_standings,
)
from engine.tables import STORED, empty
from loaders import commands_explore, explore, lake, postgres
from loaders.manifest import LakeError
from loaders.profiles import activate
from loaders.settings import RESOURCES, Settings
from tests.frames import frame
from tests.profiles import BASELINE_PROFILE
from tests.seasons import SESSIONS, season_tables
from tests.warehouse import MELBOURNE, graded_v2, load, session_tables, start_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    Run = Callable[..., tuple[int, str, str]]

APP = typer.Typer()
for command in (commands_explore.grades, commands_explore.sql, commands_explore.explore):
    APP.command()(command)

STANDINGS = pytest.mark.parametrize(
    ("run", "contract", "subject"),
    [
        (driver_standings, DriverStandings, "driver_id"),
        (team_standings, TeamStandings, "team_id"),
    ],
    ids=["drivers", "teams"],
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose name needs care in SQL, with the two made-up seasons and one hand-made race."""
    settings = Settings(home=tmp_path_factory.mktemp("it's [a] home*"), database_url=None)
    lake.write(settings.lake, SESSIONS, season_tables())
    lake.write_session(settings.lake, MELBOURNE, session_tables())
    return settings


@pytest.fixture(scope="module")
def connection(home: Settings) -> Iterator[DuckDBPyConnection]:
    """The views over that lake."""
    with explore.connect(home) as opened:
        yield opened


def standings(
    run: Callable[..., pl.LazyFrame], contract: type[Standings], keep: pl.Expr | None = None
) -> pl.DataFrame:
    """What the engine makes of the made-up seasons."""
    tables = {name: table.lazy() for name, table in season_tables().items()}
    if keep is not None:
        tables["driver_metrics"] = tables["driver_metrics"].filter(keep)
    found = run(tables["driver_metrics"], tables["entries"], tables["sessions"]).collect()
    return found.sort(contract.primary_key())


def assert_restated(found: pl.DataFrame, contract: type[Standings], expected: pl.DataFrame) -> None:
    """See that other columns in other types hold the same standings to 1e-9."""
    columns = contract.columns().items()
    restated = found.select(pl.col(name).cast(column.dtype) for name, column in columns)
    assert_frame_equal(
        restated.sort(contract.primary_key()), expected, check_exact=False, rel_tol=0, abs_tol=1e-9
    )


@STANDINGS
def test_duckdb_restates_the_standings(
    connection: DuckDBPyConnection,
    run: Callable[..., pl.LazyFrame],
    contract: type[Standings],
    subject: str,
) -> None:
    """Season by season, kind, profile and model; the names beside are those of the last race."""
    view = "season_standings" if subject == "driver_id" else "team_standings"
    found = explore.query(connection, f"from {view} where season between 2030 and 2031")
    assert_restated(found, contract, standings(run, contract))


@STANDINGS
def test_postgresql_restates_the_standings(
    standing_warehouse: Settings,
    run: Callable[..., pl.LazyFrame],
    contract: type[Standings],
    subject: str,
) -> None:
    """A season under the active profile, races and sprints apart."""
    keep = (
        (pl.col("profile_name") == "baseline")
        & (pl.col("model_version") == "v1")
        & pl.col("session_id").str.starts_with("2030")
    )
    with postgres.connect(standing_warehouse) as opened:
        parts = [
            postgres.read(opened, "season_standings", 2030, kind, None, subject == "team_id")
            for kind in ("race", "sprint")
        ]
    found = pl.concat(parts).rename({"subject_id": subject})
    assert_restated(found, contract, standings(run, contract, keep))


@pytest.fixture(scope="module")
def standing_warehouse(warehouse_settings: Settings) -> Settings:
    """A warehouse with the grades of one made-up season under the baseline profile."""
    metrics = pl.col("profile_name") == "baseline", pl.col("model_version") == "v1"
    with postgres.connect(warehouse_settings) as opened:
        start_over(opened)
        activate(opened, BASELINE_PROFILE.name, None)
        for session in (key for key in SESSIONS if key.season == 2030):
            here = pl.col("session_id") == session.session_id
            tables = {name: table.filter(here) for name, table in season_tables().items()}
            tables["driver_metrics"] = tables["driver_metrics"].filter(*metrics)
            load(opened, {**{name: empty(name) for name in STORED}, **tables}, session)
    return warehouse_settings


def test_every_view_is_described_and_has_a_place() -> None:
    """The folder and the order name the same views; each file begins by saying what it holds."""
    files = {path.stem for path in (RESOURCES / "sql" / "duckdb").glob("*.sql")}
    assert files == set(explore.VIEWS)
    assert all(len(explore.description(view)) > 20 for view in explore.VIEWS)


def test_stored_tables_come_as_they_are(home: Settings, connection: DuckDBPyConnection) -> None:
    """Every column of the contract in its order behind the season, vocabularies as text."""
    for table, schema in STORED.items():
        found = explore.query(connection, f"from lake.{table}")
        names = [name for name in schema.column_names() if name != "season"]
        assert found.columns == ["season", *names]
        stored = lake.scan(home.lake, table).collect()
        plain = stored.with_columns(pl.col(pl.Enum).cast(pl.String)).select(names)
        key = schema.primary_key()
        assert_frame_equal(found.select(names).sort(key), plain.sort(key))


def test_what_grades_of_model_v2_rest_on(tmp_path: Path) -> None:
    """A rating of 0.5 ± 0.1, a lap at risk that was no pass, a stop that cost 1.5 s."""
    settings = Settings(home=tmp_path)
    evidence = graded_v2(
        grade_evidence={"rating_pct": 0.5, "rating_se_pct": 0.1}, pit_cycles={"lost_s": 1.5}
    )
    lake.write_session(settings.lake, MELBOURNE, {**session_tables(), **evidence})
    with explore.connect(settings) as opened:

        def ask(question: str) -> list[tuple[object, ...]]:
            return explore.query(opened, question).rows()

        ends = "round(rating_low_pct, 4), round(rating_high_pct, 4)"
        rated = ask(f"select driver_id, {ends} from ratings order by 1")  # noqa: S608 - ours
        assert rated == [("norris", 0.3355, 0.6645), ("piastri", None, None)]
        passes = ask("select driver_name, opponent_name, beyond_expectation from pass_events")
        assert passes == [("Piastri", "Norris", -0.25)]
        cycles = ask("select team_id, stops, lost_s from team_pit_cycles order by 1")
        assert cycles == [("team_of_norris", 1, 1.5), ("team_of_piastri", 0, None)]
        made_of = ask("select driver_name, grade, clean_laps from grade_evidence order by 1")
        assert made_of == [("Norris", 40.0, 2), ("Piastri", 40.0, 2)]


def test_a_lake_without_files_has_all_views(tmp_path: Path) -> None:
    """With their columns, and no rows."""
    with explore.connect(Settings(home=tmp_path)) as opened:
        for view in explore.VIEWS:
            found = explore.query(opened, f"from {view}")
            assert (found.height, "season" in found.columns) == (0, True)


def test_empty_tables_have_the_types_of_filled_ones(home: Settings, tmp_path: Path) -> None:
    """A question does not change its types when the first rows come."""
    question = (
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'lake' order by all"
    )
    lake.write_session(tmp_path / "lake", MELBOURNE, session_tables())
    there = set(lake.snapshot(tmp_path / "lake").manifest.files)
    with (
        explore.connect(Settings(home=tmp_path)) as one,
        explore.connect(Settings(home=tmp_path / "none")) as none,
    ):
        filled, bare = explore.query(one, question), explore.query(none, question)
    assert "driver_metrics" in there
    assert_frame_equal(filled, bare)


def test_a_question_about_a_season_opens_its_file_only(connection: DuckDBPyConnection) -> None:
    """Through every join: of the three seasons one is read."""
    plan = connection.sql("explain analyze select count(*) from laps where season = 2025").pl()
    text = "\n".join(plan["explain_value"])
    assert "Scanning Files: 1/3" in text
    assert "Scanning Files: 3/3" not in text


def test_a_lap_knows_its_driver_and_its_race(connection: DuckDBPyConnection) -> None:
    """Names are joined to what is stored; the only pass is between the two drivers."""
    laps = explore.query(connection, "from laps where season = 2025 order by driver_id, lap_number")
    assert laps.select("driver_name", "team_id", "lap_number").rows()[:2] == [
        ("Norris", "team_of_norris", 1),
        ("Norris", "team_of_norris", 2),
    ]
    passes = explore.query(connection, "select driver_name, opponent_name from overtakes")
    assert passes.rows() == [("Piastri", "Norris")]
    stints = explore.query(
        connection,
        "select stint_number, compound, first_lap, last_lap, lap_count, start_tyre_life_laps "
        "from stints where driver_id = 'norris' order by 1",
    )
    assert stints.rows() == [(1, "SOFT", 1, 1, 1, 3), (2, "INTERMEDIATE", 2, 3, 2, 1)]


def test_without_sets_of_tyres_a_stint_ends_in_the_pit_lane(tmp_path: Path) -> None:
    """In after laps 1 and 3 of 5: laps 1, 2 to 3, 4 to 5; a race without known stops has none."""
    settings = Settings(home=tmp_path)
    tables = session_tables(lap_count=5)
    stops = [{"driver_id": "norris", "lap_number": lap} for lap in (1, 3)]
    tables["laps"] = tables["laps"].with_columns(stint_number=pl.lit(None, pl.Int16))
    question = "select driver_id, first_lap, last_lap from stints order by all"
    lake.write_session(settings.lake, MELBOURNE, {**tables, "pit_stops": frame("pit_stops", stops)})
    with explore.connect(settings) as opened:
        found = explore.query(opened, question).rows()
    assert found == [("norris", 1, 1), ("norris", 2, 3), ("norris", 4, 5), ("piastri", 1, 5)]
    lake.write_session(settings.lake, MELBOURNE, {**tables, "pit_stops": empty("pit_stops")})
    with explore.connect(settings) as opened:
        assert explore.query(opened, question).is_empty()


def test_wide_sums_and_moments_reach_python(connection: DuckDBPyConnection) -> None:
    """Sums of whole numbers are whole, decimals are floats, times need no further package."""
    answer = explore.query(
        connection,
        "select sum(lap_time_ms) as t, sum(1.5) as d, max(timestamptz '2025-01-01 00:00+00') as m, "
        "count(*) as n from laps where season = 2025",
    )
    assert answer.schema["t"] == pl.Int64
    assert answer.select("t", "d", "n").rows() == [(6 * 90_000, 9.0, 6)]
    assert json.loads(answer.write_ndjson())["m"].startswith("2025-01-01T00:00:00")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("select 1; select 2", "SELECT, SELECT"),
        ("copy (select 1) to '/tmp/x.csv'", "COPY"),
        ("create table t as select 1", "CREATE"),
        ("set enable_external_access = true", "SET"),
        ("explain analyze copy (select 1) to '/tmp/x.csv'", "EXPLAIN"),
        ("", "none"),
        ("selec 1", "syntax error"),
        ("from nowhere", "nowhere does not exist"),
        ("select * from read_text('/etc/hostname')", "disabled by configuration"),
        ("select * from glob('/*')", "disabled by configuration"),
        ("select interval 1 day", "Cast it"),
    ],
)
def test_a_question_that_is_none_is_refused(
    connection: DuckDBPyConnection, question: str, said: str
) -> None:
    """With what DuckDB says, and what to do."""
    with pytest.raises(explore.ExploreError, match=said):
        explore.query(connection, question)


@pytest.mark.parametrize(
    "statement",
    [
        "set enable_external_access = true",
        "set allowed_paths = ['/etc/hostname']",
        "copy (select 1 as a) to 'written.csv'",
        "attach 'other.duckdb'",
        "install httpfs",
    ],
)
def test_a_connection_reaches_only_the_lake(connection: DuckDBPyConnection, statement: str) -> None:
    """Not even past `query`: no setting, file, database or extension."""
    with pytest.raises(duckdb.Error, match=r"locked|disabled by configuration"):
        connection.execute(statement)


def test_views_are_over_the_files_of_that_moment(tmp_path: Path) -> None:
    """What is written later does not show; the next connection sees it."""
    settings = Settings(home=tmp_path)
    lake.write_session(settings.lake, MELBOURNE, session_tables(lap_count=3))
    with explore.connect(settings) as before:
        lake.write_session(settings.lake, MELBOURNE, session_tables(lap_count=5))
        assert explore.query(before, "select count(*) from laps").item() == 6
    with explore.connect(settings) as after:
        assert explore.query(after, "select count(*) from laps").item() == 10


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """Before any question is asked."""
    settings = Settings(home=tmp_path)
    lake.write_session(settings.lake, MELBOURNE, session_tables())
    path = lake.snapshot(settings.lake).files("laps")[2025]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LakeError, match=path.name):
        explore.connect(settings)


def test_a_written_database_says_what_it_is_a_picture_of(home: Settings, tmp_path: Path) -> None:
    """Its views work from any folder; what else the file holds stays."""
    path = tmp_path / "explore.duckdb"
    with duckdb.connect(path) as mine:
        mine.execute("create table mine as select 7 as a")
    row = explore.write_database(home, path).row(0, named=True)
    assert (row["first_season"], row["last_season"], row["sessions"]) == (2025, 2031, 17)
    assert row["lake"] == str(home.lake)
    files = lake.snapshot(home.lake).manifest.files
    assert row["files"] == sum(len(seasons) for seasons in files.values())
    explore.write_database(home, path)
    with duckdb.connect() as other:
        other.execute(f"attach '{path}' as picture (read_only)")
        assert other.sql("select a from picture.mine").fetchall() == [(7,)]
        assert other.sql("select count(*) from picture.grades where season = 2025").fetchall() == [
            (2,)
        ]


@pytest.mark.parametrize("name", ["text", "absent/explore.duckdb"])
def test_a_file_that_is_no_database_is_left_alone(
    home: Settings, tmp_path: Path, name: str
) -> None:
    """And so is a folder that is not there."""
    (tmp_path / "text").write_text("not a database" * 1000, encoding="utf-8")
    with pytest.raises(explore.ExploreError, match="cannot be written"):
        explore.write_database(home, tmp_path / name)
    assert (tmp_path / "text").read_text(encoding="utf-8").startswith("not a database")


@pytest.fixture
def run(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command over the made-up lake: exit code, output, errors."""
    monkeypatch.setenv("DRIVEGRADE_HOME", str(home.home))

    def call(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(APP, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return call


def test_sql_prints_lines_of_json_csv_or_a_table(run: Run) -> None:
    """The same rows in each; a null is no text."""
    question = "select season, null as n, avg(completed_laps) / 3 as x from entries group by 1"
    found = [json.loads(line) for line in run("sql", question, "--json")[1].splitlines()]
    assert {row["season"] for row in found} == {2025, 2030, 2031}
    assert all(row["n"] is None for row in found)
    ordered = "select season, count(*) as n from sessions group by 1 order by 1"
    assert run("sql", ordered, "--csv")[1] == "season,n\n2025,1\n2030,8\n2031,8\n"
    assert "2031" in run("sql", ordered)[1]
    assert run("sql", ordered, "--csv", "--json")[0] == 2


def test_sql_without_a_question_lists_the_views(run: Run) -> None:
    """Each with its first lines."""
    listed = [json.loads(line) for line in run("sql", "--json")[1].splitlines()]
    assert [row["view"] for row in listed] == sorted(explore.VIEWS)
    assert all(row["what it is"] == explore.description(row["view"]) for row in listed)


def test_sql_shows_the_first_rows_and_counts_the_rest(
    run: Run,
) -> None:
    """A terminal gets 200 rows, a file all."""
    _, out, err = run("sql", "select range as n from range(1000, 1300)")
    assert ("1199" in out, "1200" in out) == (True, False)
    assert err.startswith("100 more rows")


def test_csv_has_no_place_for_lists(run: Run) -> None:
    """Which is said, with the column's name, before anything is printed."""
    with pytest.raises(Exception, match="lists in laps") as caught:
        run("sql", "select [1, 2] as laps", "--csv")
    assert "unnest" in str(caught.value)


@pytest.mark.parametrize("has_shell", [True, False])
def test_explore_writes_and_opens_the_shell_if_there_is_one(
    run: Run,
    home: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_shell: bool,
) -> None:
    """A program called duckdb is run on the file; its exit code is the command's."""
    told = tmp_path / "told"
    if has_shell:
        program = tmp_path / "duckdb"
        program.write_text(f'#!/bin/sh\necho "$@" > "{told}"\nexit 3\n', encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    code, out, _ = run("explore")
    path = (home.home / "explore.duckdb").resolve()
    assert f"{path}: views over 17 sessions of 2025–2031" in out
    if has_shell:
        assert (code, told.read_text(encoding="utf-8").strip()) == (3, f"-readonly {path}")
    else:
        assert code == 0
        assert "Open it with: duckdb" in out


def test_explore_writes_a_named_file_and_opens_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that is made, even if there is a shell."""
    (tmp_path / "duckdb").write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    (tmp_path / "duckdb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    code, out, _ = run("explore", "--write", str(tmp_path / "new" / "named.duckdb"))
    assert (code, (tmp_path / "new" / "named.duckdb").exists()) == (0, True)
    assert "Open it with: duckdb" in out


def test_grades_shows_the_standing_of_a_season(
    standing_warehouse: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Races and sprints apart, best first; by team if asked; every race as before with --all."""
    monkeypatch.setenv("DRIVEGRADE_HOME", str(standing_warehouse.home))
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def lines(*options: str) -> list[dict[str, object]]:
        result = CliRunner().invoke(APP, ["grades", "2030", *options, "--json"])
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    drivers = lines()
    ranked = [row["rank"] for row in drivers if row["session_kind"] == "race" and row["rank"]]
    assert ranked == sorted(ranked)  # type: ignore[type-var]
    assert {row["session_kind"] for row in drivers} == {"race", "sprint"}
    assert {row["subject_id"] for row in lines("--teams")} <= {f"team_{n}" for n in range(5)}
    assert len({row["round"] for row in lines("--all")}) == 6
    assert {row["session_kind"] for row in lines("--session", "sprint")} == {"sprint"}
    shown = CliRunner().invoke(APP, ["grades", "2030"]).stdout
    assert "Drivers 2030" in shown
    assert "Drivers 2030 sprints" in shown
    assert "…" not in shown, "80 columns have room for every figure"
    assert CliRunner().invoke(APP, ["grades", "2030", "1", "--teams"]).exit_code == 2
    assert CliRunner().invoke(APP, ["grades", "2030", "--session", "x"]).exit_code == 2
    with pytest.raises(Exception, match="no grades of 1999 are stored"):
        CliRunner().invoke(APP, ["grades", "1999"], catch_exceptions=False)
