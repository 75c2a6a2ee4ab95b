"""Strict reading of JSON: what is not plainly a document of the expected shape is refused.

Python's reader takes NaN, repeats of a key and numbers too large for a float; a database or a
formula meets them later, far from the cause. Here they end at the door, in a `ContractError`
that says which provider, table, row, column and rule.

Models derive from `Record`: integers are not floats, numbers are not text unless the model says
so, and a field the model does not know is left out, because services add fields at any time.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NESTING: Final = 32
"""Levels of lists and objects; the services' own documents have at most seven."""

MAX_DIGITS: Final = 19
"""Digits of an integer; more do not fit 64 bits."""

MAX_FAULTS: Final = 10_000
"""Faults after which reading ends: so many need no exact count."""

SHOWN_ROWS: Final = 3
"""Rows shown for each broken rule in an error message."""

SHOWN_CHARACTERS: Final = 80
"""Length to which a refused value is cut in an error message."""

_REMEDY: Final = "Nothing was used. If the service has changed, adapt its provider."


class Record(BaseModel):
    """Base of every record that is read: strict types, finite numbers, unknown fields left out."""

    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


RecordT = TypeVar("RecordT", bound=BaseModel)


class _RefusedError(ValueError):
    """A document breaks a rule that Python's reader does not know."""


def read_json(content: bytes, source: str, table: str) -> Any:
    """Read a JSON document.

    Args:
        content: the bytes as received; UTF-8.
        source: where they come from, for the message ("openf1 2025-1").
        table: what they should hold, for the message ("laps").

    Raises:
        ContractError: not UTF-8, no JSON, a number that is not finite or too large for 64 bits, a
            repeated key, a NUL or half a surrogate pair in a text, or nesting beyond
            `MAX_NESTING`.
    """
    try:
        text = content.decode("utf-8")
        document = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_not_finite,
            parse_float=_float,
            parse_int=_integer,
        )
        _check_values(document)
    except UnicodeDecodeError as error:
        raise _broken(source, table, f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _broken(source, table, f"no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _broken(source, table, f"nested deeper than {MAX_NESTING} levels") from None
    except _RefusedError as error:
        raise _broken(source, table, str(error)) from None
    return document


def read_records(content: bytes, model: type[RecordT], source: str, table: str) -> list[RecordT]:
    """Read a JSON document that is a list of records.

    Args:
        content: the bytes as received.
        model: what each record must be.
        source: where they come from, for the message ("openf1 2025-1").
        table: what they should hold, for the message ("laps").

    Returns:
        One record per element, in the document's order.

    Raises:
        ContractError: see `read_json`; or the document is no list; or records break the model.
    """
    document = read_json(content, source, table)
    if not isinstance(document, list):
        raise _broken(source, table, f"not a list but {_kind(document)}")
    return validate_records(document, model, source, table)


def validate_records(
    rows: Sequence[object], model: type[RecordT], source: str, table: str
) -> list[RecordT]:
    """Validate rows that were read already, each by the model.

    Raises:
        ContractError: rows break the model; the message counts them by rule and shows the first
            rows of each.
    """
    records: list[RecordT] = []
    faults: list[tuple[int, str, str, object]] = []
    for index, row in enumerate(rows):
        try:
            records.append(model.model_validate(row, strict=True))
        except ValidationError as error:
            faults += [(index, *_place_and_rule(fault), fault["input"]) for fault in error.errors()]
            if len(faults) > MAX_FAULTS:
                break
    if faults:
        raise ContractError(_describe(faults, len(rows), source, table))
    return records


def _place_and_rule(fault: Any) -> tuple[str, str]:
    """Column (a path inside a nested record) and rule of one of pydantic's findings."""
    place = ".".join(str(part) for part in fault["loc"]) or "row"
    return place, fault["msg"]


def _describe(
    faults: Sequence[tuple[int, str, str, object]], rows: int, source: str, table: str
) -> str:
    """Count the broken rules and show the first rows of each."""
    counts = Counter((column, rule) for _, column, rule, _ in faults)
    broken = len({index for index, *_ in faults})
    rules = f"{len(counts)} {'rule' if len(counts) == 1 else 'rules'}"
    lines = [f"{table}: {broken} of {rows} rows from {source} break {rules}"]
    for (column, rule), count in list(counts.items())[: 2 * SHOWN_ROWS]:
        lines.append(f"  {column}: {rule}: {count} {'row' if count == 1 else 'rows'}")
        shown = [fault for fault in faults if fault[1:3] == (column, rule)][:SHOWN_ROWS]
        lines += [f"    row={index} {column}={_shown(value)}" for index, *_, value in shown]
    if len(counts) > 2 * SHOWN_ROWS:
        lines.append(f"  and {len(counts) - 2 * SHOWN_ROWS} more rules")
    return "\n".join([*lines, _REMEDY])


def _shown(value: object) -> str:
    """A refused value, short and printable: control characters and directions are escaped."""
    text = ascii(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _broken(source: str, table: str, rule: str) -> ContractError:
    return ContractError(f"{table}: the answer of {source} cannot be read: {rule}\n{_REMEDY}")


def _kind(document: object) -> str:
    names = {dict: "an object", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(document), "a number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object whose keys are all different."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _RefusedError(f"the key {_shown(twice)} is there twice in one object")
    return made


def _not_finite(text: str) -> NoReturn:
    raise _RefusedError(f"{text} is no number")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _RefusedError(f"{_shown(text)} is too large a number")
    return number


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS or not -(2**63) <= int(text) < 2**63:
        raise _RefusedError(f"{_shown(text)} is too large an integer")
    return int(text)


def _check_values(document: object) -> None:
    """Refuse deep nesting, and texts, keys too, that no database stores."""
    pending = [(document, 1)]
    while pending:
        part, level = pending.pop()
        if isinstance(part, str):
            if "\0" in part or not _is_unicode(part):
                raise _RefusedError(f"the text {_shown(part)} holds a NUL or half a surrogate pair")
        elif isinstance(part, dict | list):
            if level > MAX_NESTING:
                raise _RefusedError(f"nested deeper than {MAX_NESTING} levels")
            pending += [(inner, level + 1) for inner in part]
            if isinstance(part, dict):
                pending += [(inner, level + 1) for inner in part.values()]


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
