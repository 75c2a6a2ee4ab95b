"""How an explanation looks in a terminal of 100 columns: a sentence, then a table a section.

The last column of every table names the stored rows. Numbers are rounded when they are shown, so
that the last decimal of a sum may differ by one; ``--json`` has them whole.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE
from rich.table import Table

from loaders.display import NOT_KNOWN, UNCLASSIFIED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from loaders.explain_drive import Line
    from loaders.explain_sections import Sections

REASONS: Final = {
    None: "used",
    "untimed": "no time",
    "first_lap": "lap 1",
    "in_lap": "into the pits",
    "out_lap": "out of the pits",
    "neutralized": "safety car, virtual safety car or red flag",
    "slow_field": "the whole field slow: safety car or rain",
    "off_pace": "slow: far behind the field's pace",
}
"""Why a lap is used or not."""

COMPONENTS: Final = {
    "consistency": ("pace against the car", "{:+.2f} %"),
    "racecraft": ("racecraft", "{:+.2f} passes"),
    "penalty": ("mistakes and penalties", "{:+.2f} burden"),
}
"""Heading and unit of each component."""

BURDENS: Final = {
    "slow_laps": "time lost on slow laps, ln(1 + %)",
    "race_median": "what is usual in this race (median)",
    "crash": "retired by a crash, collision or spin",
    "stewards": "stewards' penalties",
    "penalties_raw": "burden",
}

STOP_SUMS: Final = {"driver": "driver, all stops", "team": "team, all cars"}
REFUSED_STOPS: Final = {"red_flag": ", red flag", "not_known": ", cost not known"}


def explanation(head: Line, sections: Sections) -> Iterator[Table | str]:
    """Draw an explanation.

    Args:
        head: who drove what and how it was graded, as `loaders.explain_grade.explain` gives it.
        sections: lines of each section, likewise.
    """
    yield _headline(head, sections["grade"][0])
    yield _component_table(sections)
    yield _lap_table(sections["laps"])
    yield _pace_table(sections)
    yield _racecraft_table(sections["racecraft"])
    yield _mistake_table(sections)
    yield _stop_table(sections["stops"])


def _headline(head: Line, grade: Line) -> str:
    """Say who it is, and the grade in words."""
    sprint = " sprint" if head["session_kind"] == "sprint" else ""
    started = _started(head)
    finished = f"P{_text(head['position'])}"
    if not head["is_classified"]:
        label = UNCLASSIFIED.get(head["status"], str(head["status"]))
        reason = f", {head['status_text']}" if head["status_text"] else ""
        finished = f"{label} ({head['completed_laps']} laps{reason})"
    who = (
        f"{head['driver_name']}, {head['team_name']} · {head['event_name']} {head['season']}"
        f"{sprint} · {started} → {finished}"
    )
    years = f"{head['first_training_season']}–{head['last_training_season']}"
    if grade["value"] is None:
        told = (
            "No grade: too few clean laps to know the pace. What is known of the drive stands "
            "below."
        )
    else:
        told = (
            f"Grade {grade['value']:.1f} of 100 (90 % interval {grade['low']:.0f} to "
            f"{grade['high']:.0f}): better than {grade['value']:.0f} % of the driver-races of "
            f"{years}."
        )
    state = head["state_session_id"]
    began = f"ratings go on from {state}" if state else "ratings begin here"
    return (
        f"{who}\n{told}\nmodel {head['model_version']} · profile {head['profile_name']} "
        f"{head['profile_version']} · data from {head['data_source']} · {began}\n"
        f"Rows named below are of session {head['session_id']}, driver {head['driver_id']}, "
        "unless they say otherwise."
    )


def _started(head: Line) -> str:
    """Say where from."""
    if head["is_pit_lane_start"]:
        return "pit lane"
    return "grid ?" if head["grid_position"] is None else f"grid {head['grid_position']}"


def _table(title: str, *headings: str, caption: str | None = None) -> Table:
    """Begin a table: headings that end in ``>`` stand right, the last one is "from"."""
    table = Table(
        title=title,
        caption=caption and f"{caption}\n",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        title_style="bold",
        pad_edge=False,
    )
    for heading in headings:
        is_number = heading.endswith(">")
        table.add_column(heading.rstrip(">"), justify="right" if is_number else "left")
    table.add_column("from", style="dim", no_wrap=True)
    return table


def _component_table(sections: Sections) -> Table:
    """Components and how they add up to the total."""
    total = sections["grade"][1]
    note = "A score of 0.5 is the average driver-race of the training years."
    table = _table("Grade", "component", "measured>", "score>", "× weight>", "adds>", caption=note)
    for line in sections["components"]:
        name, unit = COMPONENTS[line["name"]]
        score = _number(line["counted_score"], "{:.3f}")
        if line["score"] is None and line["counted_score"] is not None:
            score = f"not known: {line['counted_score']:.1f}"
        cells = (_number(line["raw"], unit), score, f"{line['weight']:+.2f}")
        table.add_row(name, *cells, _number(line["contribution"], "{:+.3f}"), _from(line))
    reach = ""
    if total["low"] is not None:
        reach = f"{total['low']:.3f} to {total['high']:.3f}"
    table.add_section()
    table.add_row(
        "total, 90 % interval", reach, "", "", _number(total["value"], "{:.3f}"), _from(total)
    )
    return table


def _lap_table(laps: Sequence[Line]) -> Table:
    """Laps used and refused."""
    table = _table("Laps that pace is taken from, and others", "laps>", "why", "which")
    for line in laps:
        row = {"table": line["table"], "key": {}}
        numbers = line["key"]["lap_number"]
        table.add_row(str(line["laps"]), REASONS[line["refused_for"]], ranges(numbers), _from(row))
    return table


def _pace_table(sections: Sections) -> Table:
    """Pace and ratings."""
    median_ms = sections["laps"][0]["median_lap_ms"]
    per_pct = None if median_ms is None else median_ms * 1e-5
    about = "" if per_pct is None else f"; 1 % of a clean lap here is {per_pct:.2f} s"
    table = _table(
        f"Pace, + is faster, in % of the lap time{about}",
        "what",
        "%>",
        "90 % interval>",
        "s a lap>",
    )
    names = {"field": "against the mean driver", "car": "against the car"}
    for line in sections["pace"]:
        if line["name"] == "dispersion":
            scatter = _number(line["dispersion_pct"], "{:.2f}")
            name = "scatter from lap to lap"
        else:
            scatter, name = _number(line["faster_pct"], "{:+.2f}"), names.get(line["name"], "")
            name = name or f"against {line['team_mate_name']}"
        value = line.get("faster_pct", line.get("dispersion_pct"))
        a_lap = None if value is None or per_pct is None else value * per_pct
        sign = "" if line["name"] == "dispersion" else "+"
        cells = (scatter, _reach(line), _number(a_lap, f"{{:{sign}.2f}}"))
        table.add_row(name, *cells, _from(line))
    table.add_section()
    told = {"rating": "driver", "car": "car"}
    times = {"before": "before the weekend", "after": "after the session"}
    for line in sections["rating"]:
        name = f"{told[line['name']]} {times[line['when']]}"
        table.add_row(name, _number(line["faster_pct"], "{:+.2f}"), _reach(line), "", _from(line))
    return table


def _racecraft_table(lines: Sequence[Line]) -> Table:
    """Passes, laps without one, and the start."""
    table = _table(
        "Racecraft, in passes: what happened less what was to be expected",
        "what",
        "lap>",
        "gap s>",
        "expected>",
        "counts>",
        caption="Rows of core.pass_events are the car behind's. Gaps of several laps: the median.",
    )
    said: dict[str, Callable[[Line], str]] = {
        "pass_made": lambda line: f"passed {_others(line)}",
        "pass_suffered": lambda line: f"passed by {_others(line)}",
        "not_passed": lambda line: f"behind {_others(line)}",
        "not_suffered": lambda line: f"held off {_others(line)}",
    }
    for line in lines:
        if line["name"] in said:
            _racecraft_row(table, said[line["name"]](line), line)
    table.add_section()
    for line in lines:
        if line["name"] in {"grid", "place_after_lap_1"}:
            place = NOT_KNOWN if line["place"] is None else str(line["place"])
            name = "grid slot" if line["name"] == "grid" else "place after lap 1"
            table.add_row(f"{name} {place}", "", "", "", "", _from(line))
        if line["name"] == "start":
            gained = _number(line["gain_places"], "{:+.0f}")
            usual = _number(line["usual_gain_places"], "{:+.2f}")
            counts = _number(line["counted"], "{:+.2f}")
            table.add_row("start (counts half)", gained, "", usual, counts, _from(line))
    table.add_section()
    counts = _number(lines[-1]["counted"], "{:+.2f}")
    table.add_row("racecraft", "", "", "", counts, _from(lines[-1]))
    return table


def _racecraft_row(table: Table, name: str, line: Line) -> None:
    """Draw a pass, or laps without one."""
    numbers = line["key"].get("lap_number")
    laps = ranges(numbers if isinstance(numbers, list) else [numbers]) if numbers else ""
    if line["laps"] > 1 and not laps:
        laps = f"{line['laps']} laps"
    gap, expected = f"{line['gap_s']:.1f}", f"{line['expected_passes']:.2f}"
    table.add_row(name, laps, gap, expected, f"{line['counted']:+.2f}", line["table"])


def _others(line: Line) -> str:
    """Name the opponent with an initial, or say how many there were."""
    if line["opponent_id"] is None:
        return f"{line['opponents']} others"
    first, _, family = (line["opponent_name"] or line["opponent_id"]).partition(" ")
    return f"{first[0]}. {family}" if family else first


def _mistake_table(sections: Sections) -> Table:
    """Slow laps and penalties one by one, then the burden."""
    table = _table("Mistakes and penalties, less is better", "what", "lap>", "lost>", "counts>")
    for line in sections["mistakes"]:
        lap = _text(line["lap_number"])
        if line["name"] == "slow_lap":
            shortfall, counted = line["shortfall_pct"], line["loss_pct"]
            of_all = "" if shortfall <= counted else f" of {shortfall:.1f}"
            others = line["drivers"] - 1
            shared = f", like {others} other{'s' * (others > 1)}" if others else ""
            cells = (f"slow lap in clear air{shared}", lap, f"{counted:.1f}{of_all} %")
        else:
            cells = (str(line["message"]), lap, f"{line['time_loss_s']:.0f} s")
        table.add_row(*cells, "", _from(line))
    if sections["mistakes"]:
        table.add_section()
    for line in sections["burden"]:
        counts = _number(line["counted"], "{:+.2f}")
        if line["name"] == "penalties_raw":
            table.add_section()
        unknown = counts == NOT_KNOWN and line["name"] != "penalties_raw"
        name = BURDENS[line["name"]] + (": not known" if unknown else "")
        table.add_row(name, "", "", counts, _from(line))
    return table


def _stop_table(lines: Sequence[Line]) -> Table:
    """Stops, which the total does not hold."""
    table = _table(
        "Stops, beside the field's; they say more of the team and are no part of the grade",
        "stop",
        "in-lap>",
        "cost>",
        "field's cost>",
        "lost>",
    )
    for line in lines:
        name = STOP_SUMS.get(line["name"]) or str(line["stop_number"])
        name += ", neutralized" if line.get("is_neutralized") else ""
        name += REFUSED_STOPS.get(line["name"], "")
        cost = _number(line.get("cost_s"), "{:.1f} s")
        field = _number(line.get("field_cost_s"), "{:.1f} s")
        lost = _number(line["lost_s"], "{:+.1f} s")
        if line["name"] in STOP_SUMS:
            table.add_row(name, "", "", "", lost, _from(line))
        else:
            table.add_row(name, str(line["lap_number"]), cost, field, lost, _from(line))
    return table


def ranges(numbers: Iterable[int]) -> str:
    """Write rising whole numbers as ranges: 2–12, 15."""
    listed = list(numbers)
    if not listed:
        return ""
    breaks = [place for place, (one, two) in enumerate(pairwise(listed), 1) if two != one + 1]
    runs = pairwise([0, *breaks, len(listed)])
    ends = [(listed[start], listed[stop - 1]) for start, stop in runs]
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ends)


def _from(line: Line) -> str:
    """Name the stored row: table, and what of its key is not that of all rows."""
    key = line["key"]
    told = [
        f"{name.removesuffix('_number')} {value}"
        for name, value in key.items()
        if name in {"lap_number", "penalty_number", "stop_number"} and not isinstance(value, list)
    ]
    if isinstance(key.get("driver_id"), list):
        told.append("both")
    if key and "driver_id" not in key:
        told.append("all")
    return ", ".join([line["table"], *told])


def _reach(line: Line) -> str:
    """Write an interval."""
    if line.get("low_pct") is None:
        return ""
    return f"{line['low_pct']:+.2f} to {line['high_pct']:+.2f}"


def _number(value: object, form: str) -> str:
    """Write a number; one that is rounded to nothing has no minus."""
    if value is None:
        return NOT_KNOWN
    text = form.format(value)
    return text if any(digit in text for digit in "123456789") else text.replace("-", "+")


def _text(value: object) -> str:
    return NOT_KNOWN if value is None else str(value)
