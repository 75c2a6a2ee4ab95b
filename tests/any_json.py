"""What a service may send instead of what it should, drawn at little cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hypothesis.strategies import SearchStrategy

SCALARS: Final = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
JSON: Final = (
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=8), SCALARS)
)
"""Any value; to draw it deeper, which `test_strict_json` does, costs five times as much."""


def spoiled(
    row: Mapping[str, Any], fields: Iterable[str], values: SearchStrategy[Any]
) -> SearchStrategy[dict[str, Any]]:
    """Draw the row with other values in up to two of the fields."""
    edits = st.dictionaries(st.sampled_from(sorted(fields)), values, max_size=2)
    return edits.map(lambda drawn: {**row, **drawn})


def some(row: Mapping[str, Any], texts: SearchStrategy[str]) -> SearchStrategy[list[Any]]:
    """Draw up to three such rows: of the right types, or with anything anywhere."""
    fit = [name for name, value in row.items() if isinstance(value, str)]
    parts = {
        name: spoiled(value, value, st.text(max_size=9))
        for name, value in row.items()
        if isinstance(value, dict)
    }
    inner = st.fixed_dictionaries({}, optional=parts)
    right = st.builds(lambda made, of: {**made, **of}, spoiled(row, fit, texts), inner)
    odd = spoiled(row, row, JSON) | spoiled(row, row, JSON).map(dropped) | JSON
    return st.lists(right, max_size=3) | st.lists(odd, max_size=2)


def dropped(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is null, as if it had not been sent."""
    return {name: value for name, value in row.items() if value is not None}
