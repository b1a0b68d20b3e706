"""Which zones of its camera an object stands in, and which objects are left out because of that.

An object stands where its foot is: the middle of its box's lower edge. A box's centre would put a tall lorry on the
lane behind it. Zones are drawn in shares of the picture (0 0 is its upper left, 1 1 its lower right corner), so that
they hold at every resolution; a foot on a zone's line is inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vision_stream.messages import DetectedObject
from vision_stream.settings import ZoneSettings

# Shares of the picture. A box that is cut at the picture's edge has its foot on the line of a zone that ends there.
ON_LINE = 1e-9


@dataclass(frozen=True)
class Places:
    """Where the objects of a frame stand, by their object ids."""

    zones: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # names, in the order of the configuration
    carriageway: frozenset[int] | None = None  # who stands on it; None: none is drawn for this camera


NOWHERE = Places()


class Zones:
    """Those of one camera."""

    def __init__(self, zones: Iterable[ZoneSettings] = ()) -> None:
        self._zones = tuple(zones)
        self._polygons = [np.array(zone.points, dtype=np.float64) for zone in self._zones]

    def place(
        self, objects: Sequence[DetectedObject], *, width: int, height: int
    ) -> tuple[tuple[DetectedObject, ...], Places]:
        """Those objects that count, and where they stand.

        One in a zone to exclude does not count; where there are zones to include, one outside of all of them neither.

        Args:
            width, height: of the frame, in pixels.
        """
        if not self._zones:
            return tuple(objects), NOWHERE
        inside = self._inside(feet(objects, width=width, height=height))
        counts = ~inside[:, self._of_kind("exclude")].any(axis=1)
        if any(self._of_kind("include")):
            counts &= inside[:, self._of_kind("include")].any(axis=1)
        kept = tuple(objects[row] for row in np.flatnonzero(counts).tolist())
        return kept, self._places(kept, inside[counts])

    def _of_kind(self, kind: str) -> list[bool]:
        return [zone.kind == kind for zone in self._zones]

    def _places(self, objects: Sequence[DetectedObject], inside: NDArray[np.bool_]) -> Places:
        """``inside``: shape (objects, zones)."""
        names = {
            found.object_id: tuple(self._zones[zone].name for zone in np.flatnonzero(row))
            for found, row in zip(objects, inside, strict=True)
        }
        lanes = self._of_kind("carriageway")
        if not any(lanes):
            return Places(names)
        on_one = np.flatnonzero(inside[:, lanes].any(axis=1)).tolist()
        return Places(names, frozenset(objects[row].object_id for row in on_one))

    def _inside(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.stack([contains(polygon, points) for polygon in self._polygons], axis=1)


def feet(objects: Sequence[DetectedObject], *, width: int, height: int) -> NDArray[np.float64]:
    """Where objects stand: shape (n, 2), x y in shares of a frame of ``width`` x ``height`` pixels."""
    corners = [((found.box.x1 + found.box.x2) / 2, found.box.y2) for found in objects]
    return np.array(corners, dtype=np.float64).reshape(-1, 2) / (width, height)


def contains(polygon: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of ``points`` (n, 2) lie in the simple ``polygon`` (k, 2), or on its line: shape (n,).

    >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    >>> contains(square, np.array([[0.5, 0.5], [0.5, 1.0], [1.5, 0.5]])).tolist()
    [True, True, False]
    """
    x, y = points[:, :1], points[:, 1:]  # (n, 1) against (k,): every point with every edge
    (x1, y1), (x2, y2) = polygon.T, np.roll(polygon, -1, axis=0).T
    cross = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
    # To the right of a point an edge is met where it passes the point's height, on that side; an odd number: inside.
    passes = (y1 > y) != (y2 > y)
    met = passes & ((cross > 0) == (y2 > y1))
    along = (x - x1) * (x - x2) + (y - y1) * (y - y2)  # at most 0 between the ends of an edge
    on_line = (np.abs(cross) <= ON_LINE) & (along <= ON_LINE)
    return (met.sum(axis=1) % 2 == 1) | on_line.any(axis=1)
