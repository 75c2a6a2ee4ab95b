"""FastF1's frames at the door: faulty ones, and any rows at all."""

from __future__ import annotations

import contextlib
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from engine.completeness import missing
from engine.errors import ContractError
from engine.tables import NORMALIZED, SessionKey
from loaders.providers import ProviderError, fastf1
from loaders.providers.fastf1_raw import RAW, UnusableError, raw_frame, raw_schema
from tests.soak import runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from loaders.providers import SessionTables
    from tests.conftest import RawRace

    Edit = Callable[[pd.DataFrame], pd.DataFrame]

SESSION = SessionKey(2024, 1)
CARS = {"4": ("norris", "Lando Norris", 1), "81": ("piastri", "Oscar Piastri", 2)}
LAPS = 3


def frame(table: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A pandas frame as FastF1 gives it; columns not given are empty."""
    empty = dict.fromkeys(raw_schema(table))
    return pd.DataFrame([{**empty, **row} for row in rows])


def seconds(count: float) -> pd.Timedelta:
    """A duration, or a moment of the session clock."""
    return pd.Timedelta(count, "s")


def frames() -> dict[str, pd.DataFrame]:
    """A race of two cars and three laps of 90 s, with weather and messages."""
    results = [
        {
            "DriverNumber": number, "DriverId": driver, "FullName": name, "TeamId": "mclaren",
            "TeamName": "McLaren", "Position": float(place), "ClassifiedPosition": str(place),
            "Status": "Finished", "Laps": float(LAPS), "Points": 25.0,
            "Time": seconds(270.0 if place == 1 else 0.5),
        }
        for number, (driver, name, place) in CARS.items()
    ]  # fmt: skip
    laps = [
        {
            "DriverNumber": number, "LapNumber": float(lap), "LapTime": seconds(90.0), "Stint": 1.0,
            "LapStartTime": seconds(3510.0 + 90.0 * lap), "Time": seconds(3600.0 + 90.0 * lap),
            "Compound": "SOFT", "TyreLife": float(lap), "TrackStatus": "1", "SpeedST": 300.0,
            "FreshTyre": True, "FastF1Generated": False,
        }
        for number in CARS
        for lap in range(1, LAPS + 1)
    ]  # fmt: skip
    minutes = range(3)
    messages = [
        {"Time": datetime(2024, 5, 5, 20, minute), "Message": f"MESSAGE {minute}"}  # noqa: DTZ001
        for minute in minutes
    ]
    weather = [{"Time": seconds(60.0 * minute), "AirTemp": 20.0} for minute in minutes]
    return {
        "results": frame("results", results),
        "laps": frame("laps", laps),
        "race_control": frame("race_control", messages),
        "weather": frame("weather", weather),
    }


FRAMES = frames()


@cache
def right_raw() -> dict[str, pl.DataFrame]:
    """The raw tables of the race as it is."""
    facts = pl.DataFrame([{"event_name": "Test"}], schema=raw_schema("facts"))
    return {"facts": facts, **{name: raw_frame(name, data) for name, data in FRAMES.items()}}


@cache
def right() -> SessionTables:
    """The tables of the race as it is."""
    return fastf1.parse(SESSION, right_raw())


def loaded(table: str, data: pd.DataFrame) -> SessionTables:
    """What the race becomes with one frame in another shape."""
    return fastf1.parse(SESSION, {**right_raw(), table: raw_frame(table, data)})


def same(found: SessionTables, right: SessionTables) -> None:
    """All tables are equal."""
    assert list(found) == list(NORMALIZED)
    for name, table in right.items():
        assert_frame_equal(found[name], table)


def put(column: str, value: Any) -> Edit:
    """Put a value into the first row."""

    def edit(data: pd.DataFrame) -> pd.DataFrame:
        values = data[column].astype("object").to_list()
        return data.assign(**{column: pd.Series([value, *values[1:]], dtype="object")})

    return edit


def doubled(**changes: Any) -> Edit:
    """Repeat the first row at the end, with other values."""
    return lambda data: pd.concat([data, data.head(1).assign(**changes)], ignore_index=True)


REFUSED: dict[str, tuple[str, Edit, str]] = {
    "18 text for a number": ("laps", put("LapNumber", "one"), "laps: column LapNumber cannot be"),
    "18 number for a flag": ("laps", put("FreshTyre", "maybe"), "laps: column FreshTyre cannot be"),
    "18 list for a text": ("results", put("FullName", ["L"]), "results: column FullName cannot be"),
    "18 no lap number": ("laps", put("LapNumber", None), "lap_number"),
    "18 no name": ("results", put("FullName", None), "driver_name"),
    "19 infinite": ("laps", put("TyreLife", float("inf")), "laps: values from fastf1 2024-1"),
    "19 1e999": ("laps", put("SpeedST", 1e999), "speed_trap_straight_kph|max: 1 row"),
    "19 1e308": ("weather", put("AirTemp", 1e308), "air_temperature_degc|max: 1 row"),
    "19 -1": ("results", put("Points", -1.0), "points|min: 1 row"),
    "19 -1 laps": ("results", put("Laps", -1.0), "completed_laps|min: 1 row"),
    "19 2**70": ("results", put("Laps", 2**70), "results: column Laps cannot be read"),
    "19 half a place": ("results", put("Position", 1.5), "entries: position from fastf1 2024-1"),
    "20 duplicates, equal": ("laps", doubled(), "primary_key: 2 rows"),
    "21 duplicates, different": ("laps", doubled(LapTime=seconds(91.0)), "primary_key: 2 rows"),
    "22 gap": (
        "laps",
        lambda data: data.drop(index=1),
        "laps are missing between others of car 4",
    ),
    "22 lap 0": ("laps", doubled(LapNumber=0.0), "lap_number|min: 1 row"),
    "23 driver missing": ("results", lambda data: data.head(1), "car 81 has no driver or team id"),
    "23 driver unknown": ("laps", put("DriverNumber", "99"), "car 99 has no driver or team id"),
    "23 no number": ("laps", put("DriverNumber", None), "car ? has no driver or team id"),
    "23 driver twice": ("results", doubled(), "car 4 has no driver or team id"),
    "23 driver in two cars": ("results", doubled(DriverNumber="5"), "primary_key: 2 rows"),
    "24 NUL": ("results", put("FullName", "Lan\0do"), "column FullName cannot be read as String"),
    "24 lone surrogate": ("race_control", put("Message", "\ud83d"), "column Message cannot be"),
    "24 10 kB name": ("results", put("FullName", "x" * 10_000), "driver_name|max_length: 1 row"),
    "24 SQL in an id": ("results", put("DriverId", "x'); drop table laps"), "driver_id|regex"),
    "25 missing column": (
        "laps",
        lambda data: data.drop(columns="LapTime"),
        "laps: column LapTime is there 0 times",
    ),
    "25 renamed column": (
        "weather",
        lambda data: data.rename(columns={"AirTemp": "Air"}),
        "weather: column AirTemp is there 0 times",
    ),
    "25 a column twice": (
        "laps",
        lambda data: pd.concat([data, data[["Stint"]]], axis=1),
        "laps: column Stint is there 2 times",
    ),
    "25 durations in seconds": (
        "laps",
        lambda data: data.assign(LapTime=90.0),
        "laps: column LapTime cannot be read as Duration: it holds Float64",
    ),
    "25 ms read as s": (
        "laps",
        lambda data: data.assign(LapTime=data["LapTime"] * 1000),
        "lap_time_ms|max: 6 rows",
    ),
    "25 s read as ms": (
        "laps",
        lambda data: data.assign(LapTime=data["LapTime"] / 1000),
        "laps: 6 of 6 rows from fastf1 2024-1 have a LapTime below 30000 ms",
    ),
}
"""Faults that end in a typed error: the frame, the edit, and what the error says."""


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_faulty_frame_is_refused(name: str) -> None:
    """By table and column or rule; the first row is shown where rows are at fault."""
    table, edit, said = REFUSED[name]
    with pytest.raises((ProviderError, ContractError, UnusableError)) as caught:
        loaded(table, edit(FRAMES[table]))
    assert said in str(caught.value)


def test_a_fault_of_the_door_says_what_to_do() -> None:
    """It reaches the user through the provider's error, with this remedy."""
    with pytest.raises(UnusableError) as caught:
        raw_frame("laps", FRAMES["laps"].drop(columns="LapTime"))
    assert caught.value.cause == "laps: column LapTime is there 0 times instead of once"
    assert "locked to" in caught.value.remedy


@pytest.mark.parametrize(
    ("table", "edit"),
    [
        ("laps", lambda data: data.iloc[::-1]),
        ("laps", lambda data: data.assign(Added=1)),
        ("laps", put("SpeedI1", float("nan"))),
        ("weather", doubled()),
        ("race_control", doubled()),
    ],
    ids=["22 out of order", "25 new column", "19 NaN", "20 weather twice", "20 message twice"],
)
def test_a_harmless_fault_changes_nothing(table: str, edit: Edit) -> None:
    """The tables are the same as without it."""
    same(loaded(table, edit(FRAMES[table])), right())


def test_a_change_of_team_is_no_fault() -> None:
    """23: the entry says for whom the driver drove that day."""
    changed = loaded("results", put("TeamId", "ferrari")(FRAMES["results"]))
    assert changed["entries"]["team_id"].to_list() == ["ferrari", "mclaren"]


def test_odd_names_are_loaded_as_they_are() -> None:
    """24: a name is text, and nothing else."""
    name = "Ñ 周 🏎 \u202e'); drop table core.laps; --"
    found = loaded("results", put("FullName", name)(FRAMES["results"]))
    assert found["entries"]["driver_name"][0] == name


# --- any rows -----------------------------------------------------------------------------------


def check_truncated(found: SessionTables, right: SessionTables) -> None:
    """Laps may be gone from the end: one of a driver is within tolerance, more are reported."""
    lost = right["laps"].join(found["laps"], on=["driver_id", "lap_number"], how="anti")
    short = lost.group_by("driver_id").len().filter(pl.col("len") > 1)["driver_id"].to_list()
    reported = missing({name: table.lazy() for name, table in found.items()}).collect()
    assert set(short) <= set(reported["driver_id"])
    assert_frame_equal(found["entries"], right["entries"])


ROWS = {"results": 2, "laps": 6, "race_control": 3, "weather": 3}
ORDERS = st.sampled_from(sorted(ROWS)).flatmap(
    lambda table: st.tuples(
        st.just(table), st.lists(st.integers(0, ROWS[table] - 1), min_size=1, max_size=8)
    )
)


@hypothesis_settings(max_examples=runs(40, 1000), derandomize=True, deadline=None)
@given(ORDERS, st.booleans())
def test_rows_may_come_in_any_order_or_twice_but_not_be_lost(
    order: tuple[str, list[int]], is_whole: bool
) -> None:
    """The same tables, a refusal, or laps that are reported as missing.

    Weather and messages are not counted anywhere, so a reading can be lost; a rest is what it was.
    """
    table, rows = order
    whole = range(ROWS[table])
    rows = [*rows, *(row for row in whole if row not in rows)] if is_whole else rows
    try:
        found = fastf1.parse(SESSION, {**right_raw(), table: right_raw()[table][rows]})
    except (ProviderError, ContractError):
        assert table in ("results", "laps")
        assert sorted(rows) != list(whole)
        return
    if set(rows) == set(whole):
        same(found, right())
        return
    assert table != "results"
    same({**found, table: right()[table]}, right())
    if table == "laps":
        check_truncated(found, right())
    else:
        assert found[table].height == len(set(rows))


@pytest.mark.realdata
def test_the_rows_of_a_real_race(real_race_raw: RawRace) -> None:
    """Australia 2025, in another order, with rows twice, and without some."""
    session = SessionKey(2025, 1)
    raw = real_race_raw(session)
    whole = fastf1.parse(session, raw)
    mixed = {name: rows.sample(fraction=1, shuffle=True, seed=1) for name, rows in raw.items()}
    same(fastf1.parse(session, {**mixed, "race_control": raw["race_control"]}), whole)
    for table, row in (("results", 7), ("laps", 0), ("laps", 500)):
        twice = pl.concat([raw[table], raw[table][row]])
        with pytest.raises((ProviderError, ContractError)):
            fastf1.parse(session, {**raw, table: twice})
    for row in (0, 300, 900):
        cut = fastf1.parse(session, {**raw, "laps": raw["laps"].head(row)})
        check_truncated(cut, whole)


TEXTS = st.sampled_from(["4", "81", "norris", "1", "R", "SOFT", ""]) | st.text(max_size=5)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    pl.String: TEXTS,
    pl.Float64: st.sampled_from([1.0, 2.0, -1.0, 0.5, 1e308]) | st.floats(),
    pl.Boolean: st.booleans(),
    pl.Duration: st.integers(0, 10**7) | st.integers(-(2**63), 2**63 - 1),
    pl.Datetime("us"): st.datetimes(),
    pl.Date: st.dates(),
    pl.Int64: st.integers(-2, 2**40) | st.integers(-(2**63), 2**63 - 1),
}


def raw_rows(table: str) -> st.SearchStrategy[pl.DataFrame]:
    """A few rows of a raw table with any values in any cells."""
    choices = [
        st.tuples(st.just(column), st.none() | VALUES[dtype])
        for dtype, names in RAW[table].items()
        for column in names
    ]
    rows = st.lists(st.lists(st.one_of(choices), max_size=4), min_size=1, max_size=3)

    def made(edits: list[list[tuple[str, Any]]]) -> pl.DataFrame:
        known = right_raw()[table].to_dicts()
        changed = [{**known[n % len(known)], **dict(edit)} for n, edit in enumerate(edits)]
        return pl.DataFrame(changed, schema=raw_schema(table))

    return rows.map(made)


@hypothesis_settings(max_examples=runs(60, 1500), derandomize=True, deadline=None)
@given(raw_rows("results"), raw_rows("laps"))
def test_any_results_and_laps_become_tables_or_a_typed_error(
    results: pl.DataFrame, laps: pl.DataFrame
) -> None:
    """Each parser by itself; the laps meet the entries of the right race."""
    with contextlib.suppress(ContractError, ProviderError):
        assert fastf1.parse_entries(SESSION, results, laps).height <= results.height
    with contextlib.suppress(ContractError, ProviderError):
        assert fastf1.parse_laps(SESSION, laps, right()["entries"]).height <= laps.height
    with contextlib.suppress(ContractError, ProviderError):
        assert fastf1.parse_pit_stops(SESSION, laps, right()["entries"]).height <= laps.height


@hypothesis_settings(max_examples=runs(60, 1500), derandomize=True, deadline=None)
@given(raw_rows("facts"), raw_rows("race_control"), raw_rows("weather"))
def test_any_facts_messages_and_weather_become_tables_or_a_typed_error(
    facts: pl.DataFrame, messages: pl.DataFrame, weather: pl.DataFrame
) -> None:
    """Each parser by itself."""
    with contextlib.suppress(ContractError):
        assert fastf1.parse_session(SESSION, facts.head(1)).height == 1
    with contextlib.suppress(ContractError):
        assert fastf1.parse_race_control(SESSION, messages).height <= messages.height
    with contextlib.suppress(ContractError):
        assert fastf1.parse_weather(SESSION, weather).height <= weather.height


DURATIONS = st.integers(-(2**62), 2**62).map(lambda ns: pd.Timedelta(ns, "ns"))
CELLS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary()
    | DURATIONS | st.lists(st.integers(), max_size=2)
)  # fmt: skip


@hypothesis_settings(max_examples=runs(80, 2000), derandomize=True, deadline=None)
@given(st.sampled_from(sorted(ROWS)), st.integers(0, 30), CELLS)
def test_any_cell_leaves_typed_or_not_at_all(table: str, column: int, value: Any) -> None:
    """A column holds what it should, or the session is refused by its name."""
    data = FRAMES[table]
    name = data.columns[column % len(data.columns)]
    edited = put(name, value)(data)
    try:
        found = raw_frame(table, edited)
    except UnusableError as error:
        cause = error.cause
    else:
        assert found.schema == raw_schema(table)
        assert found.height == len(data)
        return
    assert cause.startswith(f"{table}: column {name} cannot be read")
