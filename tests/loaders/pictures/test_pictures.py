"""Pictures: what they show is what is stored, and whatever is lacking, they are drawn."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from loaders import lake
from loaders.pictures import lap_rows
from loaders.pictures.car_plane import car_plane_picture, levels
from loaders.pictures.components import components_picture, contributions
from loaders.pictures.drivers import looks
from loaders.pictures.frames import (
    PictureError,
    RaceFrames,
    SeasonFrames,
    career_frames,
    race_frames,
    season_frames,
)
from loaders.pictures.heat_map import cells, heat_map_picture, standing
from loaders.pictures.lap_chart import lap_chart_picture
from loaders.pictures.regrading import moves, variants
from loaders.pictures.render import as_svg
from loaders.pictures.sensitivity import ranking, sensitivity_picture
from loaders.pictures.trend import MAX_DRIVERS, drives, trend_picture
from tests.frames import frame
from tests.loaders.pictures.conftest import SESSIONS, STILL
from tests.soak import runs

if TYPE_CHECKING:
    from pathlib import Path

    import altair as alt

NO_EVIDENCE = frame("grade_evidence", [])


def values(chart: alt.TopLevelMixin, name: str) -> list[Any]:
    """Collect what a column holds in all data of a chart; drawing it is what shows it valid."""
    datasets = chart.to_dict(validate=False)["datasets"].values()
    return [row[name] for rows in datasets for row in rows if name in row]


def text(chart: alt.TopLevelMixin) -> str:
    """Everything that a chart says in one string."""
    spec = chart.to_dict(validate=False)
    title = spec["title"]
    return " ".join(
        [title["text"], *title["subtitle"], spec["description"], *values(chart, "text")]
    )


def test_bars_add_up_to_the_stored_total(race: RaceFrames) -> None:
    """Each stretch begins where the one before ends; what is not known counts as the average."""
    parts = contributions(race)
    for row in race.grades.drop_nulls("total_grade").to_dicts():
        mine = parts.filter(driver_id=row["driver_id"])
        assert math.isclose(mine["contribution"].sum(), row["total_grade"], abs_tol=1e-12)
        pace, racecraft, penalty = mine.to_dicts()
        assert (pace["start"], penalty["start"]) == (0.0, 0.0)
        assert math.isclose(racecraft["start"], pace["end"])
        assert penalty["end"] < 0
        total = racecraft["end"] + penalty["end"]
        assert math.isclose(total, row["total_grade"], abs_tol=1e-12)
    unknown = parts.filter(driver_id="bob", part="racecraft").to_dicts()[0]
    assert (unknown["score"], unknown["contribution"]) == (None, 0.225)


def test_who_is_not_graded_has_a_row_that_says_so(race: RaceFrames) -> None:
    """Below the others: without a total, and without a start."""
    chart = components_picture(race)
    assert values(chart, "label") == ["ANN", "BOB", "CAT", "DOT"]
    assert values(chart, "said")[2:] == ["not graded", "did not start"]
    assert "2023 A Grand Prix" in text(chart)
    assert "data: hand · model v2 · profile v2 version 1" in text(chart)


def test_a_lap_chart_begins_on_the_grid_and_ends_in_the_official_order(race: RaceFrames) -> None:
    """The pit lane is behind the grid; who did not start has no line."""
    found = lap_rows.places(race)
    start = dict(found.filter(lap_number=0).select("driver_id", "position").rows())
    assert start == {"ann": 2, "bob": 1, "cat": 4}
    ends = lap_rows.endings(race).select("driver_id", "lap_number", "rank", "is_early").rows()
    assert ends == [("ann", 5, 1, False), ("bob", 4, 2, False), ("cat", 2, 3, True)]
    chart = lap_chart_picture(race)
    drawn = sorted(set(zip(values(chart, "right"), values(chart, "said"), strict=True)))
    assert drawn == [("1  ANN", "75"), ("2  BOB", "40"), ("3  CAT ret", "–"), ("4  DOT dns", "–")]


def test_a_lap_chart_marks_stops_passes_and_neutralized_laps(race: RaceFrames) -> None:
    """The new tyre by its letter; only passes that succeeded; as the leader saw the flags."""
    stops = lap_rows.stops(race).select("driver_id", "lap_number", "position", "letter").rows()
    assert stops == [("ann", 4, 1, "H")]
    assert lap_rows.passes(race).rows() == [("ann", 3, 1)]
    stretches = lap_rows.neutralized(race)
    assert stretches is not None
    assert stretches.rows() == [("SC", 3, 4), ("VSC", 5, 5)]
    bare = race.laps.with_columns(track_status=pl.lit(None, pl.String()))
    chart = lap_chart_picture(replace(race, laps=bare))
    assert "Safety cars and flags are not known." in text(chart)


def test_a_stop_without_a_known_tyre_is_a_p(race: RaceFrames) -> None:
    """Where no tyre changes are known, visits to the pit lane are marked."""
    visits = frame("pit_stops", [{"session_id": "2023-10", "driver_id": "bob", "lap_number": 2}])
    events = race.strategy_events.clear()
    found = lap_rows.stops(replace(race, pit_stops=visits, strategy_events=events))
    assert found.select("driver_id", "letter").rows() == [("bob", "P")]


def test_stints_run_from_their_first_lap_to_their_last(race: RaceFrames) -> None:
    """One row each, with the tyre where it is known."""
    stint = pl.when(pl.col("lap_number") > 2).then(2).otherwise(1).cast(pl.Int16)
    tyre = pl.when(stint == 2).then(pl.lit("HARD")).cast(race.laps.schema["compound"])
    laps = race.laps.with_columns(stint_number=stint, compound=tyre)
    found = replace(race, laps=laps).stints.filter(driver_id="ann").drop("session_id", "driver_id")
    assert found.rows() == [(1, None, 1, 2, None), (2, "HARD", 3, 5, None)]


def test_the_plane_turns_cars_so_that_faster_is_right(race: RaceFrames) -> None:
    """Stored levels are negative where faster; team-mates have one colour and two shapes."""
    assert levels(race).rows() == [("ann", 0.4, 0.2, 0.5, 0.1), ("bob", 0.4, 0.2, 0.1, 0.1)]
    chart = car_plane_picture(race)
    assert sorted(set(values(chart, "mate"))) == [0, 1]
    assert len(set(values(chart, "colour"))) == 1
    (reach,) = {round(row - 0.4, 6) for row in values(chart, "right")}
    assert reach == round(1.6448536 * 0.2, 6)


def test_rounds_stand_in_order_and_the_best_mean_on_top(drawn_lake: Path) -> None:
    """Under every drawn season; who is not graded has a mark, not a zero."""
    frames = season_frames(drawn_lake, 1960)
    assert frames.sessions["round"].to_list() == list(range(1, frames.sessions.height + 1))
    found, order = cells(frames), standing(frames)
    means = order["mean"].drop_nulls().to_list()
    assert means == sorted(means, reverse=True)
    columns = found.join(frames.sessions, on="session_id").select("column", "round")
    assert (columns["column"] + 1 == columns["round"]).all()
    lacking = found.filter(pl.col("grade").is_null())
    assert lacking.height > 0
    assert set(lacking["said"]) <= {"–", "·"}
    shown = values(heat_map_picture(frames), "said")
    assert shown.count("–") >= lacking.filter(said="–").height


def test_a_trend_has_a_gap_where_a_race_is_not_graded(drawn_lake: Path) -> None:
    """Every race of the years has a place; not entered and not graded are told apart."""
    frames = career_frames(drawn_lake, ["driver_a", "DRIVER_B"])
    assert frames.driver_ids == ("driver_a", "driver_b")
    found = drives(frames)
    assert found.height == 2 * frames.sessions.height
    assert found.filter(driver_id="driver_a")["race"].to_list() == list(range(found.height // 2))
    stored = frames.grades.drop_nulls("grade").height
    assert found["grade"].count() == stored < found["is_entered"].sum() < found.height
    trend_picture(frames).to_dict()


def test_more_drivers_than_panels_are_refused(drawn_lake: Path) -> None:
    """With how many there may be."""
    many = [f"driver_{letter}" for letter in "abcdefg"]
    with pytest.raises(PictureError, match=f"room for {MAX_DRIVERS}"):
        trend_picture(career_frames(drawn_lake, many))


def test_unmoved_constants_give_the_stored_grades(drawn_lake: Path) -> None:
    """What constants are moved from is what is stored."""
    frames = season_frames(drawn_lake, 1960)
    found = moves(frames, NO_EVIDENCE)
    assert not found.has_own_scale
    stored = frames.grades.group_by("driver_id").agg(stored=pl.col("grade").mean())
    both = found.drivers.join(stored, on="driver_id").select("before", "stored")
    assert both.height == found.drivers.height > 0
    assert (both["before"] - both["stored"]).abs().max() < 1e-9  # type: ignore[operator]  # not empty


def test_constants_move_one_at_a_time(race: RaceFrames) -> None:
    """Up and down by the share; a mean by that share of the standard deviation."""
    made = variants(race.profile, 0.1)
    assert len(made) == 30
    weights, normal = race.profile.weights, race.profile.consistency
    up = made["pace: weight", "up"]
    assert math.isclose(up.weights.consistency, weights.consistency * 1.1)
    assert up.consistency == normal
    assert up.weights.racecraft == weights.racecraft
    down = made["pace: mean", "down"]
    assert math.isclose(down.consistency.mean, normal.mean - 0.1 * normal.sd)
    assert down.weights == weights


def test_a_heavier_penalty_costs_who_has_more_of_it(race: RaceFrames) -> None:
    """On the profile's scale all lose; on a scale made anew a clean drive gains."""
    found = moves(race, NO_EVIDENCE).drivers.filter(constant="penalty: weight", direction="up")
    change = dict(found.select("driver_id", "change").rows())
    assert change["bob"] < 0
    assert set(change) == {"ann", "bob"}
    order = ranking(moves(race, NO_EVIDENCE))
    assert order["largest"].to_list() == sorted(order["largest"], reverse=True)


def race_pictures(frames: RaceFrames) -> list[alt.TopLevelMixin]:
    """Draw all that shows one session."""
    return [
        components_picture(frames),
        lap_chart_picture(frames),
        car_plane_picture(frames),
        sensitivity_picture(frames, NO_EVIDENCE),
    ]


def test_drawn_sessions_can_be_pictured(drawn_lake: Path) -> None:
    """A race without laps and as many as there is time for: everybody entered is named."""
    seen = lake.snapshot(drawn_lake)
    for key in [STILL, *seen.sessions()[: runs(1, SESSIONS)]]:
        frames = race_frames(seen, key)
        bars, laps, *_ = race_pictures(frames)
        labels = {look.label for look in looks(frames.entries).values()}
        assert set(values(bars, "label")) == labels == set(values(laps, "label"))


def test_nobody_and_nothing_can_be_pictured_too(race: RaceFrames) -> None:
    """Drawn to the end, not only declared: no entries, no laps, no grades."""
    emptied = replace(
        race,
        **{
            name: getattr(race, name).clear()
            for name in ("entries", "laps", "strategy_events", "grades", "evidence", "passes")
        },
    )
    assert not emptied.has_grades
    bars, laps, *others = race_pictures(emptied)
    assert "Nobody is graded." in text(bars)
    assert as_svg(laps).endswith("</svg>")
    assert len(others) == 2
    season = SeasonFrames(
        profile=race.profile,
        season=2023,
        session_kind="race",
        sessions=race.sessions,
        entries=race.entries,
        grades=race.grades.clear(),
        evidence=race.evidence.clear(),
    )
    assert values(heat_map_picture(season), "said")[:4] == ["–", "–", "–", "·"]


def test_two_of_one_code_have_names_of_their_own(race: RaceFrames) -> None:
    """The family name; and the whole name if they share that."""
    same = race.entries.with_columns(driver_code=pl.lit("SAM"), driver_name=pl.lit("Sam Sample"))
    assert sorted(look.label for look in looks(same).values()) == [
        "Sam Sample", "Sample", "cat", "dot",
    ]  # fmt: skip
