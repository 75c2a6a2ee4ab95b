"""What is filled from another source, what is not, and how it is marked."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from engine.contract import check
from engine.filling import CLOCKS, SECTORS, TYRES, fill, on_clock_of
from engine.tables import NORMALIZED, TABLES, empty, polars_schema
from tests.frames import SESSION_ID, frame
from tests.soak import runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Row = dict[str, Any]
Tables = dict[str, pl.DataFrame]

TIMES = ("lap_time_ms", *SECTORS)
EMPTY = {name: empty(name) for name in NORMALIZED}
NOTHING: Row = {"track_status": None, "is_in_lap": None, "is_out_lap": None}
"""Undoes what `tests.frames` gives a lap by default."""


def tables(source: str = "base", *, session_id: str = SESSION_ID, **rows: Sequence[Row]) -> Tables:
    """Write a session's tables; without entries, those of drivers `a` and `b`, who drove ten."""
    entries = rows.pop("entries", [{"driver_id": "a"}, {"driver_id": "b"}])
    credited = {"team_id": "t", "completed_laps": 10}
    season, number = session_id.split("-")
    about = {"season": int(season), "round": int(number), "data_source": source}
    written = {
        "sessions": [about, *rows.pop("sessions", [])][-1:],
        "entries": [credited | entry for entry in entries],
        **rows,
    }
    here = {"session_id": session_id}
    given = {name: [{**here, **row} for row in those] for name, those in written.items() if those}
    return EMPTY | {name: frame(name, those) for name, those in given.items()}


def filled(base: Tables, other: Tables) -> Tables:
    """Fill, and check what comes out."""
    plans = fill(lazy(base), lazy(other))
    frames = zip(plans, pl.collect_all(plans.values()), strict=True)
    return {name: check(name, frame, "filling") for name, frame in frames}


def lazy(tables: Tables) -> dict[str, pl.LazyFrame]:
    """Make every frame a plan."""
    return {name: frame.lazy() for name, frame in tables.items()}


def lap(driver_id: str = "a", lap_number: int = 2, **values: object) -> Row:
    """Write a lap of which nothing is known but what is named."""
    return {**NOTHING, "driver_id": driver_id, "lap_number": lap_number, **values}


def named(columns: Sequence[str], values: Sequence[object]) -> Row:
    """Write a lap of which these columns are known."""
    return lap() | dict(zip(columns, values, strict=True))


def only(table: pl.DataFrame, *columns: str) -> tuple[object, ...]:
    """Give some columns of the one row of a frame."""
    assert table.height == 1
    return table.select(columns).row(0)


def marks(result: Tables) -> dict[tuple[str, str], int]:
    """Give the rows filled by table and column; all from one source."""
    rows = result["filled_columns"].rows()
    assert {row[0] for row in rows} <= {SESSION_ID}
    assert {row[3] for row in rows} <= {"other"}
    return {(name, column): count for _, name, column, _, count in rows}


# laps -----------------------------------------------------------------------------------------


def test_nulls_are_filled_and_values_stay() -> None:
    """The speed was not known, the place was; the session stays the base's."""
    base = tables(laps=[lap(position=3)])
    other = tables("other", laps=[lap(position=4, speed_trap_1_kph=290.5, track_status="14")])
    result = filled(base, other)
    columns = ("position", "speed_trap_1_kph", "track_status", "speed_trap_2_kph")
    assert only(result["laps"], *columns) == (3, 290.5, "14", None)
    assert marks(result) == {("laps", "speed_trap_1_kph"): 1, ("laps", "track_status"): 1}
    assert result["sessions"]["data_source"].item() == "base"


@pytest.mark.parametrize(
    ("base", "other", "expected"),
    [
        ((None,) * 4, (90_000, 30_000, 30_000, 30_000), (90_000, 30_000, 30_000, 30_000)),
        ((90_000, None, None, None), (1, 30_000, 30_000, 30_003), (90_000, 30_000, 30_000, 30_003)),
        ((90_000, None, None, None), (1, 30_000, 30_000, 30_004), (90_000, None, None, None)),
        ((90_000, None, None, None), (1, 30_000, 30_000, 29_996), (90_000, None, None, None)),
        ((90_000, None, None, None), (1, None, 45_000, 44_000), (90_000, None, 45_000, 44_000)),
        ((90_000, None, None, None), (1, None, 45_000, 45_004), (90_000, None, None, None)),
        ((None, 30_000, 30_000, 30_000), (90_003, 1, 1, 1), (90_003, 30_000, 30_000, 30_000)),
        ((None, 30_000, 30_000, 30_000), (95_000, 1, 1, 1), (None, 30_000, 30_000, 30_000)),
        ((None, 30_000, None, None), (90_000, 1, 30_000, 30_000), (90_000, 30_000, 30_000, 30_000)),
        ((None, None, None, None), (90_000, 30_000, 30_000, 35_000), (90_000, None, None, None)),
        ((95_000, 30_000, 30_000, 30_000), (90_000, 1, 1, 1), (95_000, 30_000, 30_000, 30_000)),
    ],
)
def test_a_lap_and_its_sectors_agree(
    base: tuple[int | None, ...], other: tuple[int | None, ...], expected: tuple[int | None, ...]
) -> None:
    """To 3 ms where all is known; known sectors never make more than the lap."""
    mine, theirs = (named(TIMES, row) for row in (base, other))
    result = filled(tables(laps=[mine]), tables("other", laps=[theirs]))
    assert only(result["laps"], *TIMES) == expected
    changed = [name for name, old, new in zip(TIMES, base, expected, strict=True) if old != new]
    assert marks(result) == {("laps", name): 1 for name in changed}


@pytest.mark.parametrize(
    ("base", "other", "expected"),
    [
        ((None, None, None, None), (2, "HARD", 5, True), (2, "HARD", 5, True)),
        ((2, None, 5, None), (2, "HARD", 6, True), (2, "HARD", 5, None)),
        ((2, "SOFT", None, None), (2, "HARD", 6, True), (2, "SOFT", None, None)),
        ((None, None, 5, None), (2, "HARD", 6, True), (None, "HARD", 5, None)),
    ],
)
def test_tyres_are_filled_as_a_whole_or_the_compound_alone(
    base: tuple[object, ...], other: tuple[object, ...], expected: tuple[object, ...]
) -> None:
    """Half of one source's set next to half of the other's would be a set nobody drove."""
    mine, theirs = (named(TYRES, row) for row in (base, other))
    result = filled(tables(laps=[mine]), tables("other", laps=[theirs]))
    assert only(result["laps"], *TYRES) == expected


def test_stints_that_are_numbered_otherwise_are_not_mixed() -> None:
    """Lap 1 is stint 1 here and stint 2 there: lap 2 gets its compound, and no number."""
    base = tables(laps=[lap(lap_number=1, stint_number=1), lap()])
    tyre: Row = {"stint_number": 2, "compound": "SOFT", "tyre_life_laps": 1}
    result = filled(base, tables("other", laps=[lap(lap_number=1, **tyre), lap(**tyre)]))
    assert result["laps"].select("stint_number", "compound").rows() == [(1, "SOFT"), (None, "SOFT")]


def test_a_compound_does_not_contradict_its_stint() -> None:
    """The set was SOFT on lap 1, so it is not HARD on lap 2; of stint 2 nothing is known."""
    stints = [(1, 1, "SOFT"), (2, 1, None), (3, 2, None)]
    mine = [lap(lap_number=n, stint_number=stint, compound=c) for n, stint, c in stints]
    theirs = [lap(lap_number=n, compound="HARD") for n in (1, 2, 3)]
    result = filled(tables(laps=mine), tables("other", laps=theirs))
    assert result["laps"]["compound"].to_list() == ["SOFT", None, "HARD"]


def test_a_place_is_not_given_twice() -> None:
    """Second on lap 2 is b already; second on lap 3 is nobody."""
    base = tables(laps=[lap(), lap("b", position=2), lap(lap_number=3), lap("b", 3)])
    other = tables("other", laps=[lap(position=2), lap(lap_number=3, position=2)])
    result = filled(base, other)
    places = result["laps"].select("driver_id", "lap_number", "position").rows()
    assert places == [("a", 2, None), ("a", 3, 2), ("b", 2, 2), ("b", 3, None)]


def test_clocks_and_opinions_are_not_filled() -> None:
    """Another zero, and another source's word on other timing."""
    opinions: Row = {"is_personal_best": True, "is_accurate": True, "is_generated": True}
    clocks: Row = dict.fromkeys(CLOCKS["laps"], 5_000_000)
    result = filled(tables(laps=[lap()]), tables("other", laps=[lap(**opinions, **clocks)]))
    assert only(result["laps"], *opinions, *clocks) == (None,) * 5
    assert marks(result) == {}


def test_a_reason_goes_with_a_deleted_time() -> None:
    """A time that stands has no reason, whatever the other says."""
    reason = {"deleted_reason": "TRACK LIMITS"}
    base = tables(laps=[lap(), lap(lap_number=3, is_deleted=False)])
    theirs = [lap(lap_number=n, is_deleted=True, **reason) for n in (2, 3)]
    result = filled(base, tables("other", laps=theirs))["laps"]
    assert result.select("is_deleted", "deleted_reason").rows() == [
        (True, "TRACK LIMITS"),
        (False, None),
    ]


def test_missing_laps_are_added_without_clocks() -> None:
    """Lap 3 of a; not those of a driver who is not entered."""
    times: Row = {"lap_time_ms": 90_000, "lap_end_ms": 9_000_000, "is_accurate": True}
    base = tables(laps=[lap(lap_time_ms=91_000, position=1)])
    theirs = [lap(), lap(lap_number=3, position=1, **times), lap("guest", 3, **times)]
    result = filled(base, tables("other", laps=theirs))
    columns = ("driver_id", "lap_number", "lap_time_ms", "lap_end_ms", "position", "is_accurate")
    assert result["laps"].select(columns).rows() == [
        ("a", 2, 91_000, None, 1, None),
        ("a", 3, 90_000, None, 1, True),
    ]
    counted = ("lap_number", "lap_time_ms", "position", "is_accurate")
    assert marks(result) == {("laps", name): 1 for name in counted}


@pytest.mark.parametrize(
    ("entry", "last"),
    [
        ({"completed_laps": 8}, 8),
        ({"completed_laps": None}, 12),
        ({"completed_laps": 0, "status": "disqualified"}, 10),
        ({"completed_laps": None, "status": "did_not_start"}, 1),
    ],
)
def test_laps_are_added_as_far_as_they_are_credited(entry: Row, last: int) -> None:
    """After the flag cars roll on; of a disqualified one no lap is credited, the winner had 10."""
    base = tables(
        laps=[lap(lap_number=1)], entries=[{"driver_id": "a", **entry}, {"driver_id": "b"}]
    )
    nobody = [{"driver_id": "a", "completed_laps": None}]
    other = tables("other", laps=[lap(lap_number=n) for n in range(1, 13)], entries=nobody)
    assert filled(base, other)["laps"]["lap_number"].to_list() == list(range(1, last + 1))


# the other tables -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "other", "expected"),
    [
        ({}, {"grid_position": 5, "points": 8.0}, {"grid_position": 5, "points": 8.0}),
        ({"points": 0.0}, {"points": 8.0}, {"points": 0.0}),
        ({"is_pit_lane_start": True}, {"grid_position": 5}, {"grid_position": None}),
        ({"grid_position": 7}, {"is_pit_lane_start": True}, {"is_pit_lane_start": None}),
        ({}, {"grid_position": 2, "position": 2}, {"grid_position": None, "position": None}),
        ({"is_classified": True}, {"race_time_ms": 9}, {"race_time_ms": 9}),
        ({}, {"is_classified": True, "race_time_ms": 9}, {"race_time_ms": 9}),
        ({"is_classified": False}, {"race_time_ms": 9}, {"race_time_ms": None}),
        ({}, {"team_id": "u", "driver_number": 1, "driver_code": "AAA"}, {"team_id": "t"}),
        ({}, {"status": "retired"}, {"status": "finished", "driver_number": None}),
    ],
)
def test_a_classification_is_filled_without_contradiction(
    base: Row, other: Row, expected: Row
) -> None:
    """Place and grid slot 2 are b's; who and for whom is nothing to fill."""
    b = {"driver_id": "b", "grid_position": 2, "position": 2}
    mine = tables(entries=[{"driver_id": "a", **base}, b])
    result = filled(mine, tables("other", entries=[{"driver_id": "a", **other}]))
    assert only(result["entries"].filter(driver_id="a"), *expected) == tuple(expected.values())
    assert result["entries"].height == 2


def test_durations_of_stops_are_filled() -> None:
    """A stop of 2.5 s within 22 s; 30 s at rest in it is nonsense; clocks are another's."""
    base = [
        {"driver_id": "a", "lap_number": n, "pit_lane_time_ms": 22_000, "pit_in_ms": n}
        for n in (5, 6)
    ]
    theirs = [
        {"driver_id": "a", "lap_number": 5, "stationary_time_ms": 2_500, "pit_out_ms": 9},
        {"driver_id": "a", "lap_number": 6, "stationary_time_ms": 30_000, "pit_out_ms": 9},
        {"driver_id": "a", "lap_number": 7, "pit_lane_time_ms": 21_000},
    ]
    result = filled(tables(pit_stops=base), tables("other", pit_stops=theirs))
    assert result["pit_stops"].drop("session_id").rows() == [
        ("a", 5, 5, None, 22_000, 2_500),
        ("a", 6, 6, None, 22_000, None),
    ]
    assert marks(result) == {("pit_stops", "stationary_time_ms"): 1}


def test_stops_are_taken_whole_where_there_are_none() -> None:
    """Without clocks, and of entered drivers only."""
    theirs = [
        {"driver_id": driver, "lap_number": 5, "pit_in_ms": 1, "pit_lane_time_ms": 22_000}
        for driver in ("a", "guest")
    ]
    result = filled(tables(), tables("other", pit_stops=theirs))
    assert result["pit_stops"].drop("session_id").rows() == [("a", 5, None, None, 22_000, None)]
    assert marks(result) == {("pit_stops", "lap_number"): 1, ("pit_stops", "pit_lane_time_ms"): 1}


def test_messages_are_taken_whole_or_not_at_all() -> None:
    """Two numberings would be mixed."""
    theirs = [{"message_number": n, "message": "GREEN", "flag": "GREEN"} for n in (1, 2)]
    other = tables("other", race_control=theirs)
    result = filled(tables(), other)
    assert result["race_control"]["message"].to_list() == ["GREEN", "GREEN"]
    counted = ("message_number", "flag", "message")
    assert marks(result) == {("race_control", name): 2 for name in counted}
    mine = tables(race_control=[{"message_number": 1, "message": "RED"}])
    assert_frame_equal(filled(mine, other)["race_control"], mine["race_control"])


def clocked(ends_ms: Sequence[int | None]) -> list[Row]:
    """Write laps that end at these clocks."""
    return [lap(lap_number=n, lap_end_ms=end) for n, end in enumerate(ends_ms, start=1)]


READINGS = [{"session_clock_ms": clock, "humidity_pct": 40.0} for clock in (0, 4_000, 60_000)]


def test_weather_is_moved_to_the_clock_of_the_base() -> None:
    """Ends differ by −5000, −4980 and −4970 ms: by −4980; a reading before clock 0 goes."""
    base = tables(laps=clocked([95_000, 185_020, 275_030]))
    other = tables("other", laps=clocked([100_000, 190_000, 280_000]), weather=READINGS)
    result = filled(base, other)
    assert result["weather"]["session_clock_ms"].to_list() == [55_020]
    counted = ("session_clock_ms", "humidity_pct")
    assert marks(result) == {("weather", name): 1 for name in counted}


def test_clocks_are_compared_from_one_zero() -> None:
    """Ends differ by −5000 and −5010 ms: the other's clocks move by −5005, its times stay."""
    base = tables(laps=clocked([95_000, 184_990]))
    stops = [{"driver_id": "a", "lap_number": 1, "pit_in_ms": 99_000, "pit_lane_time_ms": 20_000}]
    other = tables("other", laps=clocked([100_000, 190_000]), pit_stops=stops)
    moved = on_clock_of(lazy(base)["laps"], lazy(other))
    assert moved["laps"].collect()["lap_end_ms"].to_list() == [94_995, 184_995]
    columns = ("pit_in_ms", "pit_out_ms", "pit_lane_time_ms")
    assert only(moved["pit_stops"].collect(), *columns) == (93_995, None, 20_000)
    stays = on_clock_of(lazy(tables())["laps"], lazy(other))["laps"].collect()
    assert stays["lap_end_ms"].to_list() == [100_000, 190_000]


@pytest.mark.parametrize("ends_ms", [[], [None, None], [100_000, 199_000, 280_000, 391_000]])
def test_weather_without_a_common_clock_is_left_out(ends_ms: list[int | None]) -> None:
    """No lap in common, no clock, or differences of 0, 9, 0 and 21 s."""
    base = tables(laps=clocked([100_000, 190_000, 280_000, 370_000]))
    other = tables("other", laps=clocked(ends_ms), weather=READINGS)
    result = filled(base, other)
    assert result["weather"].is_empty()
    assert not any(name == "weather" for name, _ in marks(result))


# what never meets -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "theirs", "speed"),
    [
        ({"data_source": "simulated"}, {"data_source": "other"}, None),
        ({"data_source": "base"}, {"data_source": "simulated"}, None),
        ({"session_date": date(2025, 3, 16)}, {"session_date": date(2025, 3, 18)}, None),
        ({"session_date": date(2025, 3, 16)}, {"session_date": date(2025, 3, 15)}, 300.0),
        ({"session_date": date(2025, 3, 16)}, {}, 300.0),
    ],
)
def test_other_races_are_left_alone(mine: Row, theirs: Row, speed: float | None) -> None:
    """Simulated against real, and dates that no time zone explains."""
    base = tables(sessions=[mine], laps=[lap()])
    other = tables("other", sessions=[{"data_source": "other", **theirs}])
    other["laps"] = frame("laps", [lap(speed_trap_1_kph=300.0)])
    assert only(filled(base, other)["laps"], "speed_trap_1_kph") == (speed,)


def whole(source: str, session: Mapping[str, Any]) -> Tables:
    """Write a session with laps by driver and number, some stops, and weather."""
    laps = [lap(*key, **values) for key, values in session["driven"].items()]
    return tables(source, laps=laps, pit_stops=session["pit_stops"], weather=session["weather"])


values = st.fixed_dictionaries(
    {
        "lap_time_ms": st.sampled_from([None, 90_000, 91_000]),
        **dict.fromkeys(SECTORS, st.sampled_from([None, 30_000, 31_000])),
        "lap_end_ms": st.sampled_from([None, 100_000, 200_000]),
        "position": st.sampled_from([None, 1, 2]),
        "compound": st.sampled_from([None, "SOFT", "HARD"]),
        "stint_number": st.sampled_from([None, 1, 2]),
        "tyre_life_laps": st.sampled_from([None, 0, 7]),
        "is_deleted": st.sampled_from([None, True, False]),
    }
)
few = settings(max_examples=runs(5, 100), derandomize=True, deadline=None)
sessions = st.builds(
    lambda driven, stops, readings: {"driven": driven, "pit_stops": stops, "weather": readings},
    st.dictionaries(st.tuples(st.sampled_from("ab"), st.integers(1, 4)), values, max_size=6),
    st.lists(
        st.fixed_dictionaries(
            {
                "driver_id": st.sampled_from("ab"),
                "lap_number": st.integers(1, 4),
                "stationary_time_ms": st.sampled_from([None, 2_000, 40_000]),
                "pit_lane_time_ms": st.sampled_from([None, 20_000]),
            }
        ),
        unique_by=lambda row: (row["driver_id"], row["lap_number"]),
        max_size=3,
    ),
    st.sampled_from([[], READINGS]),
)


@few
@given(sessions, sessions)
def test_nothing_of_the_base_changes_and_everything_else_is_marked(mine: Row, theirs: Row) -> None:
    """Every known value stays; marks count exactly what is known now and was not before."""
    base, other = whole("base", mine), whole("other", theirs)
    result = filled(base, other)
    counted: dict[tuple[str, str], int] = {}
    for name in NORMALIZED:
        key = TABLES[name].primary_key()
        both = base[name].join(result[name], on=key, how="left", suffix="_now")
        for column in set(polars_schema(name)) - set(key):
            stays = pl.col(column).is_null() | (pl.col(column) == pl.col(f"{column}_now"))
            assert both.filter(~stays.fill_null(value=False)).is_empty(), (name, column)
        for column in set(polars_schema(name)) - {"session_id", "driver_id"}:
            known = result[name][column].count() - base[name][column].count()
            counted |= {(name, column): known} if known else {}
    assert marks(result) == counted


@few
@given(sessions)
def test_filling_with_itself_changes_nothing(mine: Row) -> None:
    """What a source does not know it cannot tell itself."""
    base = whole("base", mine)
    result = filled(base, base)
    assert result["filled_columns"].is_empty()
    for name in NORMALIZED:
        assert_frame_equal(result[name], base[name], check_row_order=False)


@few
@given(sessions, sessions)
def test_the_order_of_rows_does_not_matter(mine: Row, theirs: Row) -> None:
    """Reversed on both sides, the same comes out in the same order."""
    base, other = whole("base", mine), whole("other", theirs)
    turned = ({name: frame.reverse() for name, frame in side.items()} for side in (base, other))
    again = filled(*turned)
    for name, expected in filled(base, other).items():
        assert_frame_equal(again[name], expected)


def test_sessions_are_filled_side_by_side() -> None:
    """Two sessions at once give what each gives alone; one of them has messages."""
    ids = ("2025-1", "2025-2")
    message = [{"message_number": 1, "message": "GREEN"}]
    bases = [
        tables(session_id=ids[0], laps=clocked([100_000]), race_control=message),
        tables(session_id=ids[1], laps=clocked([100_000])),
    ]
    others = [
        tables(
            "other", session_id=one, laps=clocked([90_000]), weather=READINGS, race_control=message
        )
        for one in ids
    ]
    together = [
        {name: pl.concat(side[name] for side in sides) for name in NORMALIZED}
        for sides in (bases, others)
    ]
    alone = [filled(base, other) for base, other in zip(bases, others, strict=True)]
    for name, both in filled(*together).items():
        expected = pl.concat(tables[name] for tables in alone)
        assert_frame_equal(both, expected, check_row_order=name != "sessions")


def test_a_second_source_adds_its_marks_to_those_of_the_first() -> None:
    """The first knew one speed of two, the second both."""
    base = tables(laps=[lap(), lap("b")])
    first = tables("first", laps=[lap(speed_trap_1_kph=300.0)])
    second = tables("second", laps=[lap(speed_trap_1_kph=1.0), lap("b", speed_trap_1_kph=301.0)])
    result = filled(filled(base, first), second)
    assert result["laps"]["speed_trap_1_kph"].to_list() == [300.0, 301.0]
    assert result["filled_columns"].select("data_source", "filled_rows").rows() == [
        ("first", 1),
        ("second", 1),
    ]
