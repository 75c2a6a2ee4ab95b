"""A season's standing: rules worked by hand, and what holds for every step of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.season import (
    SERIES,
    DriverStandings,
    Standings,
    TeamStandings,
    driver_standings,
    team_standings,
)
from engine.v1.grade import grade
from tests.engine import test_steps as generic
from tests.engine.steps import Step
from tests.frames import frame
from tests.profiles import BASELINE
from tests.seasons import season_tables
from tests.warehouse import metrics_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STEPS = tuple(
    Step(
        name,
        lambda t, run=run: run(t["driver_metrics"], t["entries"], t["sessions"]),  # type: ignore[misc]
        (*SERIES, subject),
        pl.Schema({name: column.dtype for name, column in contract.columns().items()}),
    )
    for name, run, subject, contract in (
        ("driver_standings", driver_standings, "driver_id", DriverStandings),
        ("team_standings", team_standings, "team_id", TeamStandings),
    )
)
CHECKS = (
    generic.gives_its_schema,
    generic.runs_no_python,
    generic.ignores_row_order,
    generic.runs_alike_streamed,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_step(step: Step, check: generic.Check) -> None:
    """Schema, no Python, any row order, either engine."""
    check(step, season_tables())


@pytest.mark.parametrize("contract", [DriverStandings, TeamStandings])
def test_standings_keep_their_contract(contract: type[Standings]) -> None:
    """Key, bounds and nulls are those that are promised."""
    step = STEPS[contract is TeamStandings]
    assert contract.is_valid(step.frame(season_tables()))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_series_alone_is_as_among_others(step: Step) -> None:
    """Seasons, kinds of session, profiles and models do not see each other."""
    tables = season_tables()
    together = step.frame(tables)
    series = together.select(SERIES).unique()
    assert series.height == 2 * 2 * 2 * 2
    for season, kind, profile, model in series.rows():
        keys = tables["sessions"].filter(
            pl.col("season") == season, pl.col("session_kind").cast(pl.String) == kind
        )
        alone = {
            name: table.join(keys, on="session_id", how="semi") for name, table in tables.items()
        }
        alone["driver_metrics"] = alone["driver_metrics"].filter(
            pl.col("profile_name") == profile, pl.col("model_version") == model
        )
        part = together.filter(
            pl.all_horizontal(
                pl.col(name).cast(pl.String) == str(value)
                for name, value in zip(SERIES, (season, kind, profile, model), strict=True)
            )
        )
        assert_frame_equal(step.frame(alone), part, check_exact=True)


def standing(
    runs: Iterable[Mapping[str, object]], share: float | None = None, by: str = "driver_id"
) -> dict[str, dict[str, object]]:
    """Standings of hand-written driver-races by subject.

    A run names its `round`, driver (`d`), laps, total and whatever else an entry or grade has.
    """
    rows: list[dict[str, object]] = [
        {"d": "a", "round": 1, "kind": "race", "laps": 60, "total": 0.5, **run} for run in runs
    ]
    ids = {(row["round"], row["kind"]): f"2025-{row['round']}" for row in rows}
    ids = {key: name + ("-sprint" if key[1] == "sprint" else "") for key, name in ids.items()}
    sessions = [
        {"session_id": name, "round": key[0], "session_kind": key[1]} for key, name in ids.items()
    ]
    entries: list[Mapping[str, object]] = []
    metrics: list[Mapping[str, object]] = []
    for row in rows:
        key: dict[str, object] = {
            "session_id": ids[row["round"], row["kind"]],
            "driver_id": row["d"],
        }
        entries.append(
            {
                **key,
                "team_id": row.get("team", "t"),
                "completed_laps": row["laps"],
                "position": row.get("position"),
                "points": row.get("points"),
            }
        )
        if row["total"] != "ungraded":
            known: dict[str, object] = {
                name: row[name] for name in ("on_track_events", "profile_version") if name in row
            }
            metrics.append(metrics_row(key, total_grade=row["total"], **known))
    run = driver_standings if by == "driver_id" else team_standings
    plan = run(
        frame("driver_metrics", metrics).lazy(),
        frame("entries", entries).lazy(),
        frame("sessions", sessions).lazy(),
        **({} if share is None else {"min_distance_share": share}),
    )
    found = plan.collect().to_dicts()
    return {f"{row[by]}" + ("*" if row["session_kind"] == "sprint" else ""): row for row in found}


WINNER = {"d": "winner", "position": 1, "laps": 60, "total": 0.9}


@pytest.mark.parametrize(("laps", "counted"), [(14, 0), (15, 1), (0, 0), (None, 1)])
def test_a_quarter_of_the_winners_distance_counts(laps: int | None, counted: int) -> None:
    """15 of 60 laps count, 14 do not, and an unknown distance is no early end."""
    found = standing([WINNER, {"laps": laps}])["a"]
    assert (found["races_entered"], found["races_graded"], found["races_counted"]) == (
        1,
        1,
        counted,
    )
    assert found["total_grade_mean"] == (0.5 if counted else None)
    assert found["total_grade_sum"] == 0.5


def test_a_shortened_race_counts_for_those_who_finished_it() -> None:
    """Three laps were all there were; without a known winner every distance counts."""
    assert standing([{**WINNER, "laps": 3}, {"laps": 3}])["a"]["races_counted"] == 1
    assert standing([{**WINNER, "position": None}, {"laps": 3}])["a"]["races_counted"] == 1


def test_two_laps_do_not_move_the_mean() -> None:
    """0.8 and 0.6 over full races, 0.1 after two laps: mean 0.7, sum 1.5; model v1 has 0.5."""
    runs = [{**WINNER, "round": number} for number in (1, 2, 3)]
    runs += [{"total": 0.8}, {"total": 0.6, "round": 2}, {"total": 0.1, "round": 3, "laps": 2}]
    found = standing(runs)["a"]
    assert found["total_grade_mean"] == pytest.approx(0.7)
    assert found["total_grade_sum"] == pytest.approx(1.5)
    assert (found["total_grade_best"], found["total_grade_worst"]) == (0.8, 0.6)
    assert standing(runs, share=0.0)["a"]["total_grade_mean"] == pytest.approx(0.5)


def test_model_v1s_aggregation_comes_out_of_what_grade_gives() -> None:
    """Unmasked grades and no least distance: no laps are 0.275, and weigh as much as a race."""
    full = {"session_id": "2025-1", "driver_id": "a", "lap_deltas_s": [0.0] * 10}
    none = {"session_id": "2025-2", "driver_id": "a", "has_lap_clocks": False}
    sessions = frame("sessions", [{"session_id": f"2025-{n}", "round": n} for n in (1, 2)])
    entries = [{**full, "completed_laps": 60, "position": 1}, {**none, "completed_laps": 0}]
    kept = ("session_id", "driver_id", "completed_laps", "position")
    found = driver_standings(
        grade(
            frame("driver_inputs", [full, none]).lazy(),
            frame("overtakes", []).lazy(),
            BASELINE.lazy(),
        ),
        frame(
            "entries", [{"team_id": "t"} | {k: e[k] for k in kept if k in e} for e in entries]
        ).lazy(),
        sessions.lazy(),
        min_distance_share=0.0,
    ).collect()
    row = found.row(0, named=True)
    assert (row["races_graded"], row["races_counted"]) == (2, 2)
    assert row["total_grade_sum"] == pytest.approx(0.55 + 0.275)
    assert row["total_grade_mean"] == pytest.approx((0.55 + 0.275) / 2)


def test_a_sprint_stands_alone() -> None:
    """Its grade, its points and its rank are in no race's standing."""
    found = standing(
        [{"total": 0.2, "points": 25.0}, {"kind": "sprint", "total": 0.9, "points": 8.0}]
    )
    assert (found["a"]["total_grade_mean"], found["a"]["points"]) == (0.2, 25.0)
    assert (found["a*"]["total_grade_mean"], found["a*"]["points"]) == (0.9, 8.0)


def test_a_rank_needs_half_of_the_graded_races() -> None:
    """Four races: two of them are enough, one is not, however good; equals share a place."""
    runs: list[dict[str, object]] = [
        {"d": "b", "round": number, "total": 0.6} for number in (1, 2, 3, 4)
    ]
    runs += [{"d": "a", "round": number, "total": 0.6} for number in (1, 2)]
    runs += [{"d": "c", "round": number, "total": 0.4} for number in (3, 4)]
    runs += [{"d": "once", "total": 1.0}, {"d": "never", "total": "ungraded"}]
    runs += [{"d": "c", "round": 5, "total": None}]
    ranks = {name: row["rank"] for name, row in standing(runs).items()}
    assert ranks == {"a": 1, "b": 1, "c": 3, "once": None, "never": None}


def test_who_was_never_graded_is_listed() -> None:
    """With what was entered, and nulls that are no zeros."""
    found = standing([{}, {"d": "never", "total": "ungraded", "points": 2.0}])["never"]
    counts = ("races_entered", "races_graded", "races_counted", "points")
    assert [found[name] for name in counts] == [1, 0, 0, 2.0]
    sums = ("total_grade_sum", "total_grade_mean", "on_track_events_sum", "profile_version")
    assert [found[name] for name in sums] == [None] * 4


def test_unknown_events_are_not_zero() -> None:
    """3 passes and an unknown number are 3; unknown ones alone are unknown."""
    runs: list[dict[str, object]] = [{"on_track_events": 3}, {"round": 2, "on_track_events": None}]
    both = standing(runs)["a"]
    assert (both["on_track_events_sum"], both["on_track_events_mean"]) == (3, 3.0)
    assert standing(runs[1:])["a"]["on_track_events_sum"] is None


def test_a_driver_race_is_of_the_team_of_that_day() -> None:
    """After the change of teams the grades are the new team's; two cars are two driver-races."""
    runs = [
        {"team": "old", "total": 0.2},
        {"team": "new", "total": 0.8, "round": 2},
        {"d": "b", "team": "new", "total": 0.4, "round": 2},
    ]
    teams = standing(runs, by="team_id")
    assert teams["old"]["total_grade_mean"] == 0.2
    assert teams["new"]["total_grade_mean"] == pytest.approx(0.6)
    assert (teams["new"]["races_counted"], teams["new"]["rank"], teams["old"]["rank"]) == (2, 1, 2)
    assert standing(runs)["a"]["total_grade_mean"] == pytest.approx(0.5)


def test_a_team_is_ranked_by_races_and_not_by_cars() -> None:
    """Two cars in one of four races are a quarter of the races, not half of them."""
    runs = [{"d": "b", "team": "all", "round": number} for number in (1, 2, 3, 4)]
    runs += [{"d": name, "team": "one"} for name in ("c", "d")]
    ranks = {name: row["rank"] for name, row in standing(runs, by="team_id").items()}
    assert ranks == {"all": 1, "one": None}


def test_a_standing_of_several_versions_names_none() -> None:
    """Half of the season was graded before the profile changed."""
    runs = [{"profile_version": 1}, {"round": 2, "profile_version": 2}]
    assert standing(runs)["a"]["profile_version"] is None
    assert standing(runs[:1])["a"]["profile_version"] == 1
