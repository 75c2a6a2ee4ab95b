"""Loads that are killed again and again, and what each of them left."""

from __future__ import annotations

import itertools
import math
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from loaders import fault_points
from tests.reliability.versions import dump_hash, left_over
from tests.soak import runs
from tests.warehouse import start_over

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from loaders.connection import Connection
    from tests.reliability.crashing import Forker
    from tests.reliability.versions import Story

POINTS: Final = tuple(point.name for point in fault_points.POINTS)

PHASES: Final = ("connected", "prepared", *POINTS[2:])
"""What a child passes, in its order: it connects before it prepares."""


class Chain:
    """The versions one after another, each tried until it is stored; then from the start."""

    def __init__(self, connection: Connection, story: Story, hashes: list[str]) -> None:
        self.connection = connection
        self.story = story
        self.hashes = hashes
        self.stored = len(story.versions)
        self.seen: Counter[str] = Counter()

    @property
    def due(self) -> int:
        """The version to load next."""
        if self.stored == len(self.story.versions):
            start_over(self.connection)
            self.stored = 0
        return self.story.versions[self.stored]

    @property
    def order(self) -> Path:
        """Where it is written what is to be loaded next."""
        return self.story.order(self.due)

    def look(self) -> str:
        """Tell what a load left: `old`, `new` or `mixed`."""
        assert left_over(self.connection) == 0
        found = dump_hash(self.connection)
        old, new = self.hashes[self.stored : self.stored + 2]
        what = {old: "old", new: "new"}.get(found, "mixed")
        self.seen[what] += 1
        if what == "new":
            self.stored += 1
        return what

    def load(self) -> None:
        """Load the version that is due, undisturbed."""
        self.story.load(self.connection, self.due)
        self.stored += 1
        assert dump_hash(self.connection) == self.hashes[self.stored]


def lasting(children: Forker, chain: Chain) -> dict[str, float]:
    """Measure how long each phase of a load lasts that nobody kills, s: the least of three."""
    lasts = dict.fromkeys(PHASES, math.inf)
    for _ in range(3):
        child = children.load(chain.order)
        child.wait_for(PHASES[0])
        began = time.monotonic()
        for phase, then in itertools.pairwise((*PHASES, "done")):
            child.wait_for(then)
            ended = time.monotonic()
            lasts[phase] = min(lasts[phase], ended - began)
            began = ended
        child.join()
        assert chain.look() == "new"
    return lasts


def moments(
    rng: random.Random, lasts: Mapping[str, float], count: int
) -> Iterator[tuple[str, float]]:
    """Draw moments of a load: a phase, and how long after its begin, s.

    Every second one is uniform over the load's time. The others go through all phases, however
    short. A moment is reckoned from its phase, so that a slow computer moves it by little.
    """
    for number in range(count):
        phase = rng.choices(list(lasts), list(lasts.values()))[0]
        if number % 2:
            phase = list(lasts)[number // 2 % len(lasts)]
        yield phase, rng.uniform(0, lasts[phase])


def killed(
    children: Forker, chain: Chain, phase: str, after_s: float, action: str = ""
) -> list[str]:
    """Kill a child some time after a phase has begun: the points that it passed."""
    child = children.load(chain.order, action=action)
    child.wait_for(phase)
    time.sleep(after_s)
    child.signal(signal.SIGKILL)
    return child.join()


def kill_often(
    children: Forker, chain: Chain, drawn: Sequence[tuple[str, float]]
) -> tuple[int, str]:
    """Kill loads at moments; after every eighth, and in a soak after each, load again.

    Returns:
        How many phases were hit, and the figures.
    """
    phases: Counter[str] = Counter()
    for number, (phase, after_s) in enumerate(drawn):
        phases[killed(children, chain, phase, after_s)[-1]] += 1
        chain.look()
        if number % runs(8, 1) == 0:
            chain.load()
    landed = len(drawn) - phases.pop("done", 0)
    assert chain.seen["mixed"] == 0
    assert landed >= 0.8 * len(drawn)
    return len(phases), (
        f"{len(drawn)} kills, {landed} landed, {len(phases)} phases, 0 mixed, "
        f"{chain.seen['new']} stored, 0 other dumps"
    )
