"""OpenF1: whatever comes is tables under contract, or an error of ours.

The session made by hand is stirred, repeated and cut here; a real race is in `test_openf1_races`.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from engine.errors import ContractError
from engine.tables import NORMALIZED, TABLES, polars_schema
from loaders.fallback import gaps
from loaders.providers import ProviderError, openf1
from loaders.providers.openf1_records import ENDPOINTS, raw_schema
from loaders.providers.openf1_replies import parse_reply
from tests.any_json import JSON
from tests.openf1_rows import ENTRANTS, RACE, SESSION, answers, at, result
from tests.soak import runs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loaders.providers import SessionTables

    Rows = list[dict[str, Any]]


@hypothesis_settings(max_examples=runs(200, 5000), derandomize=True, deadline=None)
@given(document=JSON)
def test_any_json_is_read_or_refused(document: Any) -> None:
    """Whatever comes is, for the parser of every endpoint, a frame or a ContractError."""
    content = json.dumps(document).encode()
    for endpoint in ENDPOINTS:
        try:
            read = parse_reply(endpoint, content, "openf1 test")
        except ContractError:
            continue
        assert read.schema == raw_schema(endpoint)


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Rows]:
    """An endpoint and its rows, of which some have something else in one field."""
    endpoint = draw(st.sampled_from(sorted(ENDPOINTS)))
    document = [dict(row) for row in SESSION[endpoint]]
    for _ in range(draw(st.integers(0, 3))):
        row = draw(st.sampled_from(document))
        row[draw(st.sampled_from(sorted(row)))] = draw(JSON)
    return endpoint, document


@hypothesis_settings(max_examples=runs(80, 2000), derandomize=True, deadline=None)
@given(sent=spoiled())
def test_any_field_is_read_or_refused(sent: tuple[str, Rows]) -> None:
    """Rows as the service sends them, but for some fields, which may hold anything."""
    endpoint, document = sent
    try:
        read = parse_reply(endpoint, json.dumps(document).encode(), "openf1 test")
    except ContractError:
        return
    assert read.schema == raw_schema(endpoint)
    assert read.height <= len(document)


def values_of(dtype: pl.DataType) -> st.SearchStrategy[Any]:
    """Values that a field of the type may have, and a few that it may not."""
    texts = ["CLEAR", "YELLOW", "RED", "Track", "Sector", "SafetyCar", "VSC DEPLOYED", "SOFT", "?"]
    few = st.sampled_from(["+1 LAP", "+9 LAPS", "inf", "nan", "1e300", *texts])
    moments = st.integers(-9_999, 99_999).map(at)
    choices: dict[pl.DataType, st.SearchStrategy[Any]] = {
        pl.Int64(): st.integers(0, 6),
        pl.Float64(): st.floats(0, 200) | st.integers(0, 200) | st.just(86_400),
        pl.Boolean(): st.booleans(),
        pl.String(): few,
        pl.Datetime("ms", "UTC"): moments | st.just("2099-01-01T00:00:00+00:00"),
        pl.Duration("ms"): st.just("02:00:00"),
    }
    return st.none() | choices[dtype]


@st.composite
def races(draw: st.DrawFn) -> dict[str, Rows]:
    """Rows of all endpoints of a session, consistent or not."""
    names = [name for name in ENDPOINTS if name not in ("meetings", "sessions")]
    made: dict[str, Rows] = {}
    for name in names:
        fields = {field: values_of(dtype) for field, dtype in raw_schema(name).items()}
        for must, known in (("driver_number", [1, 4]), ("lap_number", [1, 2, 3, 4])):
            if must in fields:
                fields[must] = st.sampled_from(known)
        made[name] = draw(st.lists(st.fixed_dictionaries(fields), max_size=8))
    made["session_result"] = draw(
        st.sampled_from([[result(), result(1, 2)], made["session_result"]])
    )
    return made


@hypothesis_settings(
    max_examples=runs(16, 400),
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rows=races())
def test_any_session_is_parsed_under_contract_or_refused(rows: dict[str, Rows]) -> None:
    """Records that contradict each other end in tables or in an error of ours, never in a crash."""
    try:
        tables = openf1.parse_tables(RACE, answers(**rows), ENTRANTS)
    except (ContractError, ProviderError):
        return
    assert {name: table.schema for name, table in tables.items()} == {
        name: polars_schema(name) for name in NORMALIZED
    }


def parsed(**rows: Rows) -> SessionTables:
    """The tables of the session, of which some endpoints have other rows; read as `fetch` does."""
    raw = {
        name: parse_reply(name, json.dumps(sent).encode(), "openf1 test") if sent else frame
        for name, frame in answers(meetings=[], sessions=[]).items()
        for sent in [{**SESSION, **rows}[name]]
    }
    listed = raw["sessions"]
    raw["meetings"] = openf1.find_meeting(RACE._replace(round=1), raw["meetings"])
    raw["sessions"] = openf1.find_session(RACE, listed)
    raw["starting_grid"] = openf1.find_grid(RACE, listed, raw["starting_grid"])
    return openf1.parse_tables(RACE, raw, ENTRANTS)


RIGHT = parsed()


@hypothesis_settings(max_examples=runs(5, 120), derandomize=True, deadline=None)
@given(chance=st.randoms(use_true_random=False), extra=st.integers(0, 8))
def test_order_and_repeats_change_nothing(chance: Any, extra: int) -> None:
    """All endpoints at once: rows in any order, some of them twice or more often."""
    stirred = {}
    for name, sent in SESSION.items():
        stirred[name] = [*sent, *chance.choices(sent, k=extra)]
        chance.shuffle(stirred[name])
    found = parsed(**stirred)
    for name, table in RIGHT.items():
        assert_frame_equal(found[name], table)


TOLD = ("meetings", "sessions", "session_result", "laps")
"""Endpoints of which other endpoints tell that rows are missing."""

UNTOLD: Mapping[str, tuple[str, ...]] = {"race_control": ("track_status", "is_deleted")}
"""Columns of laps that rest on all rows of an endpoint, of whose number nothing tells."""


@st.composite
def cut(draw: st.DrawFn) -> tuple[str, Rows]:
    """An endpoint and some of its rows."""
    endpoint = draw(st.sampled_from(sorted(SESSION)))
    sent = SESSION[endpoint]
    kept = draw(st.sets(st.integers(0, len(sent) - 1), max_size=len(sent) - 1))
    return endpoint, [sent[index] for index in sorted(kept)]


@hypothesis_settings(max_examples=runs(10, 250), derandomize=True, deadline=None)
@given(part=cut())
@example(part=("pit", SESSION["pit"][1:]))
@example(part=("laps", SESSION["laps"][:-1]))
def test_missing_rows_are_told_or_leave_the_rest_as_it_is(part: tuple[str, Rows]) -> None:
    """A refusal, or no value that the whole answer does not give too: equal, null or not there.

    Messages are numbered in their order, so a missing one moves the numbers of those after it.
    """
    endpoint, sent = part
    try:
        found = parsed(**{endpoint: sent})
    except (ContractError, ProviderError):
        assert endpoint in TOLD
        return
    lost = RIGHT["laps"].height - found["laps"].height
    assert lost == (len(SESSION["laps"]) - len(sent) if endpoint == "laps" else 0)
    counted = Counter(row.get("driver_number") for row in sent)
    credited = {row["driver_number"]: row["number_of_laps"] for row in SESSION["session_result"]}
    is_short = endpoint == "laps" and any(n - counted[car] > 1 for car, n in credited.items())
    assert bool(gaps(found)) == is_short
    for name, table in RIGHT.items():
        kept = table.drop("message_number", *UNTOLD.get(endpoint, ()), strict=False)
        assert_no_other_values(found[name].select(kept.columns), kept, name)


def assert_no_other_values(found: pl.DataFrame, right: pl.DataFrame, table: str) -> None:
    """Every row is one of the right ones, and every value equal or null."""
    key = [name for name in TABLES[table].primary_key() if name in right.columns]
    if table == "race_control":
        key = ["sent_at"]
    both = found.join(right, on=key, suffix="_right")
    assert both.height == found.height
    for name in set(right.columns) - set(key):
        differs = both[name].is_not_null() & both[name].ne_missing(both[f"{name}_right"])
        assert not differs.any(), (table, name)


def test_a_cut_connection_is_no_short_race() -> None:
    """A body cut anywhere is no JSON."""
    content = json.dumps(SESSION["laps"]).encode()
    for length in range(1, len(content), 97):
        with pytest.raises(ContractError, match="no JSON"):
            parse_reply("laps", content[:length], "openf1 test")
