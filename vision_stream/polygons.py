"""Whether points drawn by hand make an area. Plain Python, because the settings are checked with it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Point = Sequence[float]  # x, y

LEAST_AREA = 1e-6  # of the picture: two pixels of one of 1080 lines. Smaller is a slip of the mouse


def area(points: Sequence[Point]) -> float:
    """Of the polygon through ``points``, which closes by itself; as written in either direction.

    >>> area([(0, 0), (1, 0), (1, 0.5), (0, 0.5)])
    0.5
    """
    return abs(sum(_cross((0, 0), a, b) for a, b in _edges(points))) / 2


def crossing(points: Sequence[Point]) -> tuple[int, int] | None:
    """The first two edges that cross; edge ``n`` starts at point ``n``. None: the polygon is simple.

    >>> crossing([(0, 0), (1, 1), (1, 0), (0, 1)])
    (0, 2)
    """
    edges = _edges(points)
    for first, (a, b) in enumerate(edges):
        for second in range(first + 2, len(edges)):
            c, d = edges[second]
            if _apart(a, b, c, d) and _apart(c, d, a, b):
                return first, second
    return None


def _edges(points: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(pairwise([*points, *points[:1]]))


def _apart(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether ``c`` and ``d`` lie on different sides of the line through ``a`` and ``b``."""
    return _cross(a, b, c) * _cross(a, b, d) < 0


def _cross(origin: Point, a: Point, b: Point) -> float:
    return (a[0] - origin[0]) * (b[1] - origin[1]) - (a[1] - origin[1]) * (b[0] - origin[0])
