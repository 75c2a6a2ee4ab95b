"""Gates: what a model must reach on 2015-2020, with constants fitted up to 2014.

A gate binds the value, not its interval: with six seasons of duels an interval of accuracy is
.08 wide. So the gates stand on log loss, a little behind what the study of the model reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Gate:
    """One bound.

    Attributes:
        measure: as in `engine.validity.proof.PROOF_SCHEMA`; so are `outcome`, `window_races` and
            `scope`.
        bound: what is asked.
        is_floor: whether the value must be at least the bound; else at most, by size.
        is_state: whether it binds the state (the rating) rather than the grade.
    """

    measure: str
    bound: float
    is_floor: bool
    outcome: str | None = None
    window_races: int | None = None
    scope: str = "tested"
    is_state: bool = False

    def is_met(self, value: float | None) -> bool:
        """Tell whether a value passes; an unknown one does not."""
        if value is None:
            return False
        return value >= self.bound if self.is_floor else abs(value) <= self.bound


def _duels(accuracy: Mapping[str, float], log_loss: Mapping[str, float]) -> Iterable[Gate]:
    for outcome, bound in accuracy.items():
        yield Gate("accuracy", bound, is_floor=True, outcome=outcome, window_races=10)
    for outcome, bound in log_loss.items():
        yield Gate("log loss", bound, is_floor=False, outcome=outcome, window_races=10)


GATES: Final = (
    *_duels(
        {"pace": 0.635, "finish": 0.595, "qualifying": 0.605},
        {"pace": 0.645, "finish": 0.664, "qualifying": 0.643},
    ),
    Gate("log loss", 0.640, is_floor=False, outcome="pace", is_state=True),
    Gate("log loss", 0.652, is_floor=False, outcome="finish", is_state=True),
    Gate("log loss", 0.628, is_floor=False, outcome="qualifying", is_state=True),
    Gate("reliability", 0.78, is_floor=True, scope="all"),
    Gate("reliability", 0.84, is_floor=True),
    Gate("car elasticity", 0.10, is_floor=False, scope="all"),
    Gate("car leak", 0.35, is_floor=False, scope="all"),
    Gate("vote percentile", 0.78, is_floor=True),
    Gate("vote correlation", 0.43, is_floor=True),
    Gate("later vote percentile", 0.75, is_floor=True),
    Gate("missing lap rms", 0.10, is_floor=False),
    Gate("missing lap correlation", 0.99, is_floor=True),
)
"""Of the grade and of the rating."""


def examine_gates(
    proof: pl.DataFrame, grade: str | None, state: str | None
) -> list[dict[str, object]]:
    """Hold a model against the gates.

    Args:
        proof: what `engine.validity.proof.prove` gave.
        grade: name of the metric that is the model's grade; None leaves its gates out.
        state: name of the metric that is its rating; None leaves its gates out.

    Returns:
        One mapping per gate: `metric`, `measure`, `outcome`, `scope`, `value`, `low`, `high`,
        `bound` (with its sign), and `state`: met, missed or not measured.
    """
    found = []
    for gate in GATES:
        metric = state if gate.is_state else grade
        if metric is None:
            continue
        wanted = {
            "metric": metric,
            "measure": gate.measure,
            "outcome": gate.outcome,
            "window_races": gate.window_races,
            "scope": gate.scope,
        }
        rows = proof.filter(
            pl.col("against").is_null(),
            *(pl.col(name).eq_missing(value) for name, value in wanted.items()),
        )
        measured = rows.row(0, named=True) if rows.height else dict.fromkeys(proof.columns)
        value = measured["value"]
        verdict = "met" if gate.is_met(value) else "missed"
        found.append(
            {
                **{name: wanted[name] for name in ("metric", "measure", "outcome", "scope")},
                **{name: measured[name] for name in ("value", "low", "high")},
                "bound": f"{'≥' if gate.is_floor else '≤'} {gate.bound}",
                "state": "not measured" if value is None else verdict,
            }
        )
    return found
