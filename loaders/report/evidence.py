"""Evidence of a driver as tables for a page: what `drivegrade explain` shows, with exact values.

A cell shows a rounded number and carries the whole one. The cells marked as counting add up to
those of the table's last rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loaders.display import NOT_KNOWN
from loaders.display_explain import BURDENS, COMPONENTS, REASONS, REFUSED_STOPS, STOP_SUMS, ranges
from loaders.report.moved import RACECRAFT
from loaders.report.wording import number, plural, reach, short_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loaders.explain_drive import Line
    from loaders.explain_sections import Sections


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what is shown.
        value: the whole number behind it; None for text, and where it is not known.
        is_number: stands right.
        is_counted: is one of those that add up, or their sum.
    """

    text: str
    value: float | None = None
    is_number: bool = False
    is_counted: bool = False


Row = tuple[Cell, ...]


@dataclass(frozen=True)
class EvidenceTable:
    """A table of a driver's evidence.

    Attributes:
        title: what it shows, with the unit.
        headings: of the columns; the first column names the row.
        rows: cells, as many as headings.
        sums: last rows, likewise.
        note: a sentence below; empty for none.
        stored: tables of the warehouse that have the rows.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    sums: tuple[Row, ...] = ()
    note: str = ""
    stored: tuple[str, ...] = ()

    @property
    def adds(self) -> bool:
        """Its cells that count add up to those of the first of the last rows."""
        return any(cell.is_counted for row in self.sums for cell in row)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """By column, whether its cells stand right."""
        rows = (*self.rows, *self.sums)
        return tuple(cell.is_number for cell in rows[0]) if rows else ()


def evidence_tables(sections: Sections) -> tuple[EvidenceTable, ...]:
    """Make the tables of a driver, without those that would be empty."""
    made = (
        _components(sections),
        _laps(sections["laps"]),
        _pace(sections),
        _rating(sections["rating"]),
        _racecraft(sections["racecraft"]),
        _mistakes(sections["mistakes"]),
        _burden(sections["burden"]),
        _stops(sections["stops"]),
    )
    return tuple(table for table in made if table.rows or table.sums)


def _text(text: object) -> Cell:
    return Cell(NOT_KNOWN if text is None else str(text))


def _number(value: float | None, form: str, *, counts: bool = False) -> Cell:
    return Cell(number(value, form), value, is_number=True, is_counted=counts)


BLANK: Final = Cell("", is_number=True)


def _stored(lines: Sequence[Line]) -> tuple[str, ...]:
    """Name the tables that lines are read from, each once."""
    return tuple(dict.fromkeys(str(line["table"]) for line in lines))


def _components(sections: Sections) -> EvidenceTable:
    """Components, and how they add up to the total."""
    lines = sections["components"]
    rows = []
    for line in lines:
        name, unit = COMPONENTS[line["name"]]
        score = NOT_KNOWN if line["counted_score"] is None else f"{line['counted_score']:.3f}"
        if line["score"] is None and line["counted_score"] is not None:
            score = f"not known: {line['counted_score']:.1f}"
        weighed = Cell(f"{score} × {number(line['weight'], '{:.2f}')}", is_number=True)
        adds = _number(line["contribution"], "{:+.3f}", counts=True)
        rows.append((_text(name.capitalize()), _number(line["raw"], unit), weighed, adds))
    total = sections["grade"][1]
    ends = reach(total["low"], total["high"], "{:.3f}")
    note = f"The total's 90 % interval is {ends}. " if ends else ""
    return EvidenceTable(
        "How the total adds up",
        ("Component", "Measured", "Score × weight", "Adds"),
        tuple(rows),
        ((_text("Total"), BLANK, BLANK, _number(total["value"], "{:.3f}", counts=True)),),
        f"{note}A score of 0.5 is the average driver-race of the training years.",
        _stored([*lines, total]),
    )


def _laps(lines: Sequence[Line]) -> EvidenceTable:
    """Laps used and refused."""
    rows = tuple(
        (
            _text(REASONS[line["refused_for"]].capitalize()),
            _number(line["laps"], "{:.0f}", counts=True),
            _text(ranges(line["key"]["lap_number"])),
        )
        for line in lines
    )
    total = sum(line["laps"] for line in lines)
    return EvidenceTable(
        "Laps that pace is taken from, and others",
        ("Why", "Laps", "Which"),
        rows,
        ((_text("All"), _number(total, "{:.0f}", counts=True), _text("")),),
        stored=_stored(lines),
    )


def _pace(sections: Sections) -> EvidenceTable:
    """Pace against field, car and team-mates, and scatter."""
    median_ms = sections["laps"][0]["median_lap_ms"]
    names = {"field": "Against the mean driver", "car": "Against the car: this is scored"}
    rows = []
    for line in sections["pace"]:
        is_scatter = line["name"] == "dispersion"
        value = line["dispersion_pct"] if is_scatter else line["faster_pct"]
        name = names.get(line["name"]) or f"Against {line.get('team_mate_name')}"
        a_lap = None if value is None or median_ms is None else value * median_ms * 1e-5
        sign = "" if is_scatter else "+"
        rows.append(
            (
                _text("Scatter from lap to lap" if is_scatter else name),
                _number(value, f"{{:{sign}.2f}}"),
                Cell(reach(line.get("low_pct"), line.get("high_pct"), "{:+.2f}"), is_number=True),
                _number(a_lap, f"{{:{sign}.2f}}"),
            )
        )
    about = "" if median_ms is None else f" 1 % of a clean lap here is {median_ms * 1e-5:.2f} s."
    return EvidenceTable(
        "Pace in % of the lap time; plus is faster",
        ("What", "%", "90 % interval", "s a lap"),
        tuple(rows),
        note=f"Lap, tyre age and traffic are taken out.{about}",
        stored=_stored(sections["pace"]),
    )


def _rating(lines: Sequence[Line]) -> EvidenceTable:
    """Ratings of driver and car."""
    told = {"rating": "Driver", "car": "Car"}
    times = {"before": "before the weekend", "after": "after the session"}
    rows = tuple(
        (
            _text(f"{told[line['name']]} {times[line['when']]}"),
            _number(line["faster_pct"], "{:+.2f}"),
            Cell(reach(line["low_pct"], line["high_pct"], "{:+.2f}"), is_number=True),
        )
        for line in lines
    )
    return EvidenceTable(
        "Ratings, which go on from race to race, in %; plus is faster",
        ("Whose", "%", "90 % interval"),
        rows,
        stored=_stored(lines),
    )


def _racecraft(lines: Sequence[Line]) -> EvidenceTable:
    """Passes, laps without one, and the start."""
    rows = [_pass(line) for line in lines if line["name"] in RACECRAFT and "laps" in line]
    places = {line["name"]: line.get("place") for line in lines}
    start = next((line for line in lines if line["name"] == "start"), None)
    if start is not None:
        rows.append(_start(start, places["grid"], places["place_after_lap_1"]))
    raw = lines[-1]
    summed = (
        _text("Racecraft"),
        BLANK,
        BLANK,
        BLANK,
        _number(raw["counted"], "{:+.2f}", counts=True),
    )
    return EvidenceTable(
        "Racecraft in passes: what happened less what was to be expected",
        ("What", "Laps", "Gap, s", "Expected", "Counts"),
        tuple(rows),
        (summed,),
        "Laps that began at most 2.5 s behind another car; gaps of several are their median. At "
        "the start a place beyond what is usual from the slot counts half a pass.",
        _stored(lines),
    )


def _start(line: Line, slot: int | None, after: int | None) -> Row:
    """The start: from where to where, what is usual, and what it counts."""
    usual = line["usual_gain_places"]
    told = f"Start: from {slot or 'an unknown slot'} to {after or 'an unknown place'} on lap 1"
    if usual is not None:
        told += f", usual {number(usual, '{:+.1f}')}"
    return (_text(told), BLANK, BLANK, BLANK, _number(line["counted"], "{:+.2f}", counts=True))


def _pass(line: Line) -> Row:
    """A pass, or laps without one."""
    numbers = line["key"].get("lap_number")
    laps = ranges(numbers if isinstance(numbers, list) else [numbers]) if numbers else ""
    others = (
        plural(line["opponents"], "other driver")
        if line["opponent_id"] is None
        else short_name(line["opponent_name"] or line["opponent_id"])
    )
    return (
        _text(f"{RACECRAFT[line['name']].capitalize()} {others}"),
        Cell(laps or plural(line["laps"], "lap"), is_number=True),
        _number(line["gap_s"], "{:.1f}"),
        _number(line["expected_passes"], "{:.2f}"),
        _number(line["counted"], "{:+.2f}", counts=True),
    )


def _mistakes(lines: Sequence[Line]) -> EvidenceTable:
    """Slow laps and penalties, one by one."""
    rows: list[Row] = []
    for line in lines:
        if line["name"] == "slow_lap":
            others = line["drivers"] - 1
            shared = f", like {plural(others, 'other')}" if others else ""
            of_all = ""
            if line["shortfall_pct"] > line["loss_pct"]:
                of_all = f" of {line['shortfall_pct']:.1f}"
            lost = Cell(f"{line['loss_pct']:.1f}{of_all} %", line["loss_pct"], is_number=True)
            what = f"Slow lap in clear air{shared}"
        else:
            lost = _number(line["time_loss_s"], "{:.0f} s")
            what = str(line["message"] or line["kind"])
        rows.append((_text(what), Cell(_text(line["lap_number"]).text, is_number=True), lost))
    return EvidenceTable(
        "Slow laps and penalties", ("What", "Lap", "Lost"), tuple(rows), stored=_stored(lines)
    )


def _burden(lines: Sequence[Line]) -> EvidenceTable:
    """What mistakes, a crash and the stewards add to the burden."""
    *parts, raw = lines
    rows = tuple(
        (
            _text(
                BURDENS[line["name"]].capitalize()
                + (": not known" if line["counted"] is None else "")
            ),
            _number(line["counted"], "{:+.2f}", counts=True),
        )
        for line in parts
    )
    return EvidenceTable(
        "Burden of mistakes and penalties; less is better",
        ("What", "Counts"),
        rows,
        ((_text("Burden"), _number(raw["counted"], "{:+.2f}", counts=True)),),
        stored=_stored(lines),
    )


def _stops(lines: Sequence[Line]) -> EvidenceTable:
    """Stops beside the field's; no part of the grade."""
    rows: list[Row] = []
    sums: list[Row] = []
    for line in lines:
        lost = _number(line["lost_s"], "{:+.1f} s", counts=line["name"] != "team")
        if line["name"] in STOP_SUMS:
            name = STOP_SUMS[line["name"]].capitalize()
            sums.append((_text(name), BLANK, BLANK, BLANK, lost))
            continue
        name = f"{line['stop_number']}{REFUSED_STOPS.get(line['name'], '')}"
        name += ", neutralized" if line.get("is_neutralized") else ""
        cost, field = line.get("cost_s"), line.get("field_cost_s")
        rows.append(
            (
                _text(name),
                _number(line["lap_number"], "{:.0f}"),
                _number(cost, "{:.1f} s"),
                _number(field, "{:.1f} s"),
                lost,
            )
        )
    return EvidenceTable(
        "Stops beside the field's; they say more of the team and are no part of the grade",
        ("Stop", "In-lap", "Cost", "Field's cost", "Lost"),
        tuple(rows),
        tuple(sums) if rows else (),
        stored=_stored(lines),
    )
