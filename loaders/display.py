"""How results look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from engine.v1.calibration import MODEL_VERSION
from loaders.profiles import model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from loaders.jobs import IngestReport

NOT_KNOWN: Final = "–"
"""Shown for a null."""

BAR_WIDTH: Final = 8
"""Characters of a bar for a score of 1."""

FULL, EMPTY = "█", "░"

UNCLASSIFIED: Final = {
    "retired": "DNF",
    "disqualified": "DSQ",
    "did_not_start": "DNS",
    "did_not_qualify": "DNQ",
}
"""How the sport abbreviates an entry's status."""

WIDE: Final = 140
"""Columns a terminal needs for teams and bars."""


def _text(value: object) -> str:
    return NOT_KNOWN if value is None else str(value)


def _bar(score: object) -> str:
    """Draw a score as a bar with its number."""
    if not isinstance(score, float):
        return NOT_KNOWN
    filled = round(score * BAR_WIDTH)
    return FULL * filled + EMPTY * (BAR_WIDTH - filled) + f" {score:.2f}"


def _number(score: object) -> str:
    return f"{score:.2f}" if isinstance(score, float) else NOT_KNOWN


def _grade(grade: object) -> str:
    return f"{grade:.3f}" if isinstance(grade, float) else NOT_KNOWN


def _whole(percent: object) -> str:
    return f"{percent:.0f}" if isinstance(percent, float) else NOT_KNOWN


def _interval(row: Mapping[str, object]) -> str:
    """Write the 90 % interval of a grade of 0 to 100."""
    low, high = row["grade_low"], row["grade_high"]
    return NOT_KNOWN if low is None else f"{_whole(low)}–{_whole(high)}"


def _points(points: object) -> str:
    return f"{points:g}" if isinstance(points, float) else NOT_KNOWN


def _finish(row: Mapping[str, object]) -> str:
    place = f"P{_text(row['finish_position'])}"
    status = "" if row["is_classified"] else UNCLASSIFIED.get(str(row["status"]), "")
    return f"{place} {status}".rstrip()


def _driver_code(row: Mapping[str, object]) -> str:
    return str(row["driver_code"] or row["driver_name"])


def grades_table(rows: Sequence[Mapping[str, object]], width: int) -> Table:
    """Draw the grades of one session, best first.

    Args:
        rows: one mapping per driver, at least one, columns of the query `grades`.
        width: columns of the terminal; a narrow one gets codes and numbers instead of
            names, teams and bars.
    """
    head = rows[0]
    sprint = " sprint" if head["session_kind"] == "sprint" else ""
    table = Table(
        title=f"{head['event_name']} {head['season']}{sprint}",
        caption=f"profile {head['profile_name']} {head['profile_version']} · "
        f"model {head['model_version']} · from {head['data_source']}",
        title_justify="left",
        caption_justify="left",
        row_styles=["", "dim"],
    )
    is_wide = width >= WIDE
    score = _bar if is_wide else _number
    is_v1 = head["model_version"] == MODEL_VERSION
    grade: dict[str, Callable[[Mapping[str, object]], str]] = (
        {"Grade": lambda row: _grade(row["total_grade"])}
        if is_v1
        else {
            "Grade": lambda row: _whole(row["grade"]),
            "90 %": _interval,
            "Total": lambda row: _grade(row["total_grade"]),
        }
    )
    of_v1: dict[str, Callable[[Mapping[str, object]], str]] = {
        "Strategy" if is_wide else "Strat": lambda row: score(row["team_strategy_score"]),
        "Passes": lambda row: _text(row["on_track_events"]),
    }
    columns: dict[str, Callable[[Mapping[str, object]], str]] = {
        "Driver": (lambda row: _text(row["driver_name"])) if is_wide else _driver_code,
        **({"Team": lambda row: _text(row["team_name"])} if is_wide else {}),
        "Finish": _finish,
        "Grid": lambda row: _text(row["grid_position"]),
        **grade,
        "Consistency" if is_wide else "Cons": lambda row: score(row["consistency_score"]),
        "Racecraft" if is_wide else "Race": lambda row: score(row["racecraft_score"]),
        "Penalty" if is_wide else "Pen": lambda row: score(row["penalty_score"]),
        **(of_v1 if is_v1 else {}),
    }
    for heading in columns:
        is_text = heading in {"Driver", "Team", "Finish"}
        table.add_column(heading, no_wrap=True, justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*(cell(row) for cell in columns.values()))
    return table


def standings_table(rows: Sequence[Mapping[str, object]], width: int, *, of_teams: bool) -> Table:
    """Draw a season's standing, best first; who has too few races for a place comes last.

    Args:
        rows: one mapping per driver or team, at least one, columns of the query
            `season_standings`, of one kind of session and one model.
        width: columns of the terminal; a narrow one gets no teams and passes, and no bars.
        of_teams: the rows are teams.
    """
    head = rows[0]
    sprints = head["session_kind"] == "sprint"
    version = next((row["profile_version"] for row in rows if row["profile_version"]), None)
    table = Table(
        title=f"{'Teams' if of_teams else 'Drivers'} {head['season']}{' sprints' * sprints}",
        caption=f"profile {head['profile_name']} {_text(version)} · model "
        f"{head['model_version']} · means over the {'sprints' if sprints else 'races'} that count",
        title_justify="left",
        caption_justify="left",
        row_styles=["", "dim"],
    )
    is_wide = width >= WIDE
    score = _bar if is_wide else _number
    columns: dict[str, Callable[[Mapping[str, object]], str]] = {
        "": lambda row: _text(row["rank"]),
        "Team" if of_teams else "Driver": lambda row: _text(row["subject_name"]),
        **({"Last team": lambda row: _text(row["team_name"])} if is_wide and not of_teams else {}),
        "Grade": lambda row: _grade(row["total_grade_mean"]),
        "Counted": lambda row: f"{row['races_counted']}/{row['races_entered']}",
        "Consistency" if is_wide else "Cons": lambda row: score(row["consistency_score_mean"]),
        "Racecraft" if is_wide else "Race": lambda row: score(row["racecraft_score_mean"]),
        "Penalty" if is_wide else "Pen": lambda row: score(row["penalty_score_mean"]),
        "Strategy" if is_wide else "Strat": lambda row: score(row["team_strategy_score_mean"]),
        **({"Passes": lambda row: _text(row["on_track_events_sum"])} if is_wide else {}),
        "Points": lambda row: _points(row["points"]),
    }
    for heading in columns:
        is_name = heading in {"Team", "Driver", "Last team"}
        table.add_column(heading, no_wrap=not is_name, justify="left" if is_name else "right")
    for row in rows:
        table.add_row(*(cell(row) for cell in columns.values()))
    return table


def load_sentence(report: IngestReport) -> str:
    """Say what an ingest did: a line, and one for each refused provider, gap and filled table."""
    session = f"{report.session.session_id} from {report.data_source}"
    return "\n".join(
        [
            _load_line(report, session),
            *(f"  not from {name}: {reason.splitlines()[0]}" for name, reason in report.refused),
            *(f"  incomplete: {gap}" for gap in report.gaps),
            *_filled_lines(report.filled),
        ]
    )


def _filled_lines(filled: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """Say which columns were filled, and in how many rows: a line for each source and table."""
    counts: dict[str, list[str]] = {}
    for mark in filled:
        start = f"  filled from {mark['data_source']}: {mark['table_name']}"
        counts.setdefault(start, []).append(f"{mark['column_name']} {mark['filled_rows']}")
    return (f"{start} ({', '.join(columns)})" for start, columns in counts.items())


def _load_line(report: IngestReport, session: str) -> str:
    if report.load.status == "unchanged":
        return f"{session}: unchanged since the last load, no row written"
    return (
        f"{session}: {report.graded} drivers graded with profile {report.profile.name} "
        f"{report.profile.version}{_state(report)}, {report.load.changed_rows} rows changed"
    )


def _state(report: IngestReport) -> str:
    """Say what the rating of model v2 went on from; nothing for v1."""
    if model_of(report.profile) == MODEL_VERSION:
        return ""
    if report.rating_state is None:
        return ", the first race that is rated"
    return f", rated from the state after {report.rating_state}"


def show_comparison(
    rows: Sequence[Mapping[str, object]], session_id: str, first: str, second: str
) -> None:
    """Print where two providers differ: rows that one lacks, then a line for each column.

    Args:
        rows: of `engine.compare.COMPARISON_SCHEMA`, those to be shown.
        session_id: of the session.
        first: name of a provider.
        second: name of the other.
    """
    console = Console()
    console.print(f"{session_id}: {first} against {second}", highlight=False)
    for table in dict.fromkeys(row["table"] for row in rows):
        row = next(row for row in rows if row["table"] == table)
        counts = {first: row["rows_only_first"], second: row["rows_only_second"]}
        missing = ", ".join(f"{count} only from {name}" for name, count in counts.items() if count)
        if missing:
            console.print(f"{table}: {row['rows_in_both']} rows from both, {missing}")
    shown = Table(row_styles=["", "dim"])
    for heading in ("Column", "Compared", "Differ", "Largest", "Example"):
        is_text = heading in {"Column", "Example"}
        shown.add_column(
            heading, no_wrap=heading == "Column", justify="left" if is_text else "right"
        )
    for row in rows:
        if row["differing"]:
            example = _text(row["example"]).removeprefix(f"{session_id} ")
            cells = (row["compared"], row["differing"], _grade(row["largest_difference"]), example)
            shown.add_row(f"{row['table']}.{row['column']}", *map(_text, cells))
    console.print(shown if shown.row_count else "Every value that both know is equal.")


def plain_table(rows: Iterable[Mapping[str, object]], title: str) -> Table:
    """Draw any rows; the first row names the columns."""
    listed = list(rows)
    table = Table(title=title, title_justify="left")
    for heading in listed[0] if listed else ():
        table.add_column(heading)
    for row in listed:
        table.add_row(*(_text(value) for value in row.values()))
    return table
