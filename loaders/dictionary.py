"""The data dictionary: every table and column, from the contracts and the migrations.

Meaning, dtype, nulls, bounds and key are those of `engine.tables`, units follow from names, and
places in PostgreSQL are those that a load writes to. Tables that only PostgreSQL has are told by
the comment that their migration gives them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import dataframely as dy
import polars as pl

from engine.tables import DERIVED, EVIDENCE, NORMALIZED, STORED, UNITS, polars_schema, unit
from loaders.one_file_tables import NO_ENTRY_NEEDED, TARGETS
from loaders.settings import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SECTIONS: Final = (
    ("What a source delivers", (*NORMALIZED, "filled_columns")),
    ("What is derived", tuple(name for name in DERIVED if name not in EVIDENCE)),
    ("What grades of model v2 rest on", tuple(EVIDENCE)),
)
"""Headings, and the tables of the lake under each."""

HEAD: Final = """# Data dictionary

Every table and column, as `drivegrade dictionary` prints them from the contracts that all data is
checked against (`engine/tables`).

- A **null** means that the source does not know, never zero.
- The **lake** keeps a table as `lake/TABLE/season=YEAR/….parquet` below `$DRIVEGRADE_HOME`; in
  `drivegrade sql` it is `lake.TABLE`.
- **PostgreSQL** has the same columns, but for what identifies a row: `race_id` stands for
  `session_id`, whose text is `core.races.slug`, and `entry_id` for session and driver together.
- **Key** columns are marked; together they name a row.
- **Units** stand in names: {units}.
"""

COLUMN_HEADS: Final = ("column", "unit", "type", "null", "bounds", "meaning")

GROUPED: Final = 10_000
"""Least bound whose digits are grouped; years are not."""

_COMMENT: Final = re.compile(r"comment on table ([a-z_]+\.[a-z_]+) is\s+'((?:[^']|'')*)';")


class ColumnFacts(NamedTuple):
    """What is to be known of a column; `unit` and `bounds` are empty where there is none."""

    table: str
    column: str
    is_key: bool
    dtype: str
    nullable: bool
    unit: str
    bounds: str
    meaning: str
    postgresql: str


def columns() -> Iterator[ColumnFacts]:
    """Describe every column of every table of the lake (`engine.tables.STORED`), in order."""
    for table, schema in STORED.items():
        key = schema.primary_key()
        for name, column in schema.columns().items():
            yield ColumnFacts(
                table,
                name,
                name in key,
                _dtype(polars_schema(table)[name]),
                column.nullable,
                unit(name) or "",
                _bounds(column),
                column.description or "",
                _place(table, name),
            )


def only_in_postgresql() -> dict[str, str]:
    """Name the tables that have no counterpart in the lake, with what a row of each is."""
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in sorted((RESOURCES / "sql" / "migrations").glob("*.sql"))
    )
    comments = {name: said.replace("''", "'") for name, said in _COMMENT.findall(text)}
    return {name: said for name, said in sorted(comments.items()) if name not in TARGETS.values()}


def markdown() -> str:
    """Write the dictionary as a page."""
    units = ", ".join(f"`{suffix}` {meaning}" for suffix, meaning in UNITS.items())
    described: dict[str, list[ColumnFacts]] = {}
    for facts in columns():
        described.setdefault(facts.table, []).append(facts)
    parts = [HEAD.format(units=units)]
    for title, tables in SECTIONS:
        parts.append(f"## {title}\n")
        parts += [_section(table, described[table]) for table in tables]
    parts.append("## Only in PostgreSQL\n")
    others = [(f"`{name}`", said) for name, said in only_in_postgresql().items()]
    parts.append(_rows(("table", "what it holds"), others))
    return "\n".join(parts)


def _section(table: str, described: Sequence[ColumnFacts]) -> str:
    """Write a table's heading, its first lines of documentation, and a row per column."""
    said = (STORED[table].__doc__ or "").strip().splitlines()
    text = "\n".join(line.strip() for line in said)
    where = f"PostgreSQL: `{TARGETS[table]}`." if table in TARGETS else "In the lake only."
    rows = [
        (
            f"`{facts.column}`{' (key)' if facts.is_key else ''}",
            facts.unit,
            facts.dtype,
            "yes" if facts.nullable else "",
            facts.bounds,
            facts.meaning,
        )
        for facts in described
    ]
    return f"### `{table}`\n\n{text}\n\n{where}\n\n{_rows(COLUMN_HEADS, rows)}"


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table; a bar inside a cell is escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines
    )


def _dtype(dtype: pl.DataType) -> str:
    """Name a dtype as people do."""
    if isinstance(dtype, pl.List):
        return f"list of {_dtype(pl.Series(dtype=dtype.inner).dtype)}"
    if isinstance(dtype, pl.Enum):
        return "word"
    names = {pl.String: "text", pl.Boolean: "boolean", pl.Datetime: "timestamp, UTC"}
    return names.get(dtype.base_type(), str(dtype).lower())


def _bounds(column: dy.Column) -> str:
    """Write what a contract allows: words, a range, a pattern, a length."""
    if isinstance(column, dy.List):
        return _bounds(column.inner)
    if isinstance(column, dy.Enum):
        return ", ".join(column.categories)
    if isinstance(column, dy.String):
        return f"`{column.regex}`" if column.regex else _length(column)
    low, above, high = (getattr(column, name, None) for name in ("min", "min_exclusive", "max"))
    parts = []
    for sign, bound in (("≥", low), (">", above), ("≤", high)):
        if bound is not None:
            number = f"{bound:,.15g}" if abs(bound) >= GROUPED else f"{bound:.15g}"
            parts.append(f"{sign} {number}")
    return ", ".join(parts)


def _length(column: dy.String) -> str:
    least, most = column.min_length, column.max_length
    if most is None:
        return ""
    return f"{least} to {most} characters" if least else f"at most {most} characters"


def _place(table: str, column: str) -> str:
    """Name a column's place in PostgreSQL; empty where only the lake has it."""
    if table not in TARGETS:
        return ""
    target = TARGETS[table]
    if column == "session_id":
        of_entry = "driver_id" in STORED[table].primary_key() and table not in NO_ENTRY_NEEDED
        own = "slug" if table == "sessions" else "entry_id"
        return f"{target}.{own if table == 'sessions' or of_entry else 'race_id'}"
    if column == "driver_id" and table not in {"entries", *NO_ENTRY_NEEDED}:
        return f"{target}.entry_id"
    return f"{target}.{column}"
