"""How actors move: a path on the ground, and a trip along it that may stop once. Pure functions of time."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from math import atan2, cos, hypot, inf, pi, sin
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_stream.simulators.traffic.truth import Label

EASE_S = 2.2  # Braking to a halt or starting from it. Below 1 s cars jerk; above 4 s they seem to roll on ice.


class Pose(NamedTuple):
    """Where an actor stands (metres), which way it faces (radians from +x), and how far it has come (metres)."""

    x: float
    y: float
    heading: float
    travelled: float


def place(points: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
    """Points (n, 2 or 3) of an actor's own metres, x forward and y to its left, on the ground where it stands."""
    c, s = cos(pose.heading), sin(pose.heading)
    placed = points.copy()
    placed[:, 0] = points[:, 0] * c - points[:, 1] * s + pose.x
    placed[:, 1] = points[:, 0] * s + points[:, 1] * c + pose.y
    return placed


class Path:
    """A line of waypoints (x, y) in metres; it goes straight on beyond both ends."""

    def __init__(self, *waypoints: tuple[float, float]) -> None:
        self._points = waypoints
        self._reached = [0.0]
        for (x0, y0), (x1, y1) in pairwise(waypoints):
            self._reached.append(self._reached[-1] + hypot(x1 - x0, y1 - y0))

    @property
    def length(self) -> float:
        return self._reached[-1]

    def at(self, distance: float) -> Pose:
        """The pose ``distance`` metres from the start.

        >>> Path((0, 0), (10, 0), (10, 5)).at(12)[:2]
        (10.0, 2.0)
        """
        leg = min(max(bisect_right(self._reached, distance) - 1, 0), len(self._points) - 2)
        (x0, y0), (x1, y1) = self._points[leg], self._points[leg + 1]
        heading = atan2(y1 - y0, x1 - x0)
        along = distance - self._reached[leg]
        return Pose(x0 + along * cos(heading), y0 + along * sin(heading), heading, distance)


def turn(
    start: tuple[float, float], corner: tuple[float, float], end: tuple[float, float]
) -> list[tuple[float, float]]:
    """Waypoints of a smooth curve from ``start`` to ``end`` that bends at ``corner``."""
    steps = [i / 10 for i in range(11)]
    return [
        (
            (1 - u) ** 2 * start[0] + 2 * u * (1 - u) * corner[0] + u**2 * end[0],
            (1 - u) ** 2 * start[1] + 2 * u * (1 - u) * corner[1] + u**2 * end[1],
        )
        for u in steps
    ]


class Trip:
    """One actor on its way along a path at ``speed`` (m/s), with at most one halt.

    Args:
        halt_m: where on the path it halts, or, without a halt, where it is at ``halt_from``.
        halt_from, halt_until: seconds. It eases to the halt and away from it; equal times mean no halt.
        backwards: it faces against its direction, as a reversing truck does.
        look: a number that picks colour and build.
    """

    __slots__ = (
        "actor_id",
        "backwards",
        "halt_from",
        "halt_m",
        "halt_until",
        "label",
        "look",
        "path",
        "speed",
        "visible",
    )

    def __init__(
        self,
        actor_id: str,
        label: Label,
        look: int,
        path: Path,
        speed: float,
        halt_m: float,
        halt_from: float,
        halt_until: float | None = None,
        backwards: bool = False,
        visible: tuple[float, float] = (-inf, inf),
    ) -> None:
        self.actor_id = actor_id
        self.label: Label = label
        self.look = look
        self.path = path
        self.speed = speed
        self.halt_m = halt_m
        self.halt_from = halt_from
        self.halt_until = halt_from if halt_until is None else halt_until
        self.backwards = backwards
        self.visible = visible

    def pose(self, t: float) -> Pose | None:
        """Where the actor is at ``t`` seconds; ``None`` before its path begins and after it ends."""
        if not self.visible[0] <= t < self.visible[1]:
            return None
        distance = self._distance(t)
        if not 0 <= distance <= self.path.length:
            return None
        pose = self.path.at(distance)
        return pose._replace(heading=pose.heading + pi) if self.backwards else pose

    def halted(self, t: float) -> bool:
        return self.halt_from < t < self.halt_until

    def _distance(self, t: float) -> float:
        if self.halt_from == self.halt_until:
            return self.halt_m + self.speed * (t - self.halt_from)
        if t < self.halt_from:
            return self.halt_m - self.speed * _eased(self.halt_from - t)
        return self.halt_m + self.speed * _eased(max(0.0, t - self.halt_until))


def _eased(seconds: float) -> float:
    """Seconds at full speed that cover what ``seconds`` from a standstill cover."""
    return seconds * seconds / (2 * EASE_S) if seconds < EASE_S else seconds - EASE_S / 2
