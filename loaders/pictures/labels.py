"""Places for labels, so that none covers another: along a line, and beside points."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP: Final = 6.0
"""Distance between the places that are tried around a point, px."""

RINGS: Final = 14
"""How many steps away from its point a label may go."""

DIRECTIONS: Final = (
    (1.0, 0.0),
    (-1.0, 0.0),
    (1.0, -1.0),
    (1.0, 1.0),
    (-1.0, -1.0),
    (-1.0, 1.0),
    (0.0, -1.0),
    (0.0, 1.0),
)
"""Where a label goes from its point, the best first: right, left, corners, above, below."""


class Box(NamedTuple):
    """A rectangle, px: its left, top, right and bottom."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Area that two share, px²."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0.0) * max(high, 0.0)

    def outside(self, frame: Box) -> float:
        """By how much it stands out of a frame, px."""
        return (
            max(frame.left - self.left, 0.0)
            + max(self.right - frame.right, 0.0)
            + max(frame.top - self.top, 0.0)
            + max(self.bottom - frame.bottom, 0.0)
        )


def spread(places: Sequence[float], gap: float, end: float = math.inf) -> list[float]:
    """Move places along a line apart, each as little as its group allows.

    Args:
        places: where labels would stand, any order.
        gap: the least distance of two.
        end: no label stands beyond; it may push others before it.

    Returns:
        Where they stand, in the order given and in the same order along the line.
    """
    order = sorted(range(len(places)), key=lambda at: places[at])
    groups: list[list[int]] = []
    centres: list[float] = []
    for at in order:
        groups.append([at])
        centres.append(places[at])
        while len(groups) > 1:
            room = gap * (len(groups[-1]) + len(groups[-2])) / 2
            if centres[-1] - centres[-2] >= room:
                break
            groups[-2:] = [groups[-2] + groups[-1]]
            centres[-2:] = [sum(places[one] for one in groups[-1]) / len(groups[-1])]
    moved = [0.0] * len(places)
    for group, centre in zip(groups, centres, strict=True):
        for number, at in enumerate(group):
            moved[at] = centre + gap * (number - (len(group) - 1) / 2)
    for before, at in enumerate(reversed(order)):
        moved[at] = min(moved[at], end - gap * before)
    return moved


def beside(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    taken: Sequence[Box] = (),
) -> list[tuple[float, float]]:
    """Choose a place for the label of each point, one after the other.

    The nearest place counts that covers no other label, no point and nothing taken, stands within
    the frame, and whose line to the point crosses none before; else the one that offends least.

    Args:
        points: middle of each point, px.
        sizes: width and height of each label, px.
        frame: within which labels stay.
        taken: what they should not cover, lines say.

    Returns:
        The middle of each label, px.
    """
    marks = [Box(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    done: list[Box] = []
    leads: list[tuple[tuple[float, float], tuple[float, float]]] = []
    found = []
    for number, ((x, y), (width, height)) in enumerate(zip(points, sizes, strict=True)):
        others = [mark for at, mark in enumerate(marks) if at != number]
        best, least = (x, y), float("inf")
        for ring, (right, down) in itertools.product(range(RINGS), DIRECTIONS):
            reach = 9 + ring * STEP
            middle = (x + right * (reach + width / 2), y + down * (reach + height / 2))
            if right and down:
                middle = (x + right * (reach * 0.7 + width / 2), y + down * (reach * 0.7 + 2))
            box = _box(middle, width, height)
            cost = (
                100.0 * sum(box.overlap(one) for one in done)
                + 20.0 * sum(box.overlap(one) for one in others)
                + 0.6 * sum(box.overlap(one) for one in taken)
                + 60.0 * sum(_cross((x, y), middle, *lead) for lead in leads)
                + 60.0 * sum(_strikes((x, y), middle, one) for one in done)
                + 60.0 * sum(_strikes(*lead, box) for lead in leads)
                + 1e4 * box.outside(frame)
                + 0.35 * reach
            )
            if cost < least:
                best, least = middle, cost
        done.append(_box(best, width, height))
        found.append(best)
        leads.append(((x, y), best))
    return found


def _box(middle: tuple[float, float], width: float, height: float) -> Box:
    x, y = middle
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _strikes(start: tuple[float, float], end: tuple[float, float], box: Box) -> bool:
    """Tell whether a line between points goes through a box, to a sixth of its length."""
    steps = [number / 6 for number in range(1, 6)]
    return any(
        box.left < start[0] + (end[0] - start[0]) * part < box.right
        and box.top < start[1] + (end[1] - start[1]) * part < box.bottom
        for part in steps
    )


def _cross(
    start: tuple[float, float],
    end: tuple[float, float],
    other_start: tuple[float, float],
    other_end: tuple[float, float],
) -> bool:
    """Tell whether two lines between points cross."""

    def side(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    return (
        side(start, end, other_start) * side(start, end, other_end) < 0
        and side(other_start, other_end, start) * side(other_start, other_end, end) < 0
    )
