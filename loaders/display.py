"""How results look in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loaders.jobs import IngestReport

NOT_KNOWN: Final = "–"
"""Shown for a null."""

BAR_WIDTH: Final = 8
"""Characters of a bar for a score of 1."""

FULL, EMPTY = "█", "░"


def _text(value: object) -> str:
    return NOT_KNOWN if value is None else str(value)


def _bar(score: object) -> str:
    if not isinstance(score, float):
        return NOT_KNOWN
    filled = round(score * BAR_WIDTH)
    return FULL * filled + EMPTY * (BAR_WIDTH - filled) + f" {score:.2f}"


def _finish(row: Mapping[str, object]) -> str:
    place = f"P{_text(row['finish_position'])}"
    return place if row["is_classified"] else f"{place} {row['status']}".replace("_", " ")


def grades_table(rows: Sequence[Mapping[str, object]]) -> Table:
    """Draw the grades of one session, best first.

    Args:
        rows: one mapping per driver, at least one, columns of the query `grades`.
    """
    head = rows[0]
    sprint = " sprint" if head["session_kind"] == "sprint" else ""
    title = (
        f"{head['event_name']} {head['season']}{sprint} · profile {head['profile_name']} "
        f"{head['profile_version']} · model {head['model_version']} · from {head['data_source']}"
    )
    table = Table(title=title, title_justify="left", row_styles=["", "dim"])
    for heading in ("#", "Driver", "Team", "Finish", "Grid"):
        table.add_column(heading, justify="right" if heading in {"#", "Grid"} else "left")
    table.add_column("Grade", justify="right", style="bold")
    for heading in ("Consistency", "Racecraft", "Penalty", "Strategy"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Passes", justify="right")
    for number, row in enumerate(rows, start=1):
        grade = row["total_grade"]
        graded = isinstance(grade, float)
        table.add_row(
            str(number) if graded else NOT_KNOWN,
            _text(row["driver_name"]),
            _text(row["team_name"]),
            _finish(row),
            _text(row["grid_position"]),
            f"{grade:.3f}" if graded else NOT_KNOWN,
            _bar(row["consistency_score"]),
            _bar(row["racecraft_score"]),
            _bar(row["penalty_score"]),
            _bar(row["team_strategy_score"]),
            _text(row["on_track_events"]),
        )
    return table


def load_sentence(report: IngestReport) -> str:
    """Say in a line what an ingest did."""
    session = f"{report.session.session_id} from {report.data_source}"
    if report.load.status == "unchanged":
        return f"{session}: unchanged since the last load, no row written"
    return (
        f"{session}: {report.graded} drivers graded with profile {report.profile.name} "
        f"{report.profile.version}, "
        f"{report.load.changed_rows} rows changed"
    )


def plain_table(rows: Iterable[Mapping[str, object]], title: str) -> Table:
    """Draw any rows; the first row names the columns."""
    listed = list(rows)
    table = Table(title=title, title_justify="left")
    for heading in listed[0] if listed else ():
        table.add_column(heading)
    for row in listed:
        table.add_row(*(_text(value) for value in row.values()))
    return table
