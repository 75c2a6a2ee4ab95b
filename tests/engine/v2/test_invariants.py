"""What may not move a grade of model v2: simulated weekends through the whole chain.

Rows, sessions and their order never move a bit. Names order the members of the rating, whose sums
then round otherwise: `ROUNDING` is what is left to that.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl
from polars.testing import assert_frame_equal

from engine.tables import EVIDENCE, LAP, NORMALIZED, SessionKey
from engine.v1.penalties import penalty_events
from engine.v1.strategy import strategy_events
from loaders.grading_v2 import grade_tables_v2
from loaders.previous import NOTHING, Previous, in_order
from loaders.providers import simulated
from loaders.settings import Settings
from tests.profiles_v2 import V2_PROFILE
from tests.soak import some

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Tables = Mapping[str, pl.DataFrame]

ROUNDING: Final = 1e-9

RACE: Final = "2099-1"

KEYS: Final = ("session_id", "driver_id", "lap_number", "stop_number", "has_qualifying")

GRADED: Final = tuple(name for name in (*EVIDENCE, "grades") if name != "rating_states")
"""What is of drivers; the state lists its members in an order of its own."""

COUNTED: Final = ("start_places", "attack_laps", "defence_laps", "passes_made", "passes_suffered")
"""Columns that no rounding can touch."""


@cache
def weekends() -> Tables:
    """All simulated sessions, table by table."""
    fetched = [simulated.fetch(session, Settings()) for session in simulated.sessions()]
    return {name: pl.concat(tables[name] for tables in fetched) for name in NORMALIZED}


def only(tables: Tables, sessions: Sequence[SessionKey]) -> Tables:
    """Take some sessions."""
    wanted = [session.session_id for session in sessions]
    return {n: rows.filter(pl.col("session_id").is_in(wanted)) for n, rows in tables.items()}


def graded(tables: Tables, before: Previous = NOTHING) -> dict[str, pl.DataFrame]:
    """Grade through the chain; every frame sorted by its key."""
    lazy = {name: rows.lazy() for name, rows in tables.items()}
    events = {
        "strategy_events": strategy_events(lazy["laps"], lazy["pit_stops"]),
        "penalty_events": penalty_events(lazy["race_control"], lazy["entries"]),
    }
    found = grade_tables_v2({**lazy, **events}, [V2_PROFILE], before)
    return {n: f.sort([key for key in KEYS if key in f.columns]) for n, f in found.items()}


@cache
def expected() -> Mapping[str, pl.DataFrame]:
    """Grades of the weekends as they are."""
    return graded(weekends())


@cache
def one_race() -> Mapping[str, pl.DataFrame]:
    """Grades of the first race on its own."""
    return graded(only(weekends(), [SessionKey.parse(RACE)]))


def raced(**changes: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Grade the first race with some tables changed."""
    return graded({**only(weekends(), [SessionKey.parse(RACE)]), **changes})


def race_laps() -> pl.DataFrame:
    """Laps of the first race."""
    return weekends()["laps"].filter(session_id=RACE)


def same(
    found: Mapping[str, pl.DataFrame], wanted: Mapping[str, pl.DataFrame], abs_tol: float = 0.0
) -> None:
    """Compare grades and evidence row by row."""
    for name in GRADED:
        assert_frame_equal(
            found[name], wanted[name], rel_tol=0.0, abs_tol=abs_tol, check_exact=not abs_tol
        )


def test_the_weekends_have_something_to_move() -> None:
    """Passes on both sides, mistakes, penalties, stops and starts, or nothing would be tested."""
    evidence = expected()["grade_evidence"]
    assert evidence["passes_made"].sum() > 20
    assert evidence["passes_made"].sum() == evidence["passes_suffered"].sum()
    for name in ("slow_laps", "penalty_s", "pit_cycle_lost_s", "start_places", "pace_pct"):
        assert evidence[name].drop_nulls().n_unique() > 1, name
    assert expected()["grades"]["grade"].n_unique() > 20


def test_the_order_of_rows_changes_nothing() -> None:
    """Not a bit, neither of the grades nor of the state."""
    shuffled = {
        name: frame.sample(fraction=1.0, shuffle=True, seed=5) for name, frame in weekends().items()
    }
    found = graded(shuffled)
    same(found, expected())
    assert_frame_equal(found["rating_states"], expected()["rating_states"], check_exact=True)


def test_history_in_blocks_is_history_in_one() -> None:
    """One after the other, each from the state that the last left; in a soak two and two too."""
    sessions = in_order(simulated.sessions())
    for size in some((1, 2), 1):
        parts, before = [], NOTHING
        for first in range(0, len(sessions), size):
            part = graded(only(weekends(), sessions[first : first + size]), before)
            last = sessions[first : first + size][-1].session_id
            before = Previous(part["rating_states"].filter(session_id=last), before.counts)
            parts.append(part)
        whole = {n: pl.concat(part[n] for part in parts) for n in (*GRADED, "rating_states")}
        found = {n: f.sort([key for key in KEYS if key in f.columns]) for n, f in whole.items()}
        same(found, expected(), ROUNDING)
        assert_frame_equal(
            found["rating_states"], expected()["rating_states"], rel_tol=0.0, abs_tol=ROUNDING
        )


def renamed(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Give drivers, opponents too, other names; who is not in the map stays."""
    drivers = [name for name in ("driver_id", "opponent_id") if name in frame.columns]
    new = frame.with_columns(pl.col(drivers).replace(names))
    return new.sort([key for key in KEYS if key in frame.columns])


def test_names_change_nothing() -> None:
    """Reversed, so that their order is another one."""
    drivers = sorted(weekends()["entries"]["driver_id"].unique())
    names = {driver: f"x{len(drivers) - number:03}" for number, driver in enumerate(drivers)}
    found = graded({name: renamed(frame, names) for name, frame in weekends().items()})
    same(found, {name: renamed(expected()[name], names) for name in GRADED}, ROUNDING)


def test_two_drivers_who_swap_all_their_data_swap_their_grades() -> None:
    """Car, laps, stops, penalties and classification, in every session."""
    one, other, *_ = sorted(weekends()["entries"]["driver_id"].unique())
    names = {one: other, other: one}
    found = graded({name: renamed(frame, names) for name, frame in weekends().items()})
    assert not expected()["grades"].equals(found["grades"])
    same(found, {name: renamed(expected()[name], names) for name in GRADED}, ROUNDING)


def test_a_second_added_to_every_lap_hardly_moves_a_grade() -> None:
    """Gaps stay what they are, and with them every lap at risk and its outcome.

    Pace is a ratio of lap times: on laps that all last a second longer, the same gap in seconds is
    a smaller share, here by 1.1 %. Paces shrink towards the field's by that, and keep their order
    but where two lie closer than the shrinking; a total moves by less than 0.004 of its range of
    1, a grade by less than 1 of 100.
    """
    later = pl.col("lap_number").cast(pl.Int32) * 1000
    laps = race_laps().with_columns(
        pl.col("lap_time_ms") + 1000,
        pl.col("sector1_time_ms") + 1000,
        lap_start_ms=pl.col("lap_start_ms") + later - 1000,
        lap_end_ms=pl.col("lap_end_ms") + later,
    )
    found, wanted = raced(laps=laps), one_race()
    evidence, before = found["grade_evidence"], wanted["grade_evidence"]
    assert_frame_equal(evidence.select(COUNTED), before.select(COUNTED), check_exact=True)
    for name, limit in (("total_grade", 0.004), ("grade", 1.0)):
        moved = (found["grades"][name] - wanted["grades"][name]).abs().max()
        assert isinstance(moved, float)
        assert 0.0 < moved < limit, (name, moved)
    order = pl.col("pace_pct").rank()
    moved_places = evidence.select(order)["pace_pct"] - before.select(order)["pace_pct"]
    assert moved_places.abs().max() == 0.0


def test_how_slow_a_safety_car_drives_is_no_ones_score() -> None:
    """The same laps under a safety car, slower for all by 40 s: not a bit; and no row on them."""
    behind = pl.col("lap_number").is_between(8, 10)
    laps = race_laps().with_columns(
        track_status=pl.when(behind).then(pl.lit("4")).otherwise("track_status")
    )
    slower = pl.when(behind).then(40_000).otherwise(0)
    later = (pl.col("lap_number").cast(pl.Int32) - 7).clip(0, 3) * 40_000
    slowed = laps.with_columns(
        pl.col("lap_time_ms") + slower,
        pl.col("sector1_time_ms") + slower,
        lap_start_ms=pl.col("lap_start_ms") + later - slower,
        lap_end_ms=pl.col("lap_end_ms") + later,
    )
    found = raced(laps=slowed)
    assert_frame_equal(found["grades"], raced(laps=laps)["grades"], check_exact=True)
    for name in ("pass_events", "slow_laps"):
        assert found[name].filter(behind).is_empty()


def test_what_one_gains_on_track_another_loses() -> None:
    """So a safety car, which only bunches cars up, adds nothing to the field."""
    sums = (
        expected()["grade_evidence"].group_by("session_id").agg(pl.col("attack", "defence").sum())
    )
    assert sums["attack"].abs().max() != 0.0
    assert (sums["attack"] + sums["defence"]).abs().max() == 0.0


def test_a_retirement_ahead_gives_nobody_a_pass() -> None:
    """Who had someone behind him most often stops on a lap.

    Nobody passes him any more. Whoever had him just ahead may now have passed the next car, which
    he did before as well, with the other in between; no one else passes anyone he did not pass.
    """
    events = one_race()["pass_events"]
    leader, lap = events["opponent_id"].value_counts().sort("count", "opponent_id").row(-1)[0], 12
    is_leader = pl.col("driver_id") == leader
    entries = weekends()["entries"].filter(session_id=RACE)
    found = raced(
        laps=race_laps().filter(~is_leader | (pl.col("lap_number") <= lap)),
        entries=entries.with_columns(
            status=pl.when(is_leader)
            .then(pl.lit("retired", dtype=entries["status"].dtype))
            .otherwise("status")
        ),
    )
    assert events.filter(opponent_id=leader).filter(pl.col("lap_number") >= lap).height > 0
    after = found["pass_events"].filter(opponent_id=leader)
    assert after.filter(pl.col("lap_number") >= lap).is_empty()
    passed = [frame.filter("is_passed") for frame in (found["pass_events"], events)]
    new = passed[0].join(passed[1], on=[*LAP, "opponent_id"], how="anti")
    behind = events.filter(opponent_id=leader)
    assert new.join(behind, on=LAP, how="anti").is_empty()
    assert passed[0].height <= passed[1].height
