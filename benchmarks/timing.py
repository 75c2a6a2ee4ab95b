"""Timing calls against each other, in turns."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Took(NamedTuple):
    """Time of one call, in s."""

    wall: float
    cpu: float


def timed(call: Callable[[], object]) -> Took:
    """Call once."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def median(times: Iterable[Took]) -> Took:
    """Take the middle of each."""
    walls, cpus = zip(*times, strict=True)
    return Took(statistics.median(walls), statistics.median(cpus))


def take_turns(rounds: int, **calls: Callable[[], object]) -> dict[str, list[Took]]:
    """Call each in turn, as many rounds, after a round that does not count."""
    found: dict[str, list[Took]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            took = timed(call)
            if number:
                found[name].append(took)
    return found


def ratio(times: dict[str, list[Took]], name: str, reference: str) -> Took:
    """Take the median over the rounds of one time over another."""
    pairs = zip(times[name], times[reference], strict=True)
    return median(Took(a.wall / b.wall, a.cpu / b.cpu) for a, b in pairs)


def ms(took: Took) -> str:
    """Write a time in ms."""
    return f"{took.wall * 1e3:.0f} ({took.cpu * 1e3:.0f})"
