"""Labels: none over another."""

from __future__ import annotations

import itertools

import pytest

from loaders.pictures.labels import Box, beside, spread
from tests.soak import chance, runs

FRAME = Box(0, 0, 560, 520)
SIZE = (30.0, 14.0)


def test_places_move_apart_only_where_they_must() -> None:
    """Around the middle of their group; the others stay."""
    assert spread([10.0, 10.0, 100.0], 4.0) == [8.0, 12.0, 100.0]
    assert spread([5.0, 1.0], 1.0) == [5.0, 1.0]
    assert spread([], 3.0) == []


def test_places_stay_before_the_end() -> None:
    """What would stand beyond pushes the others back."""
    assert spread([90.0, 98.0], 10.0, 95.0) == [85.0, 95.0]


@pytest.mark.parametrize("number", range(runs(8, 500)))
def test_spread_places_keep_their_order_and_distance(number: int) -> None:
    """Whatever they were."""
    rng = chance(f"spread {number}")
    places = [rng.uniform(0, 100) for _ in range(rng.randint(1, 12))]
    moved = spread(places, 7.0)
    order = sorted(range(len(places)), key=lambda at: places[at])
    for before, after in itertools.pairwise(order):
        assert moved[after] - moved[before] >= 7.0 - 1e-9


@pytest.mark.parametrize("number", range(runs(3, 100)))
def test_labels_beside_points_do_not_cover_one_another(number: int) -> None:
    """Twenty-two points at random, as many as a race has cars; all within the frame."""
    rng = chance(f"beside {number}")
    points = [(rng.uniform(60, 500), rng.uniform(60, 460)) for _ in range(22)]
    boxes = [
        Box(x - 15, y - 7, x + 15, y + 7) for x, y in beside(points, [SIZE] * len(points), FRAME)
    ]
    for at, one in enumerate(boxes):
        assert one.outside(FRAME) == 0
        assert all(one.overlap(other) == 0 for other in boxes[at + 1 :])


def test_a_lone_label_stands_at_the_right_of_its_point() -> None:
    """Near, and not over it."""
    ((x, y),) = beside([(100.0, 100.0)], [SIZE], FRAME)
    assert (106 < x - 15 < 112, y) == (True, 100.0)
