"""The proof on a lake: what it reads, prints, keeps and refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from engine.errors import ContractError
from engine.tables import SessionKey
from loaders import lake, postgres
from loaders.commands_validity import app
from loaders.profiles import read_profile
from loaders.regrade import regrade
from loaders.settings import Settings
from loaders.validity import (
    Examination,
    ValidityError,
    examine,
    import_ranking,
    read_rankings,
)
from loaders.validity_files import read_metric, read_ranking, read_votes
from tests.duels import entries, metric, sessions
from tests.frames import frame, laps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROUNDS = (1, 2, 3, 4, 5, 6)
SEASONS = (2014, 2015)
TEAMS = {
    "ann": "red", "ben": "red", "cid": "blue", "dan": "blue", "eve": "grey", "fay": "grey"
}  # fmt: skip
TESTED = range(2015, 2016)


@pytest.fixture(scope="module", autouse=True)
def graded(settings: Settings) -> None:
    """Fill the lake with two seasons: 0.1 s a lap apart, every fourth lap slower by 2 s a place."""
    keys = [SessionKey(season, number) for season in SEASONS for number in ROUNDS]
    times = {
        driver: [95.0, *[90.0 + place / 10, 90.0 + 2 * place, *[90.0 + place / 10] * 2] * 3]
        for place, driver in enumerate(TEAMS)
    }
    driven = frame(
        "laps",
        [
            {"session_id": key.session_id, **row}
            for key in keys
            for driver in TEAMS
            for row in laps(driver, times[driver])
        ],
    ).with_columns(
        lap_end_ms=pl.col("lap_time_ms").cum_sum().over("session_id", "driver_id"),
        position=pl.lit(1, pl.Int16),
    )
    tables = {
        "sessions": pl.concat(sessions(ROUNDS, season) for season in SEASONS),
        "entries": pl.concat(entries(ROUNDS, TEAMS, season) for season in SEASONS),
        "laps": driven,
    }
    lake.write(settings.lake, keys, tables)
    regrade(settings.lake, [read_profile("baseline"), read_profile("v2")])


def figure(proof: pl.DataFrame, **about: object) -> float | None:
    """Look up one figure."""
    value: float | None = proof.filter(
        pl.col(name).eq_missing(pl.lit(wanted)) for name, wanted in about.items()
    )["value"].item()
    return value


def test_the_lake_is_examined_beside_baselines(settings: Settings) -> None:
    """Ann is always faster: her laps and her rating foretell pace; the newest model has gates."""
    report = examine(settings, Examination(TESTED))
    names = report.proof["metric"].unique()
    assert {"v1 baseline", "v2 v2", "grid", "points", "Elo pace", "random"} <= set(names)
    accuracy = {"outcome": "pace", "measure": "accuracy"}
    gap = {"metric": "team-mate lap gap", "window_races": 10}
    assert figure(report.proof, **gap, **accuracy) == 1.0
    assert figure(report.proof, metric="v2 v2 rating", window_races=None, **accuracy) == 1.0
    assert {gate["metric"] for gate in report.gates} == {"v2 v2", "v2 v2 rating"}
    rated = [gate["measure"] for gate in report.gates if gate["metric"] == "v2 v2 rating"]
    assert rated == ["log loss"] * 3


def test_votes_of_later_seasons_are_read_too(tmp_path: Path) -> None:
    """Without votes nothing after the tested seasons is."""
    assert Examination(TESTED).known == range(1996, 2016)
    assert Examination(TESTED, votes=tmp_path).known == range(1996, 2027)
    assert Examination(range(2027, 2029), votes=tmp_path).known == range(1996, 2029)


def test_files_are_candidates_too(settings: Settings, tmp_path: Path) -> None:
    """A metric of a file is measured, held against its gates, and compared with all others."""
    pl.concat(
        metric(driver, [float(place)] * len(ROUNDS), season)
        for place, driver in enumerate(TEAMS)
        for season in SEASONS
    ).write_parquet(tmp_path / "mine.parquet")
    wanted = Examination(
        TESTED,
        metrics=("mine", "before", "grid"),
        grades={"mine": tmp_path / "mine.parquet"},
        states={"before": tmp_path / "mine.parquet"},
    )
    report = examine(settings, wanted)
    assert report.proof["metric"].unique(maintain_order=True).to_list() == [
        "grid",
        "mine",
        "before",
    ]
    gains = report.proof.filter(measure="log loss gain", metric="mine", outcome="pace")
    assert gains["against"].to_list() == ["grid", "before"]
    assert len({gate["measure"] for gate in report.gates if gate["metric"] == "before"}) == 1


@pytest.mark.parametrize("name", ["v1 baseline", "v2 v2"])
def test_a_missing_lap_is_tried_on_request(settings: Settings, name: str) -> None:
    """Without one of thirteen laps somebody's grade moves."""
    profile = name.split()[1]
    wanted = Examination(TESTED, profiles=(profile,), metrics=(name,), with_stability=True)
    moved = examine(settings, wanted).proof.filter(measure="missing lap rms")
    assert moved["metric"].to_list() == [name]
    assert moved["value"].item() > 0.0
    assert moved["cases"].item() == len(ROUNDS)


def test_the_command_prints_writes_and_stores(settings: Settings, tmp_path: Path) -> None:
    """One table with gates for people, JSON lines for machines, the same figures in all places."""
    environment = {"DRIVEGRADE_HOME": str(settings.home)}
    output = tmp_path / "proof.parquet"
    chosen = ["--metric", "team-mate lap gap", "--metric", "v2 v2"]
    arguments = ["--seasons", "2015", "--output", str(output), *chosen]
    shown = CliRunner().invoke(app, [*arguments, "--store"], env=environment)
    assert shown.exit_code == 0, shown.output
    for text in ("Tested on 2015", "team-mate lap gap", "Gates", "v2 v2", "stored in"):
        assert text in shown.output
    written = pl.read_parquet(output)
    measures = written["measure"]
    assert not measures.str.starts_with("missing lap").any()
    with postgres.connect(settings) as connection:
        stored = postgres.read(connection, "validation")
    kept = stored.drop("measured_at").cast(written.schema)
    assert_frame_equal(kept, written)
    told = CliRunner().invoke(app, [*arguments, "--json"], env=environment)
    assert [json.loads(line) for line in told.output.splitlines()] == written.to_dicts()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seasons", "2020-2015"], "no season or span"),
        (["--grade", "mine"], "is not NAME=FILE"),
        (["import-ranking", __file__, "--source", "Team Bosses"], "must be like"),
    ],
)
def test_arguments_are_checked(arguments: list[str], said: str) -> None:
    """Before anything is read."""
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 2
    assert said in " ".join(shown.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"seasons": range(2019, 2020)}, "no duel of team-mates in 2019-2019"),
        ({"models": ("v9",)}, "no grades of model v9; there are v1, v2"),
        ({"profiles": ("mine",)}, "no grades of profile mine; there are baseline, v2"),
        ({"metrics": ("luck",)}, "no metric luck; there are finishing position"),
        ({"rankings": ("nobody",)}, "no ranking from nobody is stored"),
    ],
)
def test_what_is_not_there_is_said(
    settings: Settings, about: Mapping[str, tuple[str, ...] | range], says: str
) -> None:
    """The refusal names what there is."""
    wanted = Examination(**{"seasons": TESTED, **about})  # type: ignore[arg-type]
    with pytest.raises(ValidityError, match=says):
        examine(settings, wanted)


def test_a_ranking_replaces_the_one_before_it(settings: Settings, tmp_path: Path) -> None:
    """Imported twice; the second has one driver less, and agrees with the order of the finish."""
    file = tmp_path / "ranking.csv"
    file.write_text("season,driver_id,rank\n2015,ann,1\n2015,ben,2\n2015,cid,3\n2015,dan,4\n")
    assert import_ranking(settings, file, "press") == 4
    file.write_text("season,driver_id,rank,why\n2015,ann,1,x\n2015,ben,2,y\n2015,cid,2.5,z\n")
    assert import_ranking(settings, file, "press") == 3
    assert read_rankings(settings, ["press"])["press"]["rank"].to_list() == [1.0, 2.0, 2.5]
    wanted = Examination(TESTED, metrics=("finishing position",), rankings=("press",))
    row = examine(settings, wanted).proof.filter(measure="ranking correlation")
    assert row.select("against", "first_season", "value", "cases").rows() == [
        ("press", 2015, pytest.approx(1.0), 3)
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("season,driver_id\n2015,ann\n", "Columns needed: season, driver_id, rank"),
        ("season,driver_id,rank\n2015,ann,first\n", "cannot be read"),
        ("season,driver_id,rank\n2015,ann,0\n", "no rank from 1 on: 1 rows"),
        ("season,driver_id,rank\n2015,,1\n", "no rank from 1 on: 1 rows"),
        ("season,driver_id,rank\n2015,ann,1\n2015,ann,2\n", "repeats: 2 rows"),
    ],
)
def test_a_ranking_that_breaks_a_rule_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """With the rule, the number of rows and the first of them."""
    file = tmp_path / "ranking.csv"
    file.write_text(text)
    with pytest.raises(ContractError, match=says):
        read_ranking(file)


def test_a_metric_is_finite(tmp_path: Path) -> None:
    """A null says nothing, an infinity is a mistake."""
    file = tmp_path / "mine.parquet"
    metric("ann", [1.0, None]).write_parquet(file)
    assert read_metric(file)["value"].to_list() == [1.0, None]
    metric("ann", [1.0, float("inf")]).write_parquet(file)
    with pytest.raises(ContractError, match="not finite: 1 rows"):
        read_metric(file)


def test_votes_are_for_cars(tmp_path: Path) -> None:
    """Car 2 is Ben's; a race that is not there is left out, a car that is not there refused."""
    file = tmp_path / "votes.parquet"
    votes = {
        "year_right": [2015, 2015, 1950],
        "round": [1, 1, 1],
        "driverNumber": ["2", "1", "99"],
        "position": ["1", "2", "1"],
        "percentage": [" 40.5", None, None],
    }
    pl.DataFrame(votes).write_parquet(file)
    entered = entries(ROUNDS, TEAMS, 2015)
    assert sorted(read_votes(file, entered).rows()) == [
        ("2015-1", "ann", False, None),
        ("2015-1", "ben", True, 40.5),
    ]
    pl.DataFrame({**votes, "year_right": [2015, 2015, 2015]}).write_parquet(file)
    with pytest.raises(ContractError, match="no such car in the race: 1 rows"):
        read_votes(file, entered)


STUDY = {
    ("finishing position", "pace"): 0.672,
    ("finishing position", "finish"): 0.679,
    ("finishing position", "qualifying"): 0.662,
    ("points", "pace"): 0.664,
    ("points", "finish"): 0.677,
    ("points", "qualifying"): 0.660,
    ("grid", "pace"): 0.670,
    ("grid", "finish"): 0.667,
    ("grid", "qualifying"): 0.644,
    ("team-mate qualifying gap", "pace"): 0.655,
    ("team-mate qualifying gap", "finish"): 0.664,
    ("team-mate qualifying gap", "qualifying"): 0.638,
    ("Elo pace", "pace"): 0.633,
    ("Elo finish", "finish"): 0.672,
    ("Elo qualifying", "qualifying"): 0.624,
}
"""Log losses on 2015-2020 that an independent study of the same seasons found."""


@pytest.mark.realdata
def test_an_independent_study_is_found_again(history_lake: Path) -> None:
    """Log losses of the baselines on six seasons within 0.003, and as many duels as it had."""
    losses = examine(
        Settings(home=history_lake.parent), Examination(range(2015, 2021))
    ).proof.filter(
        pl.col("window_races").is_null() | (pl.col("window_races") == 10), measure="log loss"
    )
    found = {(row["metric"], row["outcome"]): row["value"] for row in losses.to_dicts()}
    assert {key: found[key] for key in STUDY} == pytest.approx(STUDY, abs=0.003)
    cases = dict(losses.filter(metric="grid").select("outcome", "cases").rows())
    assert cases["finish"] == 803
    assert cases["pace"] == pytest.approx(983, abs=5)
    assert cases["qualifying"] == pytest.approx(1106, abs=5)
