"""JSON is read strictly: what is not plainly a list of good records is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ContractError
from loaders.strict_json import MAX_NESTING, Record, read_json, read_records, validate_records


class Lap(Record):
    """A small record."""

    lap_number: int
    lap_time_s: float | None
    driver_name: str


def laps(content: bytes) -> list[Lap]:
    """Read laps of a session that does not matter."""
    return read_records(content, Lap, "openf1 2025-1", "laps")


def row(**values: object) -> dict[str, object]:
    """A good row, changed."""
    return {"lap_number": 1, "lap_time_s": 81.25, "driver_name": "Ñ 周 🏎", **values}


def test_good_records_keep_their_order_and_lose_unknown_fields() -> None:
    """A field that the service adds must not break us."""
    content = json.dumps([row(lap_number=2, added=[1]), row(lap_time_s=None)]).encode()
    first, second = laps(content)
    assert (first.lap_number, first.lap_time_s, second.lap_time_s) == (2, 81.25, None)
    assert first.driver_name == "Ñ 周 🏎"
    assert not hasattr(first, "added")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'[{"lap_number": NaN}]', "NaN is no number"),
        (b'[{"lap_number": -Infinity}]', "-Infinity is no number"),
        (b'[{"lap_time_s": 1e999}]', "'1e999' is too large a number"),
        (b'[{"lap_number": 1180591620717411303424}]', "too large an integer"),
        (b"[-9223372036854775809]", "too large an integer"),
        (b'[{"lap_number": 1, "lap_number": 2}]', "'lap_number' is there twice"),
        (b'[{"driver_name": "\\ud800"}]', "half a surrogate pair"),
        (b'[{"driver_name": "a\\u0000b"}]', "NUL"),
        (b'[{"\\u0000": 1}]', "NUL"),
        (b"[" * 40 + b"]" * 40, "nested deeper than 32"),
        (b"[" * 200_000, "nested deeper than 32"),
        (b"\xff[]", "not UTF-8 at byte 0"),
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b'[{"lap_number": 1}, ', "no JSON"),
        (b"{}", "not a list but an object"),
        (b"null", "not a list but null"),
        (b"1", "not a list but a number"),
    ],
)
def test_bad_documents_are_refused(raw: bytes, said: str) -> None:
    """The message names provider, session, table and rule."""
    with pytest.raises(ContractError, match="laps: the answer of openf1 2025-1") as caught:
        laps(raw)
    assert said in str(caught.value)


def test_nesting_up_to_the_limit_is_read() -> None:
    """The limit is a level that is still good."""
    assert read_json(b"[" * MAX_NESTING + b"]" * MAX_NESTING, "x", "y") is not None


@pytest.mark.parametrize(
    "change",
    [
        {"lap_number": 1.0},
        {"lap_number": "1"},
        {"lap_number": True},
        {"lap_number": None},
        {"lap_time_s": "81.25"},
        {"driver_name": 1},
    ],
)
def test_types_are_not_converted(change: dict[str, object]) -> None:
    """1.0 is no integer, "1" no number, and a required value is not null."""
    with pytest.raises(ContractError, match=f"{next(iter(change))}: Input should be"):
        laps(json.dumps([row(**change)]).encode())


def test_an_error_counts_by_rule_and_shows_the_first_three_rows() -> None:
    """Five rows break one rule, one of them a second."""
    rows = [row(), *(row(lap_number=str(number)) for number in range(5))]
    del rows[5]["driver_name"]
    with pytest.raises(ContractError) as caught:
        laps(json.dumps(rows).encode())
    assert str(caught.value).splitlines() == [
        "laps: 5 of 6 rows from openf1 2025-1 break 2 rules",
        "  lap_number: Input should be a valid integer: 5 rows",
        "    row=1 lap_number='0'",
        "    row=2 lap_number='1'",
        "    row=3 lap_number='2'",
        "  driver_name: Field required: 1 row",
        "    row=5 driver_name={'lap_number': '4', 'lap_time_s': 81.25}",
        "Nothing was used. If the service has changed, adapt its provider.",
    ]


def test_a_refused_value_is_shown_short_and_escaped() -> None:
    """A text may be long, and may turn the direction of the terminal."""
    with pytest.raises(ContractError) as caught:
        laps(json.dumps([row(lap_number="\u202e" + "x" * 10_000)]).encode())
    assert "\\u202e" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_row_that_is_no_object_is_refused() -> None:
    """A list of numbers is no list of laps."""
    with pytest.raises(ContractError, match="row: Input should be"):
        validate_records([1], Lap, "openf1 2025-1", "laps")


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "lap_number": DOCUMENTS | st.integers(),
        "lap_time_s": DOCUMENTS | st.floats(),
        "driver_name": DOCUMENTS | st.text(),
    },
)


@settings(max_examples=500, derandomize=True, deadline=None)
@given(
    st.binary()
    | st.text().map(str.encode)
    | DOCUMENTS.map(lambda document: json.dumps(document).encode())
    | st.lists(ROWS, max_size=4).map(lambda rows: json.dumps(rows).encode())
)
def test_only_a_contract_error_escapes(content: bytes) -> None:
    """Whatever the bytes are, they become records or are refused."""
    try:
        found = laps(content)
    except ContractError:
        return
    assert all(isinstance(record, Lap) for record in found)
