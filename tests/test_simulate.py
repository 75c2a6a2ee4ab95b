"""The simulator: repeatable, true to its rules, and with a truth that its tables contain."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from benchmarks.simulate import SAMPLES, simulate, write_samples
from benchmarks.simulator.world import SEED, WEEKENDS
from engine.tables import NORMALIZED

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.simulator.world import Scenario

SCENARIOS = {scenario.session.session_id: scenario for scenario in WEEKENDS}
DRY, SPRINT, LAPPED, WET = SCENARIOS.values()
OTHER_SEEDS = (1, 2, 3)
EVERY = [(scenario, seed) for scenario in WEEKENDS for seed in (SEED, OTHER_SEEDS[0])]
IDS = [f"{scenario.session.session_id}, seed {seed}" for scenario, seed in EVERY]


@cache
def driven(
    scenario: Scenario, seed: int = SEED
) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """Drive a session once for all tests."""
    return simulate(scenario, seed)


def entry(scenario: Scenario, driver_id: str) -> dict[str, object]:
    """Give a driver's line of the classification."""
    entries = driven(scenario)[0]["entries"]
    return entries.row(by_predicate=pl.col("driver_id") == driver_id, named=True)


def time_on_track_ms(scenario: Scenario, driver_id: str) -> int:
    """Add up a driver's laps."""
    laps = driven(scenario)[0]["laps"].filter(pl.col("driver_id") == driver_id)
    return int(laps["lap_time_ms"].sum())


# repeatable ---------------------------------------------------------------------------------


def test_the_bundled_files_are_what_the_simulator_makes(tmp_path: Path) -> None:
    """Nobody edited them, and no change of the simulator went by without new files."""
    write_samples(tmp_path)
    made = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.parquet")}
    assert made == {path.relative_to(SAMPLES) for path in SAMPLES.rglob("*.parquet")}
    for path in sorted(made):
        assert_frame_equal(
            pl.read_parquet(tmp_path / path), pl.read_parquet(SAMPLES / path), check_exact=True
        )


def test_a_seed_fixes_everything_and_another_changes_it() -> None:
    """Two runs agree in every value; two seeds give two races."""
    again, truth = simulate(SPRINT, SEED)
    for name in NORMALIZED:
        assert_frame_equal(again[name], driven(SPRINT)[0][name], check_exact=True)
    for name, frame in driven(SPRINT)[1].items():
        assert_frame_equal(truth[name], frame, check_exact=True)
    assert not again["laps"].equals(driven(SPRINT, 1)[0]["laps"])


def test_sessions_of_one_seed_draw_different_numbers() -> None:
    """The sprint's grid is not the race's."""
    sprint, race = (driven(s)[0]["entries"]["grid_position"].to_list() for s in (SPRINT, DRY))
    assert sprint != race


# qualifying ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("scenario", "seed"), EVERY, ids=IDS)
def test_qualifying_makes_the_grid(scenario: Scenario, seed: int) -> None:
    """Fifteen go on, then ten; each part's order decides about those whose last it is.

    Who is out was slower than all who went on. Who starts from the pit lane, or not at all, leaves
    his slot to the next. A sprint has none.
    """
    tables = driven(scenario, seed)[0]
    rows = tables["qualifying"].sort("position")
    if scenario.session.session_kind == "sprint":
        assert rows.is_empty()
        return
    assert rows["position"].to_list() == list(range(1, 21))
    for column, drivers, going_on in (("q1_ms", 20, 15), ("q2_ms", 15, 10), ("q3_ms", 10, 0)):
        times_ms = rows[column].drop_nulls()
        out_ms = times_ms[going_on:]
        assert rows[column].null_count() == 20 - drivers == 20 - len(times_ms)
        assert out_ms.is_sorted()
        assert max(times_ms[:going_on], default=0) < out_ms[0]
    grid = tables["entries"].sort("grid_position").drop_nulls("grid_position")["driver_id"]
    assert rows.filter(pl.col("driver_id").is_in(grid.to_list()))["driver_id"].equals(grid)
    assert set(rows["driver_id"]) == {driver.driver_id for driver in scenario.drivers}


# clocks and order ---------------------------------------------------------------------------


@pytest.mark.parametrize(("scenario", "seed"), EVERY, ids=IDS)
def test_clocks_are_consistent(scenario: Scenario, seed: int) -> None:
    """A lap's time is end less start and the sum of its sectors; the next begins where it ended."""
    laps = driven(scenario, seed)[0]["laps"].with_columns(
        before=pl.col("lap_end_ms").shift().over("driver_id", order_by="lap_number"),
        was_in_lap=pl.col("is_in_lap").shift().over("driver_id", order_by="lap_number"),
    )
    sectors = pl.sum_horizontal("sector1_time_ms", "sector2_time_ms", "sector3_time_ms")
    wrong = laps.filter(
        (pl.col("lap_time_ms") != pl.col("lap_end_ms") - pl.col("lap_start_ms"))
        | (pl.col("before") != pl.col("lap_start_ms"))
        | (pl.col("was_in_lap") != pl.col("is_out_lap"))
        | (pl.col("sector1_time_ms").is_not_null() & (sectors != pl.col("lap_time_ms")))
    )
    assert wrong.is_empty()
    first = laps.filter(pl.col("lap_number") == 1)
    assert first["lap_start_ms"].n_unique() == 1


@pytest.mark.parametrize(("scenario", "seed"), EVERY, ids=IDS)
def test_position_is_the_order_at_the_line(scenario: Scenario, seed: int) -> None:
    """Of the cars that complete a lap, first to cross is first."""
    laps = driven(scenario, seed)[0]["laps"].filter(pl.col("lap_end_ms").is_not_null())
    ordered = laps.sort("lap_number", "lap_end_ms").with_columns(
        place=pl.int_range(1, pl.len() + 1).over("lap_number")
    )
    assert ordered.filter(pl.col("place") != pl.col("position")).is_empty()


@pytest.mark.parametrize(("scenario", "seed"), EVERY, ids=IDS)
def test_a_lapped_car_stops_at_its_first_crossing_after_the_flag(
    scenario: Scenario, seed: int
) -> None:
    """It is a lap or more down, began its last lap before the flag and ended it after."""
    tables = driven(scenario, seed)[0]
    last = tables["laps"].group_by("driver_id").agg(pl.all().sort_by("lap_number").last())
    flag_ms = last.filter(pl.col("lap_number") == scenario.laps)["lap_end_ms"].min()
    lapped = tables["entries"].filter(pl.col("status") == "lapped").join(last, on="driver_id")
    assert lapped.filter(
        (pl.col("lap_start_ms") >= flag_ms)
        | (pl.col("lap_end_ms") <= flag_ms)
        | (pl.col("completed_laps") >= scenario.laps)
    ).is_empty()


def test_the_long_dry_race_has_lapped_cars() -> None:
    """Without a safety car the slowest are lapped, and shown blue flags."""
    tables = driven(LAPPED)[0]
    assert tables["entries"].filter(pl.col("status") == "lapped").height >= 3
    assert "BLUE" in tables["race_control"]["flag"].to_list()


# neutralizations ----------------------------------------------------------------------------


@pytest.mark.parametrize(("scenario", "seed"), EVERY, ids=IDS)
def test_nobody_passes_under_a_neutralization(scenario: Scenario, seed: int) -> None:
    """On laps that are neutralized throughout only cars in the pits lose or gain places."""
    laps = (
        driven(scenario, seed)[0]["laps"]
        .filter(
            pl.col("track_status").str.contains("^[4567]+$"),
            ~pl.col("is_in_lap") & ~pl.col("is_out_lap"),
        )
        .select("driver_id", "lap_number", "lap_start_ms", "lap_end_ms")
    )
    swapped = laps.join(laps, on="lap_number", suffix="_other").filter(
        (pl.col("lap_start_ms") < pl.col("lap_start_ms_other"))
        & (pl.col("lap_end_ms") > pl.col("lap_end_ms_other"))
    )
    assert swapped.is_empty()


def test_a_safety_car_bunches_the_field() -> None:
    """At its end all who are on the lead lap cross within 30 s, where before it took a minute."""
    laps = driven(DRY)[0]["laps"]
    spread = laps.group_by("lap_number").agg(
        spread_s=(pl.col("lap_end_ms").max() - pl.col("lap_end_ms").min()) / 1000
    )
    spread_s = dict(spread.rows())
    assert spread_s[29] > 60
    assert spread_s[35] < 30


def test_the_leader_sees_the_codes_in_their_order() -> None:
    """Clear, yellow, safety car on the lap it is called; the virtual one is 6, its ending 7."""

    def codes(scenario: Scenario) -> list[str]:
        leader = driven(scenario)[0]["laps"].filter(position=1).sort("lap_number")
        return leader["track_status"].to_list()

    assert codes(DRY)[29:36] == ["1", "124", "4", "4", "4", "4", "1"]
    assert codes(LAPPED)[23:26] == ["126", "671", "1"]
    assert codes(WET)[20:23] == ["125", "4", "1"]


def test_a_red_flag_stops_the_race_and_changes_the_tyres() -> None:
    """Everybody running waits in the pits; the lap contains the stoppage; a new set is on."""
    tables = driven(WET)[0]
    stopped = tables["laps"].filter(pl.col("track_status").str.contains("5"), pl.col("is_in_lap"))
    assert stopped.height >= 15
    assert stopped["lap_time_ms"].min() > 1_400_000  # type: ignore[operator]
    after = tables["laps"].with_columns(
        lap_number=pl.col("lap_number") - 1, stint_number=pl.col("stint_number") - 1
    )
    assert stopped.join(after, on=["driver_id", "lap_number", "stint_number"]).height == (
        stopped.height
    )
    visits = tables["pit_stops"].join(stopped, on=["driver_id", "lap_number"])
    assert visits.height == stopped.height
    assert visits["stationary_time_ms"].null_count() == stopped.height


def test_rain_brings_out_the_wet_tyres() -> None:
    """INTERMEDIATE and WET are used in the wet race and nowhere else; it ends on slicks."""
    rain = {"INTERMEDIATE", "WET"}
    assert rain <= set(driven(WET)[0]["laps"]["compound"])
    assert driven(WET)[0]["weather"]["is_raining"].any()
    end = driven(WET)[0]["laps"].filter(lap_number=WET.laps)
    assert not rain & set(end["compound"])
    for scenario in (DRY, SPRINT, LAPPED):
        assert not rain & set(driven(scenario)[0]["laps"]["compound"])
        assert not driven(scenario)[0]["weather"]["is_raining"].any()


# result and stewards ------------------------------------------------------------------------


@pytest.mark.parametrize(("scenario", "seed"), EVERY, ids=IDS)
def test_the_classification_follows_from_the_laps(scenario: Scenario, seed: int) -> None:
    """Completed laps are laps with a time; 90 % of the distance classifies; positions are 1…n."""
    tables = driven(scenario, seed)[0]
    timed = tables["laps"].filter(pl.col("lap_time_ms").is_not_null())
    driven_laps = timed.group_by("driver_id").agg(pl.len().alias("timed"))
    entries = tables["entries"].join(driven_laps, on="driver_id", how="left")
    assert entries.filter(pl.col("timed").fill_null(0) != pl.col("completed_laps")).is_empty()
    expected = (pl.col("completed_laps") >= int(0.9 * scenario.laps)) & (
        pl.col("status") != "disqualified"
    )
    assert entries.filter(expected != pl.col("is_classified")).is_empty()
    placed = entries["position"].drop_nulls().sort().to_list()
    assert placed == list(range(1, len(placed) + 1))
    order = entries.filter("is_classified").sort("position")
    keys = order.select(-pl.col("completed_laps"), pl.col("race_time_ms").fill_null(10**9)).rows()
    assert keys == sorted(keys)


def test_points_are_those_of_the_kind_of_session() -> None:
    """25-18-15 … for ten in a Grand Prix, 8-7-6 … for eight in a sprint."""
    for scenario, best, scoring in ((DRY, [25.0, 18.0, 15.0], 10), (SPRINT, [8.0, 7.0, 6.0], 8)):
        points = driven(scenario)[0]["entries"].sort("position")["points"].to_list()
        assert points[:3] == best
        assert sum(point > 0 for point in points) == scoring


def test_an_unserved_time_penalty_is_added_to_the_result() -> None:
    """10 s announced after the last stop: race time is the sum of the laps and 10 s."""
    driver = "sim_anquist"
    assert entry(DRY, driver)["race_time_ms"] == time_on_track_ms(DRY, driver) + 10_000


def test_a_served_time_penalty_is_time_at_rest_and_not_added() -> None:
    """5 s on top of the tyre change, and nothing at the end."""
    driver = "sim_zabriel"
    assert entry(DRY, driver)["race_time_ms"] == time_on_track_ms(DRY, driver)
    stops = driven(DRY)[0]["pit_stops"].filter(driver_id=driver)
    assert stops["stationary_time_ms"].max() > 7_000  # type: ignore[operator]


def test_a_drive_through_is_a_visit_without_rest_or_tyres() -> None:
    """The stint goes on, and the time at rest is unknown."""
    tables = driven(DRY)[0]
    visit = tables["pit_stops"].filter(pl.col("stationary_time_ms").is_null(), lap_number=7)
    assert visit["driver_id"].to_list() == ["sim_grisevald"]
    laps = tables["laps"].filter(pl.col("lap_number").is_in([7, 8]), driver_id="sim_grisevald")
    assert laps["stint_number"].n_unique() == 1


def test_penalties_are_announced_and_confirmed_in_the_stewards_words() -> None:
    """The wording is Formula 1's; a message names no car number, as theirs do not."""
    said = driven(DRY)[0]["race_control"].filter(pl.col("message").str.starts_with("FIA STEWARDS"))
    texts = said["message"].to_list()
    assert "FIA STEWARDS: DRIVE THROUGH PENALTY FOR CAR 40 (GRI) - FALSE START" in texts
    assert (
        "FIA STEWARDS: PENALTY SERVED - DRIVE THROUGH PENALTY FOR CAR 40 (GRI) - FALSE START"
        in texts
    )
    assert "FIA STEWARDS: 10 SECOND TIME PENALTY FOR CAR 15 (ANQ) - CAUSING A COLLISION" in texts
    assert said["driver_number"].null_count() == said.height
    stop_go = "FIA STEWARDS: 10 SECOND STOP/GO PENALTY FOR CAR 76 (WIN)"
    assert any(stop_go in text for text in driven(LAPPED)[0]["race_control"]["message"])


def test_a_deleted_time_is_on_the_lap_and_in_a_message() -> None:
    """The lap keeps its time, is never a personal best, and its reason ends the message."""
    tables = driven(WET)[0]
    deleted = tables["laps"].filter("is_deleted")
    assert deleted.height > 0
    assert deleted["lap_time_ms"].null_count() == 0
    assert not deleted["is_personal_best"].any()
    messages = [m for m in tables["race_control"]["message"] if "DELETED - " in m]
    assert {m.partition("DELETED - ")[2] for m in messages} == set(deleted["deleted_reason"])


def test_who_did_not_race_or_was_disqualified() -> None:
    """No laps and no place; last place and no points; from the pit lane without a grid place."""
    absent = entry(LAPPED, "sim_nivenko")
    assert (absent["status"], absent["position"], absent["completed_laps"]) == (
        "did_not_start",
        None,
        0,
    )
    assert driven(LAPPED)[0]["laps"].filter(driver_id="sim_nivenko").is_empty()
    excluded = entry(WET, "sim_drovan")
    assert (excluded["status"], excluded["position"], excluded["points"]) == (
        "disqualified",
        20,
        0.0,
    )
    assert excluded["completed_laps"] == WET.laps
    late = entry(LAPPED, "sim_cassander")
    assert (late["grid_position"], late["is_pit_lane_start"]) == (None, True)


def test_a_car_that_stops_late_is_classified_though_retired() -> None:
    """50 of 53 laps are more than 90 %."""
    late = entry(WET, "sim_belmarsh")
    assert (late["status"], late["is_classified"], late["completed_laps"]) == ("retired", True, 50)


# the truth ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("scenario", "seed"), EVERY, ids=IDS)
def test_places_change_on_track_only_in_a_contest(scenario: Scenario, seed: int) -> None:
    """From lap 2 on, of two cars that were not in the pits, one passes only if it tried and won."""
    tables, truth = driven(scenario, seed)
    laps = (
        tables["laps"]
        .filter(
            ~pl.col("is_in_lap") & ~pl.col("is_out_lap"),
            pl.col("lap_number") > 1,
            pl.col("lap_end_ms").is_not_null(),
        )
        .select("driver_id", pl.col("lap_number").cast(pl.Int64), "lap_start_ms", "lap_end_ms")
    )
    pairs = laps.join(laps, on="lap_number", suffix="_other").filter(
        pl.col("driver_id") != pl.col("driver_id_other")
    )
    passes = pairs.filter(
        (pl.col("lap_start_ms") > pl.col("lap_start_ms_other"))
        & (pl.col("lap_end_ms") < pl.col("lap_end_ms_other"))
    )
    won = truth["contests"].filter("is_success").rename({"opponent_id": "driver_id_other"})
    assert passes.join(
        won, on=["driver_id", "driver_id_other", "lap_number"], how="anti"
    ).is_empty()
    assert passes.height > 0


def test_sectors_place_the_pits_where_they_are() -> None:
    """Turning in costs sector 3, coming out sector 1; the rest of the lap is as on any other."""
    laps = driven(LAPPED)[0]["laps"].filter(track_status="1").filter(pl.col("lap_number") > 1)
    sectors = [f"sector{number}_time_ms" for number in (1, 2, 3)]
    in_pits = pl.col("is_in_lap") | pl.col("is_out_lap")
    racing = laps.filter(~in_pits).select(pl.col(sectors).median()).row(0)
    turning = laps.filter("is_in_lap").select(pl.col(sectors).median()).row(0)
    leaving = laps.filter("is_out_lap").select(pl.col(sectors).median()).row(0)
    lost_s = [
        [(slow - usual) / 1000 for slow, usual in zip(row, racing, strict=True)]
        for row in (turning, leaving)
    ]
    assert lost_s[0] == pytest.approx([0, 0, 4.2], abs=1.0)
    assert lost_s[1] == pytest.approx([10.6, 0, 0], abs=1.0)


def test_passes_succeed_as_often_as_their_odds_say() -> None:
    """Over all contests driven here: within three standard errors."""
    contests = pl.concat([driven(scenario, seed)[1]["contests"] for scenario, seed in EVERY])
    odds = pl.col("pass_probability")
    mean, expected, variance = contests.select(
        pl.col("is_success").mean(),
        odds.mean(),
        variance=(odds * (1 - odds)).sum() / pl.len() ** 2,
    ).row(0)
    assert abs(mean - expected) < 3 * variance**0.5


def test_the_pace_of_driver_and_car_can_be_read_from_the_laps() -> None:
    """Clean laps less the field's median of each lap rank the drivers nearly as the truth does."""
    tables, truth = driven(LAPPED)
    level = pl.col("lap_time_ms").median()
    measured = (
        tables["laps"]
        .filter("is_accurate")
        .with_columns(residual_ms=pl.col("lap_time_ms") - level.over("lap_number"))
        .group_by("driver_id")
        .agg(pl.col("residual_ms").median())
        .join(truth["drivers"], on="driver_id")
        .with_columns(true_s=pl.col("car_pace_s") + pl.col("pace_s"))
    )
    assert measured.select(pl.corr("residual_ms", "true_s", method="spearman")).item() > 0.9


def test_the_scatter_of_dry_laps_is_the_drivers_dispersion() -> None:
    """Over four dry races the noise has each driver's standard deviation, within a quarter."""
    runs = [driven(DRY, seed)[1] for seed in (SEED, *OTHER_SEEDS)]
    noise = pl.concat([truth["laps"] for truth in runs])
    measured = (
        noise.group_by("driver_id")
        .agg(measured_s=pl.col("noise_ms").std() / 1000)
        .join(runs[0]["drivers"], on="driver_id")
    )
    ratio = measured["measured_s"] / measured["dispersion_s"]
    assert ratio.is_between(0.75, 1.25).all()


def test_a_lap_is_its_parts() -> None:
    """Time = potential + noise + error + delay, and racing gives back at most half a second."""
    tables, truth = driven(LAPPED)
    parts = truth["laps"].with_columns(pl.col("lap_number").cast(pl.Int16))
    laps = tables["laps"].join(parts, on=["driver_id", "lap_number"])
    total = pl.sum_horizontal("potential_ms", "noise_ms", "error_ms", "delay_ms")
    timed = laps.filter(pl.col("lap_time_ms").is_not_null())
    assert timed.filter(pl.col("lap_time_ms") != total).is_empty()
    assert timed["delay_ms"].min() > -500  # type: ignore[operator]


def test_a_faster_driver_wins_more_often() -> None:
    """The truth decides: a second a lap added to the favourite costs him the race."""
    favourite = DRY.drivers[0]
    slowed = replace(favourite, pace_s=favourite.pace_s + 1.0)
    tables, _ = simulate(replace(DRY, drivers=(slowed, *DRY.drivers[1:])), SEED)
    row = tables["entries"].row(by_predicate=pl.col("driver_id") == favourite.driver_id, named=True)
    assert row["position"] > 5
