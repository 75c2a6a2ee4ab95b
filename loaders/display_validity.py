"""How a proof looks in a terminal: metrics side by side, gains, rankings and gates.

Tables are wider than a small terminal, which then wraps their lines; nothing is cut off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from loaders.display import NOT_KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Row = Mapping[str, object]
    Key = tuple[object, ...]

PREDICTIONS: Final[Mapping[str, tuple[str, str | None, str]]] = {
    "pace acc": ("accuracy", "pace", "tested"),
    "pace LL": ("log loss", "pace", "tested"),
    "finish acc": ("accuracy", "finish", "tested"),
    "finish LL": ("log loss", "finish", "tested"),
    "quali acc": ("accuracy", "qualifying", "tested"),
    "quali LL": ("log loss", "qualifying", "tested"),
}
"""Heading → measure, outcome and scope of what foretells duels."""

QUALITIES: Final[Mapping[str, tuple[str, str | None, str]]] = {
    "reliable": ("reliability", None, "all"),
    "(tested)": ("reliability", None, "tested"),
    "leak": ("car leak", None, "all"),
    "elasticity": ("car elasticity", None, "all"),
    "vote pct": ("vote percentile", None, "tested"),
    "vote top 3": ("vote top 3", None, "tested"),
    "vote ρ": ("vote correlation", None, "tested"),
    "later pct": ("later vote percentile", None, "tested"),
    "hiring": ("hiring", None, "all"),
    "lap rms": ("missing lap rms", None, "tested"),
    "lap ρ": ("missing lap correlation", None, "tested"),
}
"""The same of what is asked of grades."""

OUTCOMES: Final = ("pace", "finish", "qualifying")

GATE_COLUMNS: Final = ("metric", "measure", "outcome", "scope", "value", "bound", "state")

WIDTH: Final = 260
"""Characters of the widest table."""


def show_proof(proof: Sequence[Row], gates: Sequence[Row], seasons: str) -> None:
    """Print a proof.

    Args:
        proof: rows of `engine.validity.proof.PROOF_SCHEMA`.
        gates: rows of `engine.validity.gates.examine_gates`.
        seasons: tested ones, for the title.
    """
    console = Console(width=WIDTH, soft_wrap=True)
    windows = sorted({int(str(w)) for row in proof if (w := row["window_races"]) is not None})
    for window in reversed(windows) if windows else (None,):
        is_first = window is None or window == windows[-1]
        wanted = {**PREDICTIONS, **QUALITIES} if is_first else PREDICTIONS
        what = "states" if window is None else f"mean of the last {window} grades, and states"
        rows = [row for row in proof if row["window_races"] in {None, window}]
        console.print(_metrics_table(rows, wanted, f"Tested on {seasons}: {what}; 95 % intervals"))
    gains = [row for row in proof if row["measure"] == "log loss gain"]
    if gains:
        console.print(_gains_table(gains))
    ranked = [row for row in proof if row["measure"] == "ranking correlation"]
    if ranked:
        console.print(_rankings_table(ranked))
    if gates:
        console.print(_gates_table(gates))


def _metrics_table(
    rows: Iterable[Row], wanted: Mapping[str, tuple[str, str | None, str]], title: str
) -> Table:
    """One line a metric, one column for each measure that any of them has."""

    def key(row: Row) -> Key:
        return row["measure"], row["outcome"], row["scope"]

    figures = [row for row in rows if row["against"] is None]
    known = {key(row) for row in figures if row["value"] is not None}
    columns = {heading: measure for heading, measure in wanted.items() if measure in known}
    return _pivot(figures, title, ("metric",), columns, key)


def _gains_table(rows: Sequence[Row]) -> Table:
    """One line for each candidate and other metric, one column an outcome."""
    title = "Log loss less than that of the other metric, on the same duels; positive is better"
    columns = {outcome: outcome for outcome in OUTCOMES}
    return _pivot(rows, title, ("metric", "against"), columns, lambda row: row["outcome"])


def _rankings_table(rows: Sequence[Row]) -> Table:
    """One line for each metric and source, one column a season."""
    seasons = sorted({str(row["first_season"]) for row in rows})
    columns = {season: season for season in seasons}
    title = "Rank correlation with the ranking, by season"
    by_season: Callable[[Row], object] = lambda row: str(row["first_season"])  # noqa: E731
    return _pivot(rows, title, ("metric", "against"), columns, by_season)


def _pivot(
    rows: Sequence[Row],
    title: str,
    names: Sequence[str],
    columns: Mapping[str, object],
    key: Callable[[Row], object],
) -> Table:
    """Draw figures with their intervals below: a line for each name, a column for each key."""
    cells = {(*(row[name] for name in names), key(row)): _cell(row) for row in rows}
    table = Table(title=title, title_justify="left", box=SIMPLE, row_styles=["", "dim"])
    for name in names:
        table.add_column(name, no_wrap=True)
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for line in dict.fromkeys(tuple(row[name] for name in names) for row in rows):
        table.add_row(*map(str, line), *(cells.get((*line, at), "") for at in columns.values()))
    return table


def _gates_table(gates: Sequence[Row]) -> Table:
    """One line a gate."""
    table = Table(title="Gates", title_justify="left", box=SIMPLE, row_styles=["", "dim"])
    for name in GATE_COLUMNS:
        table.add_column(name, no_wrap=True, justify="right" if name == "value" else "left")
    for gate in gates:
        shown = {**gate, "outcome": gate["outcome"] or "", "value": _line(gate)}
        table.add_row(*(str(shown[name]) for name in GATE_COLUMNS))
    return table


def _cell(row: Row) -> str:
    """Write a figure with its interval below."""
    if row["value"] is None:
        return NOT_KNOWN
    return f"{row['value']:.3f}\n{_short(row['low'])} {_short(row['high'])}"


def _line(row: Row) -> str:
    """Write a figure with its interval beside it."""
    if row["value"] is None:
        return NOT_KNOWN
    return f"{row['value']:.4f} ({_short(row['low'])} to {_short(row['high'])})"


def _short(value: object) -> str:
    """Write three decimals without the zero before them: .645, -.529, 1.500."""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
