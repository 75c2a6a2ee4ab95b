"""What may not move a grade of model v2, on simulated weekends, from laps to components."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.tables import ENTRY, NORMALIZED
from engine.v1.penalties import penalty_events
from engine.v1.strategy import strategy_events
from engine.v2.clean_laps import clean_laps
from engine.v2.mistakes import penalty_burden, slow_laps
from engine.v2.pace import entry_pace, pace_fit
from engine.v2.passes import circuit_terms, laps_at_risk, pass_counts, pass_events
from engine.v2.pit_cycles import driver_pit_cycles, pit_cycles
from engine.v2.racecraft import drives, racecraft
from loaders.providers import simulated
from loaders.settings import Settings
from tests.profiles_v2 import V2_PROFILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    Tables = Mapping[str, pl.DataFrame]

EXACT = ("start_places", "attack_laps", "defence_laps", "passes_made", "passes_suffered")
"""Columns that no rounding can touch."""


@cache
def weekends() -> Tables:
    """All simulated sessions, table by table."""
    fetched = [simulated.fetch(session, Settings()) for session in simulated.sessions()]
    return {name: pl.concat(tables[name] for tables in fetched) for name in NORMALIZED}


def components(tables: Tables) -> pl.DataFrame:
    """What is scored, and what is published beside it: one row per entry, sorted.

    A car's level is made up from its team, so that no rating of drivers enters.
    """
    lazy = {name: frame.lazy() for name, frame in tables.items()}
    laps, entries, sessions = lazy["laps"], lazy["entries"], lazy["sessions"]
    lap_fit = pace_fit(clean_laps(laps)).collect().lazy()
    entry_fit = entry_pace(lap_fit)
    cars = entries.select(*ENTRY, car_pct=pl.col("team_id").str.len_chars() * 0.1)
    risky = laps_at_risk(laps, entries, sessions, lap_fit, cars)
    terms = circuit_terms(pass_counts(risky, sessions), sessions)
    events = pass_events(risky, terms, V2_PROFILE.passes)
    burden = penalty_burden(
        entries,
        entry_fit,
        slow_laps(lap_fit, V2_PROFILE.mistakes),
        penalty_events(lazy["race_control"], entries),
        lazy["race_control"],
        constants=V2_PROFILE.mistakes,
    )
    cycles = pit_cycles(strategy_events(laps, lazy["pit_stops"]), lap_fit, entry_fit)
    return (
        racecraft(drives(laps, entries), events, V2_PROFILE.start)
        .join(entry_fit, on=ENTRY, how="left")
        .join(burden, on=ENTRY, how="left")
        .join(driver_pit_cycles(cycles), on=ENTRY, how="left")
        .sort(ENTRY)
        .collect()
    )


@cache
def expected() -> pl.DataFrame:
    """Components of the weekends as they are."""
    return components(weekends())


def test_the_weekends_have_something_to_move() -> None:
    """Passes on both sides, mistakes, penalties, stops and starts, or nothing would be tested."""
    found = expected()
    assert found["passes_made"].sum() > 20
    assert found["passes_made"].sum() == found["passes_suffered"].sum()
    for name in ("slow_laps", "penalty_s", "pit_cycle_lost_s", "start_places", "pace_pct"):
        assert found[name].drop_nulls().n_unique() > 1, name


def test_the_order_of_rows_changes_nothing() -> None:
    """Not a bit."""
    shuffled = {
        name: frame.sample(fraction=1.0, shuffle=True, seed=5) for name, frame in weekends().items()
    }
    assert_frame_equal(components(shuffled), expected(), check_exact=True)


def test_a_session_alone_is_what_it_is_among_others() -> None:
    """Not a bit, given the circuits' history; here no season has one before it."""
    alone = [
        components({name: frame.filter(session_id=session) for name, frame in weekends().items()})
        for session in weekends()["sessions"]["session_id"]
    ]
    assert_frame_equal(pl.concat(alone).sort(ENTRY), expected(), check_exact=True)


def renamed(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Give drivers other names; what is not in the map stays."""
    if "driver_id" not in frame.columns:
        return frame
    return frame.with_columns(pl.col("driver_id").replace(names))


def test_names_change_nothing() -> None:
    """Reversed, so that their order is another one."""
    drivers = sorted(weekends()["entries"]["driver_id"].unique())
    names = {driver: f"x{len(drivers) - number:03}" for number, driver in enumerate(drivers)}
    found = components({name: renamed(frame, names) for name, frame in weekends().items()})
    assert_frame_equal(found, renamed(expected(), names).sort(ENTRY), check_exact=True)


def test_two_drivers_who_swap_all_their_data_swap_their_grades() -> None:
    """Car, laps, stops, penalties and classification, in every session."""
    one, other, *_ = sorted(weekends()["entries"]["driver_id"].unique())
    names = {one: other, other: one}
    found = components({name: renamed(frame, names) for name, frame in weekends().items()})
    assert not expected().equals(found)
    assert_frame_equal(found, renamed(expected(), names).sort(ENTRY), check_exact=True)


@pytest.mark.parametrize("added_ms", [1, 250])
def test_seconds_added_to_every_lap_of_a_race_change_no_pass(added_ms: int) -> None:
    """Gaps at the line stay what they are, and with them every lap at risk and its outcome."""
    later = pl.col("lap_number").cast(pl.Int32) * added_ms
    laps = weekends()["laps"].with_columns(
        pl.col("lap_time_ms") + added_ms,
        pl.col("sector1_time_ms") + added_ms,
        lap_start_ms=pl.col("lap_start_ms") + later - added_ms,
        lap_end_ms=pl.col("lap_end_ms") + later,
    )
    found = components({**weekends(), "laps": laps})
    assert_frame_equal(found.select(EXACT), expected().select(EXACT), check_exact=True)
    assert_frame_equal(
        found.select("attack", "defence", "racecraft_raw"),
        expected().select("attack", "defence", "racecraft_raw"),
        abs_tol=1e-12,
    )
